#!/usr/bin/env python3
"""Help, the reference docs/cli.md and completion, from outside: help_test.py ALPA."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLOW = ("profile", "serve")  # their examples take long


def alpa(*words, **more):
    return subprocess.run([ALPA, *words], capture_output=True, text=True, timeout=120, **more)


def commands():
    return re.findall(r"^  ([a-z]+) ", alpa("--help").stdout, re.M)


def examples(text):
    """The command lines of alpa in a help text, without comments."""
    found = []
    for line in text.splitlines():
        line = re.sub(r"\s+#.*", "", line.replace("example: ", "").strip())
        if line.startswith("alpa "):
            found.append(re.split(r" && | > | \| ", line)[0])
    return found


class Help(unittest.TestCase):
    def test_of_the_program_fits_a_screen(self):
        lines = alpa("--help").stdout.splitlines()
        self.assertLessEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertIn("plan", commands())

    def test_of_each_command_has_an_example_that_it_understands(self):
        with tempfile.TemporaryDirectory() as empty:
            for command in commands():
                done = alpa(command, "--help")
                self.assertEqual(done.returncode, 0)
                self.assertLessEqual(max(map(len, done.stdout.splitlines())), 120, command)
                self.assertRegex(done.stdout, r"(?m)^examples?:", command)
                own = [e for e in examples(done.stdout) if e.split()[1] == command]
                if command != "completion":  # whose examples are in shell
                    self.assertTrue(own, command)
                for example in own if command not in SLOW else ():
                    with self.subTest(example=example):
                        said = alpa(*shlex.split(example)[1:], cwd=empty).stderr
                        self.assertNotIn("Run with --help", said)

    def test_the_reference_is_up_to_date(self):
        with open(os.path.join(ROOT, "docs", "cli.md")) as f:
            self.assertEqual(f.read(), alpa("--reference").stdout, "update it: build/alpa --reference > docs/cli.md")


class Completion(unittest.TestCase):
    def complete(self, *words):
        quoted = " ".join(shlex.quote(w) for w in words)
        script = f'source <(alpa completion bash); COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _alpa; printf "%s\\n" "${{COMPREPLY[@]}}"'
        path = os.path.dirname(ALPA) + ":" + os.environ["PATH"]
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path})
        self.assertEqual(done.stderr, "")
        return [w for w in done.stdout.splitlines() if w]

    def test_bash(self):
        self.assertEqual(self.complete("alpa", "pl"), ["plan"])
        self.assertEqual([w for w in self.complete("alpa", "") if not w.startswith("-")], commands())
        self.assertEqual(self.complete("alpa", "plan", "m", "--sch"), ["--schedule"])
        self.assertEqual(self.complete("alpa", "plan", "m", "--schedule", "z"), ["zb-h1"])
        self.assertEqual(self.complete("alpa", "plan", "--cluster", "p3"), ["p3.16xlarge"])
        self.assertEqual(self.complete("alpa", "clusters", "dgx-a"), ["dgx-a100"])
        self.assertEqual(self.complete("alpa", "completion", "f"), ["fish"])
        self.assertEqual(self.complete("alpa", "run", "--trace", "x"), [], "files are the shell's own")

    def test_other_shells_can_read_theirs(self):
        for shell in ("bash", "zsh", "fish"):
            script = alpa("completion", shell)
            self.assertEqual(script.returncode, 0)
            for command in commands():
                self.assertIn(command, script.stdout)
            if not shutil.which(shell):
                continue
            done = subprocess.run([shell, "-n"], input=script.stdout, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), shell)

    def test_bad_input(self):
        for words in (["completion"], ["completion", "csh"], ["complete"]):
            done = alpa(*words)
            self.assertEqual(done.returncode, 2)
            self.assertNotEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
