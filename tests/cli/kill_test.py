#!/usr/bin/env python3
"""alpa run, killed again and again: kill_test.py ALPA [SEED].

A run with --checkpoint and --resume is ended by SIGKILL at random points: a random time after its start, a random time
after its first step, or while it saves. It is started again until it comes to its end. Then

* the losses of all steps, each there once, are those of an undisturbed run, to the last digit;
* the files of the last checkpoint are the same bytes: state, losses, and the position in the data. The data are so long
  that no example comes twice, and each batch changes the state, so no batch was left out or taken twice;
* nothing else is left in the folder of the checkpoints than those that --keep names.

22 kills in all. Prints its seed; the same seed chooses the same delays.
"""
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from waiting import until  # pylint: disable=wrong-import-position

ALPA = os.path.abspath(sys.argv[1])
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "little")
MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
KEEP = 2


def npz(path, seed, **shapes):
    """Arrays of random f32 numbers as numpy.savez would write them."""
    numbers = random.Random(seed)
    with zipfile.ZipFile(path, "w") as file:
        for name, shape in shapes.items():
            header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
            values = [numbers.uniform(-1, 1) for _ in range(shape[0] * shape[1])]
            data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
            file.writestr(zipfile.ZipInfo(name + ".npy"), data + struct.pack(f"<{len(values)}f", *values))
    return path


def text(path):
    with open(path, "w", encoding="ascii") as file:
        file.write(" ".join(str(i * i) for i in range(9000)))  # 64 kB: no window of 32 bytes is like another
    return path


class Run:
    """One training run with its folder."""

    def __init__(self, folder, model, data, steps):
        self.steps, self.checkpoints = steps, os.path.join(folder, "ck")
        self.metrics = os.path.join(folder, "m.jsonl")
        self.command = [ALPA, "run", os.path.join(MODELS, model), "-q", "--steps", str(steps), "--data", data, "--seed", "3",
                        "--checkpoint", self.checkpoints, "--checkpoint-every", "3", "--keep", str(KEEP), "--metrics",
                        self.metrics]

    def start(self):
        resume = ["--resume"] if any(n.startswith("step-") for n in self.names()) else []
        return subprocess.Popen(self.command + resume, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def names(self):
        return sorted(os.listdir(self.checkpoints)) if os.path.isdir(self.checkpoints) else []

    def finish(self):
        process = self.start()
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out

    def size(self):
        return os.path.getsize(self.metrics) if os.path.exists(self.metrics) else 0

    def outcome(self):
        """Losses by line, and the files of the last checkpoint."""
        with open(self.metrics, encoding="utf-8") as file:
            losses = [(line["step"], line["loss"]) for line in map(json.loads, file)]
        last = os.path.join(self.checkpoints, f"step-{self.steps:08}")
        files = {}
        for name in sorted(os.listdir(last)):
            with open(os.path.join(last, name), "rb") as file:
                files[name] = file.read()
        return losses, files


def kill_once(run, numbers, kind, typical):
    """Starts the run and kills it. False when it came to its end before."""
    process = run.start()
    if kind == "start":
        until(process, lambda end=time.monotonic() + numbers.uniform(0, typical): time.monotonic() > end)
    elif kind == "steps":
        before = run.size()
        until(process, lambda: run.size() > before)
        time.sleep(numbers.uniform(0, typical / 2))
    else:  # what is written lies in a hidden folder of this process, and so does what is being removed
        mine = f".tmp{process.pid}"
        for _ in range(numbers.randint(1, 3)):
            until(process, lambda: any(n.endswith(mine) for n in run.names()))
            until(process, lambda end=time.monotonic() + numbers.uniform(0, 0.003): time.monotonic() > end)
    process.kill()
    out, _ = process.communicate()
    if process.returncode == -signal.SIGKILL:
        return True
    assert process.returncode == 0, out
    return False


def check(run, expected):
    losses, files = run.outcome()
    assert [step for step, _ in losses] == list(range(1, run.steps + 1)), [step for step, _ in losses]
    assert losses == expected[0], [pair for pair in zip(losses, expected[0]) if pair[0] != pair[1]]
    assert files.keys() == expected[1].keys(), files.keys()
    for name, data in files.items():
        assert data == expected[1][name], f"{name} differs"
    assert json.loads(files["manifest.json"])["data"]["position"] == run.steps
    names = run.names()
    assert len(names) <= KEEP and all(re.fullmatch(r"step-\d{8}", n) for n in names), names


def torture(model, data, steps, kills, numbers):
    """Rounds of a run until `kills` kills are done. Returns how many were, by kind."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Run(folder, model, data, steps)
        begin = time.monotonic()
        whole.finish()
        typical = time.monotonic() - begin
        expected = whole.outcome()
    done = {"start": 0, "steps": 0, "saving": 0}
    while sum(done.values()) < kills:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(folder, model, data, steps)
            while sum(done.values()) < kills:
                kind = numbers.choice(list(done))
                if not kill_once(run, numbers, kind, typical):
                    break
                done[kind] += 1
            run.finish()  # or says that nothing is left to do
            check(run, expected)
    return done


def main():
    print(f"seed {SEED}", flush=True)
    numbers = random.Random(SEED)
    begin = time.monotonic()
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for model, data, steps, kills in [
            ("mlp_tiny.mlirbc", npz(os.path.join(folder, "d.npz"), 1, x=(64 * 100, 64), y=(64 * 100, 32)), 100, 14),
            ("gpt_tiny.mlirbc", text(os.path.join(folder, "d.txt")), 24, 8)]:
            done = torture(model, data, steps, kills, numbers)
            total += sum(done.values())
            print(f"{model}: killed {done['start']} times after a random time, {done['steps']} times after its first step, "
                  f"{done['saving']} times while saving; nothing lost", flush=True)
    print(f"{total} kills in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
