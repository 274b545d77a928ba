#!/usr/bin/env python3
"""alpa run with a plan of several stages, from outside: pipeline_run_test.py ALPA."""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")
MODEL = os.path.join(MODELS, "mlp_tiny.mlirbc")
CRASH_WORDS = ["internal error", "check failed", "terminate called", "std::", "json.exception", "assertion"]


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True, timeout=120)


class PipelineRun(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.plan = cls.path("plan.json")
        done = alpa("plan", MODEL, "--cluster", "local:1x4", "--stages", "2", "--microbatches", "4", "-q", "-o", cls.plan)
        assert done.returncode == 0, done.stderr
        with open(cls.plan) as f:
            cls.text = f.read()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def devices(self):
        places = {json.dumps(s["placement"]) for s in json.loads(self.text)["stages"]}
        return sum(p["hosts"] * p["devices"] for p in map(json.loads, places))

    def run_plan(self, *words, plan=None):
        return alpa("run", MODEL, "--plan", plan or self.plan, *words)

    def refused(self, done, *says):
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertEqual(done.stderr.count("alpa: "), 1, done.stderr)
        for word in says:
            self.assertIn(word, done.stderr)
        for word in CRASH_WORDS:
            self.assertNotIn(word, done.stderr.lower())

    def test_gives_the_golden_numbers(self):
        done = self.run_plan("-q", "--check", MODEL.replace(".mlirbc", ".npz"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_microbatches_on_a_mesh(self):
        """Without a plan, or with one of a mesh: one stage."""
        for name, devices, microbatches in (("gpt_tiny", 4, 2), ("gpt_tiny", 2, 8), ("moe_tiny", 8, 2), ("gpt_tiny_tied_gather", 2, 4)):
            model = os.path.join(MODELS, name)
            done = alpa("run", model + ".mlirbc", "--devices", devices, "--microbatches", microbatches, "-q", "--check", model + ".npz")
            self.assertEqual(done.returncode, 0, f"{name}: {done.stdout}{done.stderr}")
        model, mesh = os.path.join(MODELS, "gpt_tiny"), self.path("mesh.json")
        self.assertEqual(alpa("plan", model + ".mlirbc", "--mesh", "2x2", "-q", "-o", mesh).returncode, 0)
        done = alpa("run", model + ".mlirbc", "--plan", mesh, "--microbatches", "4", "-q", "--check", model + ".npz")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        saved = self.path("saved.json")
        words = ["--devices", "2", "--microbatches", "2", "--steps", "1", "-q", "--save-plan", saved]
        self.assertEqual(alpa("run", model + ".mlirbc", *words).returncode, 0)
        self.assertEqual(alpa("run", model + ".mlirbc", "--plan", saved, "--steps", "1", "-q").returncode, 0)
        many = alpa("run", model + ".mlirbc", "--devices", "4", "--microbatches", "8", "-q")
        self.refused(many, "8 microbatches have 2 examples each", "4 devices")
        self.refused(alpa("run", model + ".mlirbc", "--devices", "4", "--microbatches", "3", "-q"), "3 microbatches")

    def test_options_that_repeat_the_plan(self):
        done = self.run_plan("-q", "--steps", "1", "--microbatches", "4", "--devices", self.devices())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_options_that_contradict_the_plan(self):
        self.refused(self.run_plan("--microbatches", "8"), "plan.json", "4 microbatches", "--microbatches says 8")
        self.refused(self.run_plan("--devices", "64"), "plan.json", f"{self.devices()} devices", "--devices says 64")
        self.refused(self.run_plan("--per-microbatch"), "plan.json", "without --per-microbatch")

    def test_plan_of_another_model(self):
        self.refused(alpa("run", os.path.join(MODELS, "mlp_b24.mlirbc"), "--plan", self.plan), "another model")

    def test_metrics_progress_and_trace(self):
        metrics, trace = self.path("m.jsonl"), self.path("trace.json")
        done = self.run_plan("--steps", "3", "--metrics", metrics, "--trace", trace)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"3/3  loss \d.*examples/s  .* [GM]FLOPS")
        self.assertIn("bubble: ", done.stdout)
        with open(metrics) as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual([line["step"] for line in lines], [1, 2, 3])
        for line in lines:
            self.assertGreater(line["tflops"], 0)
            self.assertTrue(0 < line["bubble"] < 1, line)
            self.assertTrue(0 <= line["overhead"] < 1, line)
        self.check_trace(trace, processes={"measured"})
        events = self.events(trace)
        names = {e["args"]["name"] for e in events if e["name"] == "process_name"}
        self.assertTrue(any(name.startswith("simulated: ") for name in names), names)
        computed = [e["name"] for e in events if e["ph"] == "X" and e["pid"] == 1000 and e.get("cat") == "compute"]
        self.assertGreaterEqual(len(computed), 2 * (4 + 4 + 1))  # of each stage: forward, backward, update

    def test_trace_of_one_mesh_is_the_step(self):
        trace = self.path("one.json")
        done = alpa("run", MODEL, "-q", "--steps", "2", "-n", "2", "--trace", trace)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("one program", done.stdout)
        self.check_trace(trace, processes={"measured"})
        self.assertEqual([e["name"] for e in self.events(trace) if e["ph"] == "X"], ["step 2"])

    def events(self, path):
        with open(path) as f:
            return json.load(f)["traceEvents"]

    def check_trace(self, path, processes):
        """The rules of Chrome's trace events: slices of a track do not overlap, all tracks have names."""
        events = self.events(path)
        tracks = {}
        named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
        for e in events:
            self.assertIn(e["ph"], "XMC")
            if e["ph"] != "X":
                continue
            self.assertGreaterEqual(e["dur"], 0)
            tracks.setdefault((e["pid"], e["tid"]), []).append((e["ts"], e["ts"] + e["dur"]))
        self.assertLessEqual(set(tracks), named)
        for slices in tracks.values():
            slices.sort()
            for (_, end), (start, _) in zip(slices, slices[1:]):
                self.assertLessEqual(end, start + 0.01)
        self.assertLessEqual(processes, {e["args"]["name"] for e in events if e["name"] == "process_name"})

    # ---- compiled programs on disk

    def test_compiled_programs_are_kept(self):
        cache = self.path("compiled")
        env = dict(os.environ, ALPA_COMPILED=cache)

        def trained(*words):
            done = subprocess.run([ALPA, "run", MODEL, "-q", "--steps", "3", "--plan", self.plan, "--metrics",
                                   self.path("c.jsonl"), *words], capture_output=True, text=True, env=env)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(self.path("c.jsonl")) as f:
                return [json.loads(line)["loss"] for line in f]

        def files():
            return {name: os.stat(os.path.join(cache, name)).st_ino for name in os.listdir(cache)}

        without = trained("--no-cache")
        self.assertFalse(os.path.exists(cache))
        self.assertEqual(trained(), without)
        kept = files()
        self.assertGreater(len(kept), 5)
        self.assertEqual(trained(), without)
        self.assertEqual(files(), kept)  # nothing was compiled again
        for name in kept:
            with open(os.path.join(cache, name), "r+b") as f:
                f.seek(200)
                f.write(b"damage")
        self.assertEqual(trained(), without)
        self.assertEqual(set(files()), set(kept))
        for name in kept:  # everything was
            with open(os.path.join(cache, name), "rb") as f:
                self.assertNotEqual(f.read()[200:206], b"damage")

    # ---- damaged plans

    def damaged(self, text):
        path = self.path("damaged.json")
        with open(path, "w") as f:
            f.write(text)
        return path

    def edited(self, edit):
        plan = json.loads(self.text)
        edit(plan)
        return self.damaged(json.dumps(plan))

    def test_members_out_of_range(self):
        def put(*keys, value):
            def edit(plan):
                for key in keys[:-1]:
                    plan = plan[key]
                plan[keys[-1]] = value
            return edit
        spec = lambda plan: plan["stages"][0]["layout"]
        cases = [
            (put("microbatches", value=10**18), "microbatches"),
            (put("microbatches", value=3), "microbatches"),
            (put("layers", value=10**9), "layers"),
            (put("update_rounds", value=10**9), "update_rounds"),
            (put("schedule", value="teapot"), "teapot"),
            (put("schedule", value="inference"), "inference"),
            (put("edges", 0, "to", value=7), "edges[0]"),
            (put("stages", 1, "first_layer", value=0), "two stages"),
            (put("stages", 1, "chunk", value=3), "chunk 3"),
            (put("stages", 0, "placement", "devices", value=10**9), "stages[0]"),
            (put("stages", 0, "placement", "first_host", value=-1), "first_host"),
            (put("unstacked", value=True), "taken apart"),
            (put("stages", value=[]), "no stages"),
            (put("alpa_pipeline", value=99), "version 99"),
            (lambda plan: spec(plan)["inputs"].pop(), "stages[0].layout"),
            (lambda plan: spec(plan)["outputs"].pop(), "stages[0].layout"),
            (lambda plan: spec(plan)["outputs"].__setitem__(0, "[x,x,x,x]"), "stages[0]"),
            (lambda plan: plan["stages"].reverse(), ""),
        ]
        for number, (edit, says) in enumerate(cases):
            with self.subTest(number=number, says=says):
                self.refused(self.run_plan("-q", "--steps", "1", plan=self.edited(edit)), "damaged.json", says)

    def test_truncated(self):
        for k in range(0, 12):
            with self.subTest(k=k):
                self.refused(self.run_plan("-q", plan=self.damaged(self.text[:len(self.text) * k // 12])), "damaged.json")

    def test_random_edits(self):
        """One member is taken out or gets another value; what is still a sound plan trains."""
        rng = random.Random(7)
        sound = 0
        for k in range(60):
            plan = json.loads(self.text)
            holder, key = self.any_member(rng, plan)
            value = rng.choice([None, -1, 0, 1, 7, 2**31, 2**63, 1.5, "x", "[x,]", [], {}, True, "out"])
            if value == "out":
                del holder[key]
            else:
                holder[key] = value
            with self.subTest(k=k, key=key, value=value):
                done = self.run_plan("-q", "--steps", "1", plan=self.damaged(json.dumps(plan)))
                if done.returncode == 0:
                    sound += 1
                else:
                    self.refused(done, "damaged.json")
        self.assertLess(sound, 45)

    def any_member(self, rng, value):
        """A member of a JSON value, each depth alike, so that large tables do not take all edits."""
        while True:
            keys = list(value) if isinstance(value, dict) else list(range(len(value)))
            key = rng.choice(keys)
            inner = value[key]
            if not isinstance(inner, (dict, list)) or not inner or rng.random() < 0.1:
                return value, key
            value = inner


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:])
