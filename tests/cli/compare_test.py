#!/usr/bin/env python3
"""alpa compare from outside: compare_test.py ALPA."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True)


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        gpt = os.path.join(MODELS, "gpt_tiny.mlirbc")
        cls.plans = {}
        for name, words in {
            "a": [gpt, "--cluster", "local:1x8", "--stages", 4, "--microbatches", 8, "--schedule", "zb-h1"],
            "b": [gpt, "--cluster", "local:1x8", "--stages", 4, "--microbatches", 8, "--schedule", "1f1b"],
            "mesh": [gpt, "--mesh", "2x4"],
            "zero": [gpt, "--mesh", "2x4", "--method", "zero-2"],
            "other": [os.path.join(MODELS, "mlp_tiny.mlirbc"), "--mesh", "2x4"],
            "family": [os.path.join(MODELS, "mlp_family_b16.mlirbc"), os.path.join(MODELS, "mlp_family_b8.mlirbc"), "--mesh", "2"],
        }.items():
            cls.plans[name] = os.path.join(cls.temporary.name, name + ".json")
            done = alpa("plan", *words, "-q", "-o", cls.plans[name])
            assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def compare(self, a, b, *words):
        done = alpa("compare", self.plans[a], self.plans[b], *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_a_schedule_is_priced_alone(self):
        j = json.loads(self.compare("a", "b", "--json"))
        self.assertTrue(j["same_model"])
        schedule = next(d for d in j["differences"] if d["what"] == "schedule")
        self.assertEqual((schedule["a"], schedule["b"]), ("zb-h1", "1f1b"))
        self.assertRegex(schedule["cost"], r"^\+.* a step, this alone$")
        said = json.loads(alpa("simulate", self.plans["b"], "--json").stdout)["step_s"]
        self.assertAlmostEqual(j["b"]["step_s"], said)
        for plan in (j["a"], j["b"]):
            self.assertAlmostEqual(plan["computing"] + plan["waiting"] + plan["bubble"], 1)

    def test_meshes_by_layouts_collectives_and_places(self):
        text = self.compare("mesh", "zero")
        for part in ("step time, predicted", "inputs", "lie otherwise", "all-gather", "common.py:", "params['wte']", "per device"):
            self.assertIn(part, text)

    def test_of_different_kinds_models_and_itself(self):
        self.assertIn("one mesh", self.compare("mesh", "a"))
        self.assertIn("different models", self.compare("mesh", "other"))
        self.assertIn("The plans are the same.", self.compare("a", "a"))
        self.assertEqual(self.compare("family", "family").count("The plans are the same."), 2)

    def test_bad_input(self):
        for words, says in (
            ([self.plans["a"], "nowhere.json"], "nowhere.json"),
            ([self.plans["mesh"], self.plans["family"]], "family.json for 2"),
            ([self.plans["a"], self.plans["b"], "--cluster", "local:1x2"], "a.json: stage 1 of the plan needs devices"),
            ([__file__, self.plans["a"]], "compare_test.py: plan: not valid JSON"),
        ):
            done = alpa("compare", *words)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn(says, done.stderr)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
