#!/usr/bin/env python3
"""Plans of several stages, executed: pipeline_matrix_test.py ALPA.

Each plan has to give the numbers of the model's golden file, by the tolerances of alpa run --check. After a fixed matrix
come random plans, for ALPA_RANDOM_SECONDS (60); ALPA_SEED repeats a run, the seed is printed first.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")

SEED = int(os.environ.get("ALPA_SEED", random.SystemRandom().randrange(10**6)))
SECONDS = float(os.environ.get("ALPA_RANDOM_SECONDS", 60))

# model, cluster, options of alpa plan
MATRIX = [
    ("gpt_tiny", "local:1x1", ["--stages", 1, "--microbatches", 16]),
    ("gpt_tiny", "local:1x4", ["--stages", 2, "--microbatches", 1]),
    ("gpt_tiny", "local:1x3", ["--stages", 2, "--microbatches", 4, "--schedule", "1f1b"]),
    ("gpt_tiny", "local:1x8", ["--stages", 3, "--microbatches", 2, "--schedule", "gpipe"]),
    ("gpt_tiny", "local:1x8", ["--stages", 2, "--microbatches", 8, "--schedule", "zb-h1"]),
    ("gpt_tiny", "local:1x2", ["--stages", 4, "--microbatches", 4, "--schedule", "interleaved"]),
    ("gpt_tiny_tied_gather", "local:1x2", ["--stages", 2, "--microbatches", 4, "--schedule", "1f1b"]),
    ("gpt_tiny_tied_gather", "local:1x4", ["--stages", 3, "--microbatches", 2, "--schedule", "zb-h1"]),
    ("gpt_tiny_tied_gather", "local:1x8", ["--stages", 2, "--microbatches", 4, "--schedule", "1f1b"]),
    ("gpt_scan", "local:1x4", ["--stages", 2, "--microbatches", 4]),
    ("gpt_tiny_remat", "local:1x2", ["--stages", 2, "--microbatches", 4]),
    ("gpt_tiny_bf16", "local:1x4", ["--stages", 2, "--microbatches", 4]),
    ("gpt_tiny_bf16", "local:1x4", ["--stages", 2, "--microbatches", 4, "--half-sums"]),
    ("moe_tiny_sgd", "local:1x8", ["--stages", 2, "--microbatches", 4]),
    ("wresnet_tiny_gn", "local:1x2", ["--stages", 2, "--microbatches", 4]),
    ("two_tower", "local:1x4", ["--stages", 3, "--microbatches", 1]),
    ("unet", "local:1x2", ["--stages", 2, "--microbatches", 2]),
    ("clip_norm", "local:1x2", ["--stages", 2, "--microbatches", 4, "--schedule", "zb-h1"]),
    ("rnn_scan", "local:1x3", ["--stages", 3, "--microbatches", 2, "--schedule", "gpipe"]),
    ("batch_result", "local:1x2", ["--stages", 2, "--microbatches", 4]),
    ("dropout", "local:1x2", ["--stages", 2, "--microbatches", 4]),
    ("lora", "local:1x2", ["--stages", 2, "--microbatches", 2]),
]

RANDOM_MODELS = ["gpt_tiny", "gpt_tiny_sgd", "gpt_tiny_remat", "gpt_tiny_tied_gather", "gpt_b24", "gpt_scan", "gqa_rope",
                 "moe_tiny_sgd", "mlp_tiny", "mlp_b24", "clip_norm", "dropout", "rnn_scan", "two_tower", "unet",
                 "wresnet_tiny_gn", "batch_result", "metrics_first", "batch_dim1", "f16_mixed"]


def alpa(*words, timeout=300):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True, timeout=timeout)


def file_of(model, suffix):
    return os.path.join(MODELS, model + suffix)


def check(model, plan, *options):
    return alpa("run", file_of(model, ".mlirbc"), "--plan", plan, "--check", file_of(model, ".npz"), *(options or ["-q"]))


def bytes_not_as_planned(output):
    """Lines of `alpa run -v` that say that a stage's programs communicate other bytes than planned, kind by kind."""
    return [line for line in output.splitlines()
            if "not predicted" in line or re.search(r"differ from the prediction by (?!0\.0 %)", line)]


