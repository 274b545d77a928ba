#!/usr/bin/env python3
"""alpa verify from outside: verify_test.py ALPA."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True)


def model(name):
    return os.path.join(MODELS, name + ".mlirbc")


class Verify(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.plan_file = os.path.join(self.folder.name, "plan.json")

    def plan(self, *words):
        done = alpa("plan", *words, "-q", "-o", self.plan_file)
        self.assertEqual(done.returncode, 0, done.stderr)

    def rows(self, done):
        """Lines of tensors as (difference, tolerance)."""
        found = re.findall(r"^(?:ok|OUT|FAILED|\S+) +.*\(step \d+\).*?(\d\.\d+e[-+]\d+) +(\d\.\d+e[-+]\d+) +(\d\.\d+e[-+]\d+)",
                           done.stdout, re.M)
        return [(float(difference), float(tolerance)) for _, difference, tolerance in found]

    def test_plan_of_one_mesh(self):
        self.plan(model("mlp_tiny"), "--mesh", "2")
        done = alpa("verify", self.plan_file, model("mlp_tiny"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("3 steps", done.stdout)
        self.assertRegex(done.stdout, r"(\d+) of \1 tensors within tolerance")
        self.assertIn("and 47 more", done.stdout)

    def test_plan_of_two_stages_worst_first(self):
        self.plan(model("mlp_tiny"), "--cluster", "local:1x4", "--stages", "2", "--microbatches", "4")
        done = alpa("verify", self.plan_file, model("mlp_tiny"), "--all", "--steps", "2")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("more within", done.stdout)
        rows = self.rows(done)
        self.assertEqual(len(rows), 52)
        shares = [difference / tolerance if tolerance > 0 else 0 for difference, tolerance in rows]
        self.assertEqual(shares, sorted(shares, reverse=True))
        self.assertGreater(shares[0], 0)  # microbatches are summed in another order

    def test_member_of_a_family(self):
        self.plan(model("mlp_family_b8"), model("mlp_family_b16"), "--mesh", "2")
        done = alpa("verify", self.plan_file, model("mlp_family_b16"), "--steps", "1")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_beyond_tolerance(self):
        # Batch norm over a microbatch computes other numbers than over the batch.
        self.plan(model("wresnet_tiny_sgd"), "--cluster", "local:1x2", "--stages", "2", "--microbatches", "4",
                  "--per-microbatch")
        done = alpa("verify", self.plan_file, model("wresnet_tiny_sgd"))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, "out of tolerance|beyond|differ")

    def test_refusals(self):
        self.plan(model("mlp_tiny"), "--mesh", "2")
        for words, says in [((self.plan_file, model("mlp_b24")), "another model"),
                            (("nowhere.json", model("mlp_tiny")), "nowhere.json"),
                            ((self.plan_file, "nowhere.mlirbc"), "nowhere.mlirbc"),
                            ((self.plan_file, model("mlp_tiny"), "--steps", "0"), "--steps")]:
            done = alpa("verify", *words)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
