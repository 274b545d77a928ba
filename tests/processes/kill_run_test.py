#!/usr/bin/env python3
"""`mpirun -n 2 alpa run --plan ... --checkpoint ...`, one process of it killed again and again: kill_run_test.py PROGRAM MPIRUN...

One of the two processes, chosen at random, is ended by SIGKILL at a random time after the start, after a step, or while a
checkpoint is written. The run is started again with --resume until it comes to its end. Then

* the losses of all steps, each there once, are those of an undisturbed run, to the last digit, and the files of the last checkpoint
  are the same bytes: no batch was left out or taken twice;
* each start goes on from the newest checkpoint that the killed run had put into place; none was damaged, nothing else is left.

ALPA_TEST_KILLS kills (8); prints its seed, ALPA_TEST_SEED chooses it: the same delays then, though not the same instants."""
import os
import random
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from several import *  # pylint: disable=wildcard-import,unused-wildcard-import

sys.path.append(str(Path(__file__).resolve().parent.parent))
from waiting import gone, until  # pylint: disable=wrong-import-position

MODEL = MODELS / "gpt_tiny.mlirbc"
KILLS = int(os.environ.get("ALPA_TEST_KILLS", "8"))
SEED = int(os.environ.get("ALPA_TEST_SEED", str(int.from_bytes(os.urandom(4), "little"))))
STEPS = 60
EVERY, KEEP = 3, 2


class Run:
    """A training run with its folder."""

    def __init__(self, folder, plan, data):
        folder.mkdir()
        self.checkpoints, self.metrics = folder / "ck", folder / "m.jsonl"
        self.arguments = ["run", MODEL, "--plan", plan, "-q", "--steps", STEPS, "--data", data, "--seed", 3, "--checkpoint",
                          self.checkpoints, "--checkpoint-every", EVERY, "--keep", KEEP, "--metrics", self.metrics]

    def names(self):
        return sorted(os.listdir(self.checkpoints)) if self.checkpoints.is_dir() else []

    def newest(self):
        return max((int(name[5:]) for name in self.names() if name.startswith("step-")), default=0)

    def start(self):
        return start(2, *self.arguments, *(["--resume"] if self.newest() else []))

    def finish(self):
        newest = self.newest()
        run = self.start()
        out, err = run.communicate(timeout=280)
        expect(run.returncode == 0 and err == "", "comes to its end without a word", out + err)
        at = f"steps {newest + 1}-{STEPS}: " if newest < STEPS else f"the checkpoint is at step {STEPS}"
        expect(at in out, "from the newest checkpoint on", (newest, out))

    def outcome(self):
        last = self.checkpoints / f"step-{STEPS:08}"
        return metrics(self.metrics), {f.name: f.read_bytes() for f in sorted(last.iterdir())}


def kill_once(one, numbers, kind, typical):
    """Starts the run and kills one of its processes. False when it came to its end before."""
    before = len(metrics(one.metrics))
    newest = one.newest()
    run = one.start()
    processes = []

    def started():
        processes[:] = pids(run)
        return len(processes) == 2

    if not until(run, started):
        out, err = run.communicate()
        expect(run.returncode == 0, "a run that is started again", out + err)
        return False
    victim = processes[numbers.randrange(2)]
    if kind == "start":
        until(run, lambda end=time.monotonic() + numbers.uniform(0, typical): time.monotonic() > end)
    else:
        # Metrics of steps behind the checkpoint are dropped first, so a step is over when there are more than newest ones.
        until(run, lambda: newest < len(metrics(one.metrics)) != before)
        if kind == "steps":
            until(run, lambda end=time.monotonic() + numbers.uniform(0, 1): time.monotonic() > end)
        else:
            for _ in range(numbers.randint(1, 3)):
                until(run, lambda: any(name.startswith(".") for name in one.names()))
                until(run, lambda end=time.monotonic() + numbers.uniform(0, 0.01): time.monotonic() > end)
    if gone(victim) or run.poll() is not None:
        out, err = run.communicate()
        expect(run.returncode == 0, "a run that was not killed", out + err)
        return False
    os.kill(victim, signal.SIGKILL)
    at = one.newest()
    out, err = run.communicate(timeout=60)
    if run.returncode == 0:  # it was done by then
        return False
    end = time.monotonic() + 10
    while not all(gone(pid) for pid in processes) and time.monotonic() < end:
        time.sleep(0.01)
    expect(all(gone(pid) for pid in processes), f"{kind}: the other process ends, too", processes)
    expect("warning" not in out + err, f"{kind}: went on from no damaged checkpoint", out + err)
    expect(one.newest() >= at >= newest, f"{kind}: checkpoints stay", (newest, at, one.newest()))
    if before := len(metrics(one.metrics)):
        expect(metrics(one.metrics) == list(zip(range(1, before + 1), losses(one.metrics))), f"{kind}: each step once")
    return True


def main():
    print(f"seed {SEED}", flush=True)
    numbers = random.Random(SEED)
    done = {"start": 0, "steps": 0, "saving": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.txt"
        data.write_text(" ".join(str(i * i) for i in range(9000)))  # no window of 32 bytes is like another
        plan = make_plan(MODEL, "local:2x1", folder / "plan.json", "--stages", 2, "--microbatches", 2)
        whole = Run(folder / "whole", plan, data)
        begin = time.monotonic()
        whole.finish()
        typical = time.monotonic() - begin
        expected = whole.outcome()
        for attempt in range(10 * KILLS):
            if sum(done.values()) >= KILLS or FAILED:
                break
            one = Run(folder / f"run{attempt}", plan, data)
            while sum(done.values()) < KILLS and not FAILED:
                kind = numbers.choice(list(done))
                if not kill_once(one, numbers, kind, typical):
                    break
                done[kind] += 1
            one.finish()  # or says that nothing is left to do
            got = one.outcome()
            expect(got[0] == expected[0], "the losses of an undisturbed run", [p for p in zip(got[0], expected[0]) if p[0] != p[1]])
            expect(got[1].keys() == expected[1].keys(), "the files of its last checkpoint", got[1].keys())
            differ = [file for file, bytes_ in got[1].items() if bytes_ != expected[1].get(file)]
            expect(differ == [], "and the same bytes in them", differ)
            left = one.names()
            expect(len(left) <= KEEP and all(re.fullmatch(r"step-\d{8}", n) for n in left), "nothing else is left", left)
    expect(sum(done.values()) >= KILLS, f"{KILLS} kills", done)
    print(f"killed {done['start']} times after a random time, {done['steps']} times after a step, {done['saving']} times while saving")


main()
finish()