class Matrix(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.plan = os.path.join(self.folder.name, "plan.json")

    def make(self, model, cluster, options):
        made = alpa("plan", file_of(model, ".mlirbc"), "--cluster", cluster, *options, "-o", self.plan, "-q")
        self.assertEqual(made.returncode, 0, f"{model} {cluster} {options}: {made.stderr}")

    def test_matrix(self):
        for model, cluster, options in MATRIX:
            with self.subTest(f"{model} {cluster} {options}"):
                self.make(model, cluster, options)
                ran = check(model, self.plan, "-v")
                self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)
                self.assertEqual(bytes_not_as_planned(ran.stdout), [], ran.stdout)

    def test_steps_without_gradients(self):
        """All models that have no backward pass, in stages that the search chose."""
        names = sorted(name[:-7] for name in os.listdir(MODELS) if name.endswith(".mlirbc"))
        models = [name for name in names if os.path.exists(file_of(name, ".npz")) and not self.trains(name)]
        self.assertLessEqual({"eval_only", "eval_gpt", "eval_scan"}, set(models))
        cases = [(model, "local:1x4", ["--stages", stages, "--microbatches", microbatches])
                 for model in models for microbatches in (1, 4)
                 for stages in ((1, 2) if model == "eval_only" else (1, 2, 3))]  # which has two products
        cases += [("eval_gpt", "local:1x2", ["--stages", 4, "--layers", 4, "--microbatches", 4, "--schedule", "interleaved"]),
                  ("eval_gpt", "local:1x2", ["--stages", 6, "--layers", 6, "--microbatches", 2, "--schedule", "interleaved"]),
                  ("eval_gpt", "local:1x3", ["--stages", 3, "--microbatches", 6, "--schedule", "1f1b"]),
                  ("eval_scan", "local:1x4", ["--stages", 3, "--microbatches", 3, "--schedule", "zb-h1"]),
                  ("eval_gpt", "local:1x2", ["--layers", 6])]  # whatever is found to be best
        for model, cluster, options in cases:
            with self.subTest(f"{model} {cluster} {options}"):
                self.make(model, cluster, options)
                ran = check(model, self.plan)
                self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)

    def trains(self, model):
        with open(file_of(model, ".json")) as f:
            return any(arg["role"] in ("param", "opt_state") for arg in json.load(f)["args"])

    def test_little_memory_recomputes(self):
        self.make("gpt_tiny", "local:1x2", ["--stages", 2, "--microbatches", 4, "--schedule", "gpipe"])
        with open(self.plan) as f:
            most = max(stage["prediction"]["peak_bytes"] for stage in json.load(f)["stages"])
        self.make("gpt_tiny", "local:1x2", ["--stages", 2, "--microbatches", 4, "--schedule", "gpipe", "--memory",
                                            f"{int(most * 0.7 / 1024)}KiB"])
        with open(self.plan) as f:
            self.assertTrue(any(stage["recompute"] for stage in json.load(f)["stages"]))
        ran = check("gpt_tiny", self.plan)
        self.assertEqual(ran.returncode, 0, ran.stderr + ran.stdout)

    def test_verify_tells_right_from_wrong(self):
        self.make("mlp_tiny", "local:1x2", ["--stages", 2, "--microbatches", 2])
        good = alpa("verify", self.plan, file_of("mlp_tiny", ".mlirbc"))
        self.assertEqual(good.returncode, 0, good.stderr)
        self.assertIn("tensors within tolerance", good.stdout)
        # Rounding is not zero, so a tolerance of nothing (and no allowance) cannot hold for all of a chaotic few steps.
        strict = alpa("verify", self.plan, file_of("mlp_tiny", ".mlirbc"), "--tolerance", "1e-9")
        self.assertIn(strict.returncode, (0, 1))
        self.assertIn("tolerance", strict.stdout)

    def test_trace_and_where_the_time_went(self):
        self.make("mlp_tiny", "local:1x2", ["--stages", 2, "--microbatches", 2])
        trace = os.path.join(self.folder.name, "trace.json")
        ran = alpa("run", file_of("mlp_tiny", ".mlirbc"), "--plan", self.plan, "--steps", 3, "--trace", trace, "-q")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertRegex(ran.stdout, r"mesh 1 in the last step: [\d.]+ % computing")
        with open(trace) as f:
            events = json.load(f)["traceEvents"]
        names = {event["args"]["name"] for event in events if event["name"] == "process_name"}
        self.assertIn("measured", names)
        self.assertTrue(any(name.startswith("simulated") for name in names))
        self.assertTrue(any(event["name"].startswith("forward s1 k1") for event in events))

    def test_resume_goes_on(self):
        self.make("mlp_tiny", "local:1x2", ["--stages", 2, "--microbatches", 2])
        model = file_of("mlp_tiny", ".mlirbc")
        whole = alpa("run", model, "--plan", self.plan, "--steps", 6, "-q")
        folder = os.path.join(self.folder.name, "ckpt")
        first = alpa("run", model, "--plan", self.plan, "--steps", 3, "-q", "--checkpoint", folder)
        self.assertEqual(first.returncode, 0, first.stderr)
        # On another plan: one device.
        second = alpa("run", model, "--steps", 4, "-q", "--checkpoint", folder, "--resume")
        self.assertEqual(second.returncode, 0, second.stderr)
        third = alpa("run", model, "--plan", self.plan, "--steps", 6, "-q", "--checkpoint", folder, "--resume")
        self.assertEqual(third.returncode, 0, third.stderr)
        last = re.compile(r"-> ([\d.]+)")
        self.assertEqual(last.search(whole.stdout)[1], last.search(third.stdout)[1])

    def test_bad_plans(self):
        self.make("mlp_tiny", "local:1x2", ["--stages", 2, "--microbatches", 2])
        other = alpa("run", file_of("gpt_tiny", ".mlirbc"), "--plan", self.plan)
        self.assertEqual(other.returncode, 2)
        self.assertIn("for another model", other.stderr)
        with open(self.plan) as f:
            text = f.read()
        for change in (lambda p: p["stages"][1].update(last_layer=1), lambda p: p.update(microbatches=0),
                       lambda p: p["stages"].pop(), lambda p: p.update(schedule="later"),
                       lambda p: p.update(alpa_pipeline=99), lambda p: p.update(microbatches=7),
                       lambda p: p["stages"][0]["layout"]["inputs"].pop()):
            plan = json.loads(text)
            change(plan)
            with open(self.plan, "w") as f:
                json.dump(plan, f)
            ran = alpa("run", file_of("mlp_tiny", ".mlirbc"), "--plan", self.plan, "--steps", 1)
            self.assertEqual(ran.returncode, 2, ran.stdout + ran.stderr)
            self.assertTrue(ran.stderr.startswith("alpa: "), ran.stderr)
            self.assertNotIn("loss", ran.stdout)

    def test_damaged_plans(self):
        self.make("mlp_tiny", "local:1x2", ["--stages", 2, "--microbatches", 2])
        with open(self.plan) as f:
            text = f.read()
        rng = random.Random(SEED)
        for _ in range(25):
            at = rng.randrange(len(text))
            damaged = text[:at] if rng.random() < 0.3 else text[:at] + rng.choice("0179{}[],x\"-") + text[at + 1:]
            with open(self.plan, "w") as f:
                f.write(damaged)
            ran = alpa("run", file_of("mlp_tiny", ".mlirbc"), "--plan", self.plan, "--steps", 1, "-q")
            self.assertIn(ran.returncode, (0, 2), f"seed {SEED}, at {at}: {ran.stderr}")
            self.assertNotIn("CHECK", ran.stderr, f"seed {SEED}, at {at}")


