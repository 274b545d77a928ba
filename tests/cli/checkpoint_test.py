#!/usr/bin/env python3
"""Signals, full disks and damaged checkpoints in `alpa run`: checkpoint_test.py ALPA."""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ALPA = os.path.abspath(sys.argv[1])
MLP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "mlp_tiny.mlirbc")
SHARD = "shard-00000-of-00001.safetensors"


class Checkpoints(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, steps, name, *words, **kwargs):
        return subprocess.Popen([ALPA, "run", MLP, "-q", "--steps", str(steps), "--metrics", f"{name}.jsonl", *words],
                                cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)

    def run_to(self, steps, name, *words, **kwargs):
        process = self.start(steps, name, "--checkpoint", name, *words, **kwargs)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def losses(self, name):
        with open(os.path.join(self.folder, f"{name}.jsonl"), encoding="utf-8") as file:
            return [(line["step"], line["loss"]) for line in map(json.loads, file)]

    def read(self, *path):
        with open(os.path.join(self.folder, *path), "rb") as file:
            return file.read()

    def after_first_step(self, process, name):
        metrics = os.path.join(self.folder, f"{name}.jsonl")
        while not os.path.exists(metrics) or os.path.getsize(metrics) == 0:
            self.assertIsNone(process.poll(), "it ended before its first step")
            time.sleep(0.002)

    def test_a_signal_ends_a_run_in_order_and_nothing_is_lost(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            name = number.name
            process = self.start(1_000_000, name, "--checkpoint", name)
            self.after_first_step(process, name)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 3, err)
            done = len(self.losses(name))
            self.assertEqual(err, f"alpa: {name}: {done} of 1000000 steps done, saved as {name}/step-{done:08}\n"
                                  "  go on with --resume\n")
            self.assertEqual(os.listdir(os.path.join(self.folder, name)), [f"step-{done:08}"])
            steps = done + 3
            self.assertEqual(self.run_to(steps, name, "--resume")[0], 0)
            self.assertEqual(self.run_to(steps, "whole" + name)[0], 0)
            self.assertEqual(self.losses(name), self.losses("whole" + name))
            last = f"step-{steps:08}"
            self.assertEqual(self.read(name, last, SHARD), self.read("whole" + name, last, SHARD))

    def test_without_a_folder_a_signal_says_that_nothing_is_saved(self):
        process = self.start(1_000_000, "m")
        self.after_first_step(process, "m")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, err)
        self.assertIn("steps done, not saved", err)
        self.assertIn("--checkpoint DIR", err)

    def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before(self):
        self.assertEqual(self.run_to(2, "ck")[0], 0)
        space = len(self.read("ck", "step-00000002", SHARD)) - 1
        status, _, err = self.run_to(6, "ck", "--resume", "--checkpoint-every", "2",
                                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (space, space)))
        self.assertEqual(status, 2, err)
        self.assertRegex(err, f"{SHARD}: cannot write: File too large")
        self.assertIn("the newest checkpoint is ck/step-00000002; go on from there with --resume", err)
        self.assertEqual(os.listdir(os.path.join(self.folder, "ck")), ["step-00000002"])
        self.assertEqual(self.run_to(6, "ck", "--resume")[0], 0)
        self.assertEqual(self.run_to(6, "whole")[0], 0)
        self.assertEqual(self.losses("ck"), self.losses("whole"))

    def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(self):
        def shorten(path):
            os.truncate(path, os.path.getsize(path) - 1)

        for damage, file, why in ((os.remove, SHARD, "is missing"), (os.remove, "manifest.json", "is missing"),
                                  (shorten, SHARD, "(truncated)")):
            name = f"{damage.__name__}-{file}"
            self.assertEqual(self.run_to(4, name, "--checkpoint-every", "2")[0], 0)
            damage(os.path.join(self.folder, name, "step-00000004", file))
            status, _, err = self.run_to(6, name, "--resume", "--checkpoint-every", "2")
            self.assertEqual(status, 0, err)
            self.assertIn(f"{name}/step-00000004", err)
            self.assertIn(file, err)
            self.assertIn(f"{why}", err)
            self.assertIn(f"going on from {name}/step-00000002", err)
            self.assertEqual([step for step, _ in self.losses(name)], [1, 2, 3, 4, 5, 6])
            self.assertEqual(self.run_to(7, name, "--resume")[2], "", "the one of step 4 is whole again")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
