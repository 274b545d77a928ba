#!/usr/bin/env python3
"""alpa plan from outside: plan_test.py ALPA. What it prints and writes, and what it says to bad input."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True)


def model(name):
    return os.path.join(MODELS, name + ".mlirbc")


class Plan(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = os.path.join(self.folder.name, "plan.json")

    def plan(self, name, *words):
        done = alpa("plan", model(name), "-q", "--json", *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, *words, says=(), name="mlp_tiny"):
        done = alpa("plan", model(name), "-q", "-o", self.out, *words)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for text in says:
            self.assertIn(text, done.stderr)
        self.assertFalse(os.path.exists(self.out), "nothing is written")

    def test_the_written_plan_trains_to_the_numbers_of_one_device(self):
        report = self.plan("mlp_tiny", "--mesh", "2x3", "-o", self.out)
        self.assertLessEqual(report["bound_s"], report["cost_s"])
        done = alpa("run", model("mlp_tiny"), "--plan", self.out, "--check", os.path.join(MODELS, "mlp_tiny.npz"), "-q")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("differ from the prediction by 0.0 %", done.stdout + done.stderr)

    def test_says_what_was_decided_and_why(self):
        done = alpa("plan", model("gpt_tiny"), "--mesh", "2x4", "-q")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("step time, predicted", "memory, peak", "no plan of this search space costs less than",
                     "Largest inputs", "Most expensive", "Communication", "parameter"):
            self.assertIn(text, done.stdout)

    def test_ctrl_c_gives_the_best_plan_so_far(self):
        process = subprocess.Popen([ALPA, "plan", model("wresnet_small"), "--mesh", "2x4", "--gap", "0", "--memory", "none",
                                    "--time-limit", "100",
                                    "-o", self.out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(6)
        self.assertIsNone(process.poll(), "still searching")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=50)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("step time, predicted", out)
        self.assertTrue(os.path.exists(self.out))

    def test_no_method_beats_the_search(self):
        for name in ("gpt_tiny", "moe_tiny", "wresnet_tiny_gn"):
            best = self.plan(name, "--mesh", "2x2", "--memory", "none", "--gap", "0.005")["cost_s"]
            for method in ("data-parallel", "zero-2", "zero-3", "largest-dimension"):
                with self.subTest(model=name, method=method):
                    other = self.plan(name, "--mesh", "2x2", "--memory", "none", "--method", method)
                    self.assertGreaterEqual(other["cost_s"], best * 0.995)

    def test_methods_are_shown_beside_the_plan(self):
        done = alpa("plan", model("mlp_tiny"), "--mesh", "2x2", "--methods", "-q", "-o", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("By hand", done.stdout)
        with open(self.out) as f:
            plan = json.load(f)
        ways = plan["notes"]["ways"]
        self.assertEqual({w["name"] for w in ways}, {"data-parallel", "zero-2", "zero-3", "largest-dimension"})
        step = plan["prediction"]["compute_seconds"] + plan["prediction"]["communication_seconds"]
        for way in ways:
            self.assertGreaterEqual(way["step_seconds"], 0.99 * step)
        os.remove(self.out)
        self.refused("--mesh", "2x2", "--methods", "--method", "zero-2", says=["--methods"])
        self.refused("--cluster", "local:1x4", "--methods", says=["--methods needs --mesh"])

    def test_data_parallel_copies_parameters_and_splits_the_batch(self):
        inputs = self.plan("gpt_tiny", "--mesh", "8", "--method", "data-parallel")["inputs"]
        self.assertEqual(inputs["params['wte']"], "[,]")
        self.assertEqual(inputs["batch['ids']"], "[x,]")

    def test_less_memory_splits_state(self):
        free = self.plan("mlp_tiny", "--mesh", "1x8", "--memory", "none")
        limit = int(free["memory_bytes"] * 0.6)
        tight = self.plan("mlp_tiny", "--mesh", "1x8", "--memory", f"{limit} B")
        self.assertLessEqual(tight["memory_bytes"], limit)
        self.assertGreaterEqual(tight["cost_s"], free["bound_s"])

    def test_pins_are_met(self):
        inputs = self.plan("gpt_tiny", "--mesh", "2x4", "--pin", r"params.*wte=[y,x]")["inputs"]
        self.assertEqual(inputs["params['wte']"], "[y,x]")

    def test_microbatches_lower_memory(self):
        whole = self.plan("gpt_tiny", "--mesh", "2", "--memory", "none")
        parts = self.plan("gpt_tiny", "--mesh", "2", "--memory", "none", "--microbatches", "4")
        self.assertLess(parts["memory_bytes"], whole["memory_bytes"])

    def test_odd_meshes_and_one_device(self):
        for mesh in ("1", "3", "1x3", "3x2", "12", "5x1", "2x2x2"):
            with self.subTest(mesh=mesh):
                self.assertGreater(self.plan("mlp_tiny", "--mesh", mesh)["cost_s"], 0)

    def test_refuses_meshes(self):
        self.refused("--mesh", "4x4", "--cluster", "p3.16xlarge:1", says=["4x4", "16", "8"])
        for text in ("", "0", "2x", "x2", "2x-1", "two", "1x1x1x1", "99999999999999999999"):
            with self.subTest(mesh=text):
                if text:
                    self.refused("--mesh", text, says=[text])

    def test_refuses_memory(self):
        for text in ("16", "-1GiB", "0 B", "lots", "16 apples"):
            with self.subTest(memory=text):
                self.refused("--mesh", "2", "--memory=" + text, says=["--memory"])

    def test_says_where_memory_does_not_suffice(self):
        self.refused("--mesh", "2", "--memory", "10 KiB", says=["10.00 KiB per device", "too much", " at "])

    def test_refuses_pins(self):
        self.refused("--mesh", "2x2", "--pin", "nothing_like_it=[x,]", says=["nothing_like_it", "params"])
        self.refused("--mesh", "2x2", "--pin", "layers=[x", says=["not in brackets"])
        self.refused("--mesh", "2x2", "--pin", "params", says=["PATTERN=SPEC"])
        self.refused("--mesh", "2x2", "--pin", "params.*w=[q,]", says=["no axis 'q'"])
        self.refused("--mesh", "2x2", "--pin", "params.*'w'=[x,]", "--pin", "params.*0.*'w'=[,x]", says=["pinned to"])
        self.refused("--mesh", "3", "--pin", "params.*'w'=[x,]", says=["divisible"])

    def test_refuses_other_things(self):
        self.refused("--mesh", "2", "--cluster", "nowhere", says=["nowhere"])
        self.refused("--mesh", "2", "--microbatches", "7", says=["7 microbatches"])
        self.refused("--mesh", "7", "--method", "data-parallel", says=["divides the batch"])
        done = alpa("plan", model("mlp_tiny"), "--mesh", "2", "-o", os.path.join(self.folder.name, "no", "plan.json"))
        self.assertEqual(done.returncode, 2)
        done = alpa("plan", os.path.join(self.folder.name, "missing.mlirbc"), "--mesh", "2")
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
