#!/usr/bin/env python3
"""alpa plan for a cluster and alpa simulate from outside: pipeline_test.py ALPA."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")

DEVICE = """
[device.{name}]
memory = "{memory}"
memory_bandwidth = "900 GB/s"
matrix = {{ f32 = "{flops} TFLOP/s" }}
vector = "10 TFLOP/s"
launch = "5 us"
"""
HOST = """
[[host]]
device = "{device}"
devices = {devices}
intra = {{ latency = "1 us", bandwidth = "100 GB/s" }}
network = {{ latency = "20 us", bandwidth = "25 Gbit/s" }}
"""


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True)


def model(name):
    return os.path.join(MODELS, name + ".mlirbc")


class Pipeline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = self.path("plan.json")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def cluster(self, hosts, memory="16 GiB"):
        """hosts: (device type, devices); type B is four times as fast as A."""
        path = self.path("cluster.toml")
        with open(path, "w") as f:
            f.write('name = "test"\ndescription = "for a test"\n')
            for name, flops in (("A", 10), ("B", 40)):
                if any(device == name for device, _ in hosts):
                    f.write(DEVICE.format(name=name, flops=flops, memory=memory))
            for device, devices in hosts:
                f.write(HOST.format(device=device, devices=devices))
        return path

    def plan(self, name, *words):
        done = alpa("plan", model(name), "-q", "--json", "-o", self.out, *words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, *words, says, command="plan"):
        done = alpa(command, *words)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, done.stderr)
        self.assertNotIn("internal error", done.stderr)

    def check_stages(self, plan, hosts):
        """Layers are covered once, devices exist and are used by one submesh only."""
        layers = [layer for s in plan["stages"] for layer in range(s["first_layer"], s["last_layer"] + 1)]
        self.assertEqual(sorted(layers), list(range(max(layers) + 1)))
        used = {}
        for stage in plan["stages"]:
            place = (stage["first_host"], stage["hosts"], stage["first_device"], stage["devices"])
            for host in range(stage["first_host"], stage["first_host"] + stage["hosts"]):
                for device in range(stage["first_device"], stage["first_device"] + stage["devices"]):
                    self.assertLess(host, len(hosts))
                    self.assertLess(device, hosts[host])
                    self.assertEqual(used.setdefault((host, device), place), place)

    def test_the_simulator_gives_the_time_of_the_plan(self):
        plan = self.plan("gpt_tiny", "--cluster", "p3.16xlarge:2", "--stages", "4", "--microbatches", "4")
        self.assertEqual(len(plan["stages"]), 4)
        self.check_stages(plan, [8, 8])
        self.assertLessEqual(plan["bound_s"], plan["closed_form_s"])
        self.assertAlmostEqual(sum(plan["shares"].values()), 1)
        trace, lists = self.path("trace.json"), self.path("lists.txt")
        done = alpa("simulate", self.out, "--json", "--trace", trace, "--instructions", lists)
        self.assertEqual(done.returncode, 0, done.stderr)
        simulated = json.loads(done.stdout)
        self.assertAlmostEqual(simulated["step_s"], plan["step_s"], delta=1e-9 * plan["step_s"])
        with open(trace) as f:
            events = json.load(f)["traceEvents"]
        self.assertGreater(sum(e.get("ph") == "X" for e in events), 4 * 4 * 2)
        with open(lists) as f:
            text = f.read()
        self.assertEqual(len(re.findall(r"^mesh ", text, re.M)), 4)
        self.assertEqual(len(re.findall(r"^update ", text, re.M)), len(set(re.findall(r"^update .*", text, re.M))))

    def test_every_schedule_can_be_asked_for(self):
        for schedule in ("gpipe", "1f1b", "interleaved", "zb-h1"):
            with self.subTest(schedule=schedule):
                plan = self.plan("gpt_tiny", "--cluster", "p3.16xlarge", "--schedule", schedule, "--stages", "4",
                                 "--microbatches", "8")
                self.assertEqual(plan["schedule"], schedule)
                self.assertEqual(plan["microbatches"], 8)
                self.check_stages(plan, [8])
                self.assertEqual(alpa("simulate", self.out).returncode, 0)

    def test_another_schedule_of_the_same_stages_can_be_simulated(self):
        self.plan("gpt_tiny", "--cluster", "p3.16xlarge", "--schedule", "gpipe", "--stages", "4", "--microbatches", "8")
        peaks = {}
        for schedule in ("gpipe", "1f1b"):
            done = alpa("simulate", self.out, "--schedule", schedule, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            peaks[schedule] = [m["peak_bytes"] for m in json.loads(done.stdout)["meshes"]]
        self.assertLess(peaks["1f1b"][-1], peaks["gpipe"][-1])

    def test_a_broken_host_and_odd_numbers(self):
        for devices in ([8, 7], [3, 3], [6], [5, 2, 1]):
            with self.subTest(devices=devices):
                cluster = self.cluster([("A", n) for n in devices])
                plan = self.plan("gpt_tiny", "--cluster", cluster, "--stages", "3", "--microbatches", "4")
                self.check_stages(plan, devices)
                self.assertEqual(alpa("simulate", self.out).returncode, 0)

    def test_the_faster_devices_do_more(self):
        plan = self.plan("gpt_mini", "--cluster", self.cluster([("A", 2), ("B", 2)]), "--stages", "2",
                         "--microbatches", "4")
        self.check_stages(plan, [2, 2])
        by_type = {}
        for stage in plan["stages"]:
            by_type[stage["device_type"]] = stage["last_layer"] - stage["first_layer"] + 1
        self.assertIn("B", by_type)
        self.assertGreaterEqual(by_type["B"], by_type.get("A", 0))

    def test_one_device(self):
        plan = self.plan("mlp_tiny", "--cluster", self.cluster([("A", 1)]), "--microbatches", "4")
        self.assertEqual([s["devices"] for s in plan["stages"]], [1])

    def test_one_stage_and_one_microbatch_is_a_plan_that_runs(self):
        done = alpa("plan", model("mlp_tiny"), "--cluster", "local:1x2", "--stages", "1", "--microbatches", "1", "-q", "-o",
                    self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = alpa("run", model("mlp_tiny"), "--plan", self.out, "--check", os.path.join(MODELS, "mlp_tiny.npz"), "-q")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_branches_run_side_by_side(self):
        plan = self.plan("two_tower", "--cluster", "p3.16xlarge", "--stages", "3")
        self.check_stages(plan, [8])

    def test_says_what_was_decided(self):
        done = alpa("plan", model("gpt_tiny"), "--cluster", "p3.16xlarge:2", "-q", "--stages", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("step time, predicted", "PFLOPS", "bubble", "limited by", "gap", "Stage", "recompute", "Runners-up"):
            self.assertIn(text, done.stdout)

    def test_nothing_fits(self):
        self.refused(model("gpt_tiny"), "--cluster", "p3.16xlarge", "--memory", "64 KiB", "-q", "-o", self.out,
                     says=("no plan fits", "per device", "nearest plan"))
        self.assertFalse(os.path.exists(self.out))

    def test_ctrl_c_gives_the_best_plan_so_far_or_says_that_there_is_none(self):
        for wait in (1, 2, 4):
            process = subprocess.Popen([ALPA, "plan", model("gpt_small"), "--cluster", "p3.16xlarge:4", "-o", self.out],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            if process.returncode == 0:
                self.assertIn("step time, predicted", out)
                self.assertTrue(os.path.exists(self.out))
            elif process.returncode == 2:
                self.assertIn("stopped before there was any plan", err)
            else:
                self.assertEqual(process.returncode, -signal.SIGINT, "while the model is read")

    def test_bad_options(self):
        m = model("gpt_tiny")
        for words, says in (
                (("--microbatches", "7"), "7 microbatches"),
                (("--microbatches", "0"), "--microbatches"),
                (("--microbatches", "many"), "--microbatches"),
                (("--stages", "0"), "--stages"),
                (("--stages", "1000"), "no plan"),
                (("--schedule", "2f2b"), "2f2b"),
                (("--layers", "500"), "layers"),
                (("--mesh", "2x2", "--stages", "2"), "--stages"),
                (("--method", "zero-3"), "--method"),
                (("--pin", "x=[x,]"), "--pin")):
            with self.subTest(words=words):
                self.refused(m, *(() if "--mesh" in words else ("--cluster", "p3.16xlarge")), *words, "-q", says=says)
        self.refused(model("wresnet_tiny"), "--cluster", "p3.16xlarge", "--microbatches", "2", "-q",
                     says=("one piece only", "--per-microbatch"))

    def test_bad_plans_to_simulate(self):
        self.refused(self.path("none.json"), command="simulate", says="none.json")
        self.plan("gpt_tiny", "--cluster", "p3.16xlarge:2", "--stages", "4", "--microbatches", "4")
        with open(self.out) as f:
            text = f.read()
        for damage, says in ((text[:len(text) // 2], "not valid JSON"),
                             (text.replace('"microbatches": 4', '"microbatches": -4'), "microbatches"),
                             (text.replace('"schedule": "', '"schedule": "x'), "schedule"),
                             (text.replace('"first_host": 0', '"first_host": 7'), "hosts"),
                             ("{}", "not a plan of several stages")):
            bad = self.path("bad.json")
            with open(bad, "w") as f:
                f.write(damage)
            with self.subTest(says=says):
                self.refused(bad, command="simulate", says=says)
        self.refused(self.out, "--cluster", "p3.16xlarge:1x2", command="simulate", says="plan")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
