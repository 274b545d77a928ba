#!/usr/bin/env python3
"""alpa plan with several shapes of one model: family_test.py ALPA."""
import json
import os
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

    @unittest.expectedFailure  # a checkpoint belongs to one model file; that another one has the same state is not looked at
    def test_one_shape_goes_on_from_the_checkpoint_of_the_other(self):
        self.family("--mesh", "2x2")
        checkpoints = os.path.join(self.folder.name, "ckpt")
        common = ("--plan", self.out, "--checkpoint", checkpoints, "--init", "random:1", "-q")
        first = alpa("run", SMALL, "--steps", "3", *common)
        self.assertEqual(first.returncode, 0, first.stdout + first.stderr)
        second = alpa("run", LARGE, "--steps", "5", "--resume", *common)
        self.assertEqual(second.returncode, 0, second.stdout + second.stderr)
        self.assertIn("steps 4-5", second.stdout)

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
