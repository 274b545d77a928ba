#!/usr/bin/env python3
"""`alpa clusters`: clusters_test.py build/alpa. Runs in an empty folder: the names need no files of the project."""
import os
import subprocess
import sys
import tempfile

ALPA = os.path.abspath(sys.argv[1])
FAILED = []


def check(folder, args, status, words, out=None):
    done = subprocess.run([ALPA, "clusters", *args], cwd=folder, capture_output=True, text=True)
    said = done.stdout + done.stderr
    wrong = [f"exit status {done.returncode}"] if done.returncode != status else []
    wrong += [f"lacks {word!r}" for word in words if word not in said]
    if status and done.stdout:
        wrong.append("wrote to stdout")
    print(f"{'FAILED' if wrong else 'ok':7}clusters {' '.join(args)} {'; '.join(wrong)}")
    if wrong:
        print(said)
        FAILED.append(args)
    return done.stdout


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as f:
        f.write(text)


def main():
    with tempfile.TemporaryDirectory(prefix="alpa-clusters-") as folder:
        listed = check(folder, [], 0, ["NAME:8"])
        names = [line.split()[0] for line in listed.split("\n\n")[0].splitlines()]
        check(folder, ["p3.16xlarge:8"], 0, ["8 hosts, 64 devices", "V100-16GB", "3.12 GB/s"])
        check(folder, ["local:2x4"], 0, ["2 hosts, 8 devices"])
        for name in names:
            write(folder, "mine.toml", check(folder, [name, "--toml"], 0, ["[[host]]"]))
            check(folder, ["mine.toml"], 0, ["1 host,"])
        write(folder, "mixed.toml", '[[host]]\nlike = "p3.16xlarge"\ncount = 2\n\n'
                                    '[[host]]\nlike = "p4d.24xlarge"\nname = "broken"\ndevices = 7\n')
        check(folder, ["mixed.toml"], 0, ["3 hosts, 23 devices", "host0-0 .. host0-1", "7 A100-40GB"])

        check(folder, ["foo"], 2, ['there is no cluster "foo"', "known: dgx-a100"])
        check(folder, ["p3.16xlarge:0"], 2, ['"0" is no size', "p3.16xlarge:8 (8 hosts)"])
        check(folder, ["local:2x"], 2, ['"2x" is no size'])
        check(folder, ["gone.toml"], 2, ["gone.toml: no such file"])
        check(folder, ["--toml"], 2, ["--toml needs the name"])
        check(folder, ["mine.toml", "--toml"], 2, ['there is no cluster "mine.toml"'])
        for text, words in {
            '[[host]]\ndevice = "V100"\n': ['bad.toml:2: host.device: unknown device type "V100"', "V100-16GB"],
            '[[host]]\nlike = "p3.16xlarge"\ndevices = -7\n': ["bad.toml:3: host.devices: -7 is not from 1 to 1024"],
            '[[host]]\nlike = "p3.16xlarge"\nintra = { latency = "1 us" }\n': ["bad.toml:3: host.intra.bandwidth: is missing"],
            '[[host]]\nlike = "p3.16xlarge"\ndevcies = 7\n': ["bad.toml:3: host.devcies: unknown key", "did you mean devices?"],
            'host = "p3"\n': ["bad.toml:1: host: must be an array of tables"],
            "[[host]\n": ["bad.toml:1: "],
            "\x00": ["bad.toml:1: "],
        }.items():
            write(folder, "bad.toml", text)
            check(folder, ["bad.toml"], 2, words)
    return 1 if FAILED else 0


sys.exit(main())
