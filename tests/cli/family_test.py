#!/usr/bin/env python3
"""alpa plan with several shapes of one model: family_test.py ALPA."""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SMALL, LARGE, OTHER = (os.path.join(ROOT, "tests", "models", name + ".mlirbc")
                       for name in ("mlp_family_b8", "mlp_family_b16", "mlp_tiny"))


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True)


class Family(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = os.path.join(self.folder.name, "family.json")

    def family(self, *words):
        done = alpa("plan", SMALL, LARGE, "-q", "--json", "-o", self.out, *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.out) as file:
            return json.loads(done.stdout), json.load(file)

    def refused(self, *words, says):
        done = alpa("plan", *words, "-q", "-o", self.out)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn(says, done.stderr)
        self.assertFalse(os.path.exists(self.out), "nothing is written")

    def test_expected_seconds_are_those_of_steps_and_switches(self):
        report, _ = self.family("--mesh", "2x2", "--frequency", "3,1")
        share = [3 / 4, 1 / 4]
        steps = [member["step_s"] for member in report["members"]]
        switching = report["switching_s"]
        expected = sum(f * t for f, t in zip(share, steps)) + share[0] * share[1] * (switching[0][1] + switching[1][0])
        self.assertAlmostEqual(report["expected_s"] / expected, 1, places=9)
        found = [way["expected_s"] for way in report["ways"][:-1] if "expected_s" in way]
        self.assertEqual(report["expected_s"], min(found))

    def test_plans_around_one_shape_leave_its_state_where_it_is(self):
        report, _ = self.family("--mesh", "2x2", "--pin", "params.*w=[x,]")
        self.assertEqual(sum("expected_s" in way for way in report["ways"]), 4, report["ways"])

    # ---- training on one shape after the other

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def losses(self, name):
        with open(self.path(name)) as file:
            return [(line["step"], line["loss"]) for line in map(json.loads, file)]

    def train_in_turn(self, name, plan, *words):
        """3 steps of the small shape, 2 of the large one, 2 of the small one; the losses."""
        common = ("--plan", plan, "--checkpoint", self.path(name), "--metrics", self.path(name + ".jsonl"), "-q", *words)
        for model, steps, resume in ((SMALL, 3, ()), (LARGE, 5, ("--resume",)), (SMALL, 7, ("--resume",))):
            done = alpa("run", model, "--steps", steps, *resume, *common)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(f"-{steps}: loss", done.stdout)
        losses = self.losses(name + ".jsonl")
        self.assertEqual([step for step, _ in losses], [1, 2, 3, 4, 5, 6, 7])
        return [loss for _, loss in losses]

    def state(self, name, step):
        """By name: the values of a checkpoint of one process."""
        path = os.path.join(self.path(name), f"step-{step:08}", "shard-00000-of-00001.safetensors")
        with open(path, "rb") as file:
            data = file.read()
        length, = struct.unpack("<Q", data[:8])
        header = json.loads(data[8:8 + length])
        values = {}
        for tensor, about in header.items():
            if tensor == "__metadata__":
                continue
            begin, end = (8 + length + at for at in about["data_offsets"])
            kind = {"F32": "f", "I32": "i"}[about["dtype"]]
            values[tensor] = struct.unpack(f"<{(end - begin) // 4}{kind}", data[begin:end])
        return values

    def assert_close(self, ours, theirs, name):
        self.assertEqual(len(ours), len(theirs), name)
        for a, b in zip(ours, theirs):
            self.assertTrue(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-5), f"{name}: {a} {b}")

    def check_in_turn(self, *words, run=()):
        """Plans of a family train as one device does, through changes of the shape as well."""
        one = self.path("one.json")
        done = alpa("plan", SMALL, LARGE, "-q", "--mesh", "1", "-o", one)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.family(*words)
        expected = self.train_in_turn("one", one, "--init", "random:1", *run)
        ours = self.train_in_turn("many", self.out, "--init", "random:1", *run)
        self.assertEqual(len(set(expected)), 7, "it trains")
        self.assert_close(ours, expected, "losses")
        ours, theirs = self.state("many", 7), self.state("one", 7)
        self.assertEqual([ours[name] for name in ours if "count" in name], [(7,)], "all steps are of one run")
        self.assertEqual(set(ours), set(theirs))
        for name, values in ours.items():
            self.assert_close(values, theirs[name], name)

    def test_one_shape_goes_on_from_the_checkpoint_of_the_other(self):
        self.check_in_turn("--mesh", "2x2")

    def test_stages_train_on_one_shape_after_the_other(self):
        for words in (("--stages", "2", "--microbatches", "4", "--schedule", "1f1b"),
                      ("--stages", "3", "--microbatches", "2", "--schedule", "gpipe")):
            with self.subTest(words=words):
                self.folder.cleanup()
                os.makedirs(self.folder.name)
                self.check_in_turn("--cluster", "local:1x4", *words)
                with open(self.out) as file:
                    for member in json.load(file)["members"]:
                        self.assertEqual(len(member["plan"]["stages"]), int(words[1]))

    def test_other_models_do_not_go_on_from_a_family(self):
        self.family("--mesh", "2")
        done = alpa("run", SMALL, "--plan", self.out, "--steps", "1", "--checkpoint", self.path("ck"), "-q")
        self.assertEqual(done.returncode, 0, done.stderr)
        for model in (LARGE, OTHER):  # without the plan of both, nothing says that they are one model
            done = alpa("run", model, "--steps", "2", "--checkpoint", self.path("ck"), "--resume", "-q")
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            self.assertIn("a checkpoint of another model", done.stderr)

    def test_data_go_on_at_the_same_share_of_the_epoch(self):
        self.family("--mesh", "2")
        common = ("--plan", self.out, "--checkpoint", self.path("ck"), "-q")
        self.assertEqual(alpa("run", SMALL, "--steps", "2", *common).returncode, 0)
        done = alpa("run", LARGE, "--steps", "3", "--resume", *common)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("note: ", done.stderr)  # the first batches of two sidecars are different data
        self.assertIn("mlp_family_b16.json", done.stderr)

    def test_each_member_trains_to_the_numbers_of_one_device(self):
        self.family("--mesh", "2x2")
        for model in (SMALL, LARGE):
            done = alpa("run", model, "--plan", self.out, "--check", model.replace(".mlirbc", ".npz"), "-q")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_cluster_gives_a_family_too(self):
        report, written = self.family("--cluster", "p3.16xlarge", "--stages", "1", "--microbatches", "2")
        self.assertEqual(len(written["members"]), 2)
        self.assertGreater(report["expected_s"], 0)

    def test_other_models_are_refused(self):
        self.refused(SMALL, OTHER, "--mesh", "2", says="state 0 is params['layers'][0]['b'] f32[16] in mlp_family_b8")
        self.refused(SMALL, LARGE, "--mesh", "2", "--frequency", "1,2,3", says="3 numbers for 2 models")
        self.refused(SMALL, "--mesh", "2", "--frequency", "1", says="--frequency needs several models")
        self.family("--mesh", "2")
        done = alpa("run", OTHER, "--plan", self.out, "--steps", "1", "-q")
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("no plan for this model; it was made for", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