class Random(unittest.TestCase):
    def test_random_plans(self):
        print(f"seed {SEED} (ALPA_SEED), {SECONDS:.0f} s (ALPA_RANDOM_SECONDS)", flush=True)
        rng = random.Random(SEED)
        end = time.monotonic() + SECONDS
        done = 0
        with tempfile.TemporaryDirectory() as folder:
            plan = os.path.join(folder, "plan.json")
            while time.monotonic() < end:
                model = rng.choice(RANDOM_MODELS)
                devices = rng.choice([1, 2, 3, 4, 6, 8])
                words = ["plan", file_of(model, ".mlirbc"), "--cluster", f"local:1x{devices}", "--microbatches",
                         rng.choice([1, 2, 2, 4, 4, 8]), "--schedule",
                         rng.choice(["gpipe", "1f1b", "interleaved", "zb-h1"]), "--stages",
                         rng.randint(1, min(4, devices)), "-o", plan, "-q"]
                if rng.random() < 0.3:
                    words += ["--layers", rng.randint(2, 5)]
                if rng.random() < 0.3:
                    words += ["--memory", f"{rng.choice([300, 500, 800, 1200, 2000])}KiB"]
                made = alpa(*words)
                self.assertIn(made.returncode, (0, 2), made.stderr)
                if made.returncode == 2:
                    continue  # there is no such plan
                done += 1
                ran = check(model, plan)
                how = "alpa " + " ".join(map(str, words))
                self.assertEqual(ran.returncode, 0, f"seed {SEED}: {how}\n{ran.stderr}{ran.stdout}")
        print(f"{done} random plans", flush=True)
        self.assertTrue(done > 0 or SECONDS < 20)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]] + sys.argv[2:], verbosity=2)
