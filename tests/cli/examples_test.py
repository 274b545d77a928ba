#!/usr/bin/env python3
"""The examples of the tutorial: examples_test.py ALPA [--update] [REGEX]. Runs examples/N-NAME/run.sh and compares it with
docs/tutorial/N-NAME.md: the commands of the page are those that are run, and every line of output that the page shows
is among what they print, in this order, numbers aside. `...` in a page stands for lines left out.

With --update the numbers in the pages become those of this run; a command without output under it gets all of it.
Examples that need JAX, or flax and optax, are skipped where these are not; exit status 77 when nothing else was run."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NEEDS = {"6-own-model": "jax", "7-flax-optax": "jax, flax, optax"}
LIMIT = 300  # seconds for one example
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.S | re.M)


def normal(line):
    """A line without what differs from run to run: numbers, units of time, the bars of timelines, widths of columns."""
    line = re.sub(r"\|[A-Za-z. ]{40,}\|", "|bar|", line)
    line = re.sub(r"the worst is '.*':", "the worst is:", line)  # which of them it is depends on the processor
    line = re.sub(r"-?\d[\d.,:]*(e[-+]\d+|[kM]\b)?", "#", line)
    line = re.sub(r"# (?:[kMGTP])?(?:ns|us|ms|s|FLOPS|(?:examples|tokens)/s)\b", "# unit", line)
    line = re.sub(r"[-+](?=#)", "", line)
    return re.sub(r"\s+", " ", line).strip()


def commands_of(text):
    """Commands of a run.sh, or of blocks of a page without their `$ `: a list of lists of lines."""
    found, goes_on = [], False
    for line in text.splitlines():
        if goes_on:
            found[-1].append(line)
        elif line and not line.startswith(("#", "source ")):
            found.append([line])
        goes_on = bool(found) and line.endswith("\\")
    return found


def read_page(text):
    """Commands of a page, each with the lines shown under it."""
    found = []
    for block in BLOCK.findall(text):
        goes_on = False
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(([line[2:]], []))
            elif goes_on:
                found[-1][0].append(re.sub("^> ", "", line))
            else:
                found[-1][1].append(line)
            goes_on = line.endswith("\\") and not found[-1][1]
    return found


def transcript(output, commands):
    """What each command printed, of the output of `bash -v`."""
    lines, at, found = output.splitlines(), 0, []
    starts = []
    for command in commands:
        while lines[at:at + len(command)] != command:
            at += 1
            if at > len(lines):
                raise AssertionError(f"not run: {' '.join(command)}")
        starts.append((at, at + len(command)))
        at += len(command)
    for i, (_, begin) in enumerate(starts):
        end = starts[i + 1][0] if i + 1 < len(starts) else len(lines)
        found.append([line.rstrip() for line in lines[begin:end] if line.strip() or begin < end - 1])
    return found


def match(shown, printed):
    """The shown lines as they were printed this time; an AssertionError names the first that was not."""
    result, at = [], 0
    for line in shown:
        if line == "..." or not line:
            result.append(line)
            continue
        wanted = normal(line)
        place = next((i for i in range(at, len(printed)) if normal(printed[i]) == wanted), None)
        if place is None:
            raise AssertionError(f"not printed: {line}\n" + "\n".join("  | " + p for p in printed))
        result.append(printed[place])
        at = place + 1
    return result


def run(name, alpa, update):
    page = os.path.join(ROOT, "docs", "tutorial", name + ".md")
    with open(page) as f:
        text = f.read()
    with open(os.path.join(ROOT, "examples", name, "run.sh")) as f:
        commands = commands_of(f.read())
    shown = read_page(text)
    if [c for c, _ in shown] != commands:
        raise AssertionError(f"docs/tutorial/{name}.md and examples/{name}/run.sh have other commands:\n"
                             f"{[c for c, _ in shown]}\n{commands}")
    done = subprocess.run(["bash", "-v", os.path.join("examples", name, "run.sh")], cwd=ROOT, timeout=LIMIT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, ALPA_BUILD=os.path.dirname(os.path.abspath(alpa))))
    if done.returncode:
        raise AssertionError(f"exit status {done.returncode}\n{done.stdout[-4000:]}")
    printed = transcript(done.stdout, commands)
    fresh = [(c, match(lines, p) if lines else p if update else [])
             for (c, lines), p in zip(shown, printed)]
    if update:
        rest = iter(fresh)

        def renew(block):
            out = []
            for line in block.group(1).splitlines():
                if line.startswith("$ "):
                    command, lines = next(rest)
                    out += ["$ " + command[0], *command[1:], *lines]
            return "```console\n" + "\n".join(out) + "\n```"
        with open(page, "w") as f:
            f.write(BLOCK.sub(renew, text))


def missing(name):
    """What an example needs and is not there."""
    need = NEEDS.get(name)
    probe = f"source examples/setup.sh; python3 -c 'import {need}'"
    return need if need and subprocess.run(["bash", "-c", probe], cwd=ROOT, capture_output=True).returncode else None


def main():
    alpa, *words = sys.argv[1:]
    update = "--update" in words
    only = next((w for w in words if not w.startswith("--")), "")
    names = sorted(n for n in os.listdir(os.path.join(ROOT, "examples")) if re.match(r"\d+-", n) and re.search(only, n))
    pages = sorted(n[:-3] for n in os.listdir(os.path.join(ROOT, "docs", "tutorial")) if re.match(r"\d+-", n))
    failed, ran = [], 0
    if not only and names != pages:
        failed.append(f"examples {names}, but pages {pages}")
    for name in names:
        if need := missing(name):
            print(f"skipped {name}: needs {need}", flush=True)
            continue
        ran += 1
        try:
            run(name, alpa, update)
            print(f"ok      {name}", flush=True)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as e:
            failed.append(name)
            print(f"FAILED  {name}: {e}", flush=True)
    if failed:
        sys.exit(f"{len(failed)} failed: {failed}\nwhere the program says something else now: edit the page, and "
                 "tests/cli/examples_test.py build/alpa --update")
    sys.exit(0 if ran else 77)


if __name__ == "__main__":
    main()
