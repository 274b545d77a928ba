#!/usr/bin/env python3
"""alpa report from outside: report_test.py ALPA. What is in the page, what it says to bad input, and (in a headless
Chromium, else skipped with exit status 77) that it opens, draws and can be clicked through.

With ALPA_SCREENSHOTS=FOLDER pictures of what the browser shows are left there.
"""
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

import browser

ALPA = os.path.abspath(sys.argv[1])
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODELS = os.path.join(ROOT, "tests", "models")
PICTURES = os.environ.get("ALPA_SCREENSHOTS")
TABS = ("overview", "timeline", "memory", "devices", "sharding", "alternatives")
READY = "document.body && document.body.dataset.ready === 'yes'"


def alpa(*words):
    return subprocess.run([ALPA, *map(str, words)], capture_output=True, text=True)


def must(*words):
    done = alpa(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def model(name):
    return os.path.join(MODELS, name + ".mlirbc")


def data_of(page):
    with open(page) as f:
        text = f.read()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


class Pages(unittest.TestCase):
    """Makes the plans once; each test has them as self.plans and writes into self.folder."""

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = cls.temporary.name
        cls.plans = {}
        for name, words in {
            "pipeline": [model("gpt_tiny"), "--cluster", "local:1x8", "--stages", 4, "--microbatches", 8],
            "mesh": [model("gpt_tiny"), "--mesh", "2x4"],
            "family": [model("mlp_family_b16"), model("mlp_family_b8"), "--frequency", "5,1", "--mesh", "2x2"],
        }.items():
            cls.plans[name] = os.path.join(cls.folder, name + ".json")
            must("plan", *words, "-q", "-o", cls.plans[name])

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def page(self, plan, *words):
        out = self.path(self.id().split(".")[-1] + ".html")
        must("report", plan, "-o", out, *words)
        return out

    def changed(self, name, change):
        """A copy of a plan after change(json)."""
        with open(self.plans[name]) as f:
            plan = json.load(f)
        change(plan)
        path = self.path("changed.json")
        with open(path, "w") as f:
            json.dump(plan, f)
        return path


class Report(Pages):
    def test_needs_nothing_but_itself(self):
        for name, plan in self.plans.items():
            with open(self.page(plan)) as f:
                text = f.read()
            with self.subTest(plan=name):
                outside = [u for u in re.findall(r"https?://[^\s\"'<>]+", text) if u != "http://www.w3.org/2000/svg"]
                self.assertEqual(outside, [])
                self.assertNotRegex(text, r"<(link|img|iframe|script src)")
                self.assertNotIn("@import", text)

    def test_shows_what_simulate_says(self):
        shown = data_of(self.page(self.plans["pipeline"]))["plans"][0]
        said = json.loads(must("simulate", self.plans["pipeline"], "--json"))
        timeline = shown["timeline"]
        self.assertAlmostEqual(timeline["makespan_s"], said["step_s"])
        for mesh, other in zip(timeline["meshes"], said["meshes"]):
            self.assertAlmostEqual(mesh["busy_s"], other["computing_s"])
            self.assertEqual(mesh["peak"], other["peak_bytes"])
            self.assertEqual(max(mesh["memory"][1::2]), other["peak_bytes"])
            runs = mesh["runs"]
            self.assertAlmostEqual(sum(runs[3::4]) * timeline["tick"], other["computing_s"], places=7)

    def test_notes_hold_what_the_planner_knew(self):
        shown = data_of(self.page(self.plans["pipeline"]))["plans"][0]
        self.assertEqual(shown["notes"]["batch"], 16)
        self.assertEqual([layer["name"].split(", ")[0] for layer in shown["notes"]["layers"]], ["h.0", "h.1", "h.2", "h.3"])
        wte = next(t for t in shown["notes"]["tensors"] if t["name"] == "params['wte']")
        self.assertEqual((wte["stage"], wte["shape"], wte["dtype"]), (0, [256, 32], "f32"))
        self.assertGreater(len(shown["notes"]["ways"]), 0)
        mesh = data_of(self.page(self.plans["mesh"]))["plans"][0]
        ops = mesh["notes"]["ops"]
        self.assertEqual(max(op[6] for op in ops), mesh["layout"]["memory"], "memory over time peaks where the solver says")
        self.assertAlmostEqual(sum(op[4] for op in ops), mesh["layout"]["compute_s"])

    def test_written_beside_the_plan_by_default(self):
        must("report", self.plans["mesh"])
        self.assertTrue(os.path.exists(self.path("mesh.html")))

    def refused(self, *words, says):
        before = set(os.listdir(self.folder))
        done = alpa("report", *words)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for text in says if isinstance(says, (list, tuple)) else [says]:
            self.assertIn(text, done.stderr)
        self.assertEqual(set(os.listdir(self.folder)), before, "nothing is written")

    def test_bad_input_is_refused_and_nothing_written(self):
        out = ["-o", self.path("never.html")]
        self.refused(self.path("nowhere.json"), *out, says="nowhere.json")
        broken = self.path("broken.json")
        with open(self.plans["pipeline"]) as f, open(broken, "w") as g:
            g.write(f.read()[:5000])
        self.refused(broken, *out, says=["broken.json", "not valid JSON"])
        self.refused(self.plans["mesh"], "-o", self.path("no/where.html"), says="no/where.html")
        self.refused(self.plans["mesh"], "-o", self.plans["mesh"], says="over the plan")
        self.refused(self.plans["mesh"], *out, "--trace", self.plans["mesh"], says=["mesh.json", "traceEvents"])
        self.refused(self.plans["family"], *out, "--trace", self.plans["mesh"], says="--trace goes with a plan for one shape")
        self.refused(self.plans["pipeline"], *out, "--cluster", "p3.16xlarge:9z", says="p3.16xlarge:9z")
        self.refused(self.plans["pipeline"], *out, "--cluster", "local:1x2", says="stage 1 of the plan needs devices 2 to 3")
        bad = self.changed("mesh", lambda plan: plan["notes"]["tensors"][0].update(spec="[q,]"))
        self.refused(bad, *out, says=["changed.json", "notes.tensors[0].spec", "q"])
        bad = self.changed("pipeline", lambda plan: plan["notes"]["tensors"][0].update(stage=4))
        self.refused(bad, *out, says="notes.tensors[0].stage")
        bad = self.changed("pipeline", lambda plan: plan["notes"].update(layers=3))
        self.refused(bad, *out, says="notes.layers")

    def test_a_cluster_that_is_gone_leaves_the_timeline_out(self):
        plan = self.changed("pipeline", lambda plan: plan.update(cluster="gone.toml"))
        done = alpa("report", plan, "-o", self.path("gone.html"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("without a timeline", done.stdout)
        self.assertNotIn("timeline", data_of(self.path("gone.html"))["plans"][0])


def wide_pipeline(plan):
    """64 stages on a device each, 512 microbatches."""
    stage = plan["stages"][1]
    stage["layout"]["mesh"] = {"shape": [1], "axes": ["x"]}
    for key in ("inputs", "outputs"):
        stage["layout"][key] = []
    for key in ("ops", "operands", "sums", "prediction"):
        stage["layout"].pop(key, None)
    plan["stages"] = [copy.deepcopy(stage) for _ in range(64)]
    for i, s in enumerate(plan["stages"]):
        s["first_layer"] = s["last_layer"] = i
        s["placement"] = {"first_host": i // 8, "hosts": 1, "first_device": i % 8, "devices": 1, "device_type": "CPU"}
        s["prediction"]["in_flight"] = 64
    plan["layers"], plan["microbatches"], plan["cluster"] = 64, 512, "local:8x8"
    plan["edges"] = [{"from": i, "to": i + 1, "activation_bytes": 8192, "cotangent_bytes": 8192,
                      "forward_gather_seconds": 0.0, "backward_gather_seconds": 0.0} for i in range(63)]
    plan["step_edges"], plan["update_rounds"], plan["schedule"] = [], 1, "zb-h1"
    del plan["notes"]


@unittest.skipIf(browser.find() is None, "no Chromium")
class InBrowser(Pages):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser()
        cls.browser.size(1400, 1000)

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def setUp(self):
        self.browser.errors.clear()
        self.browser.requests.clear()
        self.browser.scheme("light")
        self.browser.size(1400, 1000)

    def tearDown(self):
        self.assertEqual(self.browser.errors, [])
        self.assertEqual(self.browser.evaluate("alpaReport.errors"), [])
        self.assertEqual([u for u in self.browser.requests if not u.startswith(("file:", "about:", "data:"))], [])

    def open(self, plan, *words):
        return self.browser.open(self.page(plan, *words), READY)

    def picture(self, name):
        if PICTURES:
            os.makedirs(PICTURES, exist_ok=True)
            time.sleep(0.2)
            self.browser.screenshot(os.path.join(PICTURES, name + ".png"))

    def text(self, selector="main"):
        return self.browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def tab(self, name):
        self.browser.click(f'nav [data-tab="{name}"]')
        self.browser.wait(f"document.getElementById('main').dataset.tab === '{name}'")

    def colours(self):
        """Of the last canvas, once it has been drawn."""
        return self.browser.evaluate("""new Promise(done => setTimeout(() => {
            const all = document.querySelectorAll("main .scroll canvas"), c = all[all.length - 1];
            const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
            for (let i = 0; i < d.length; i += 4) seen.add((d[i] << 16) | (d[i + 1] << 8) | d[i + 2]);
            done(seen.size); }, 120))""")

    def shown(self):
        return self.browser.evaluate("""new Promise(done => requestAnimationFrame(() =>
            done([alpaReport.timeline.from, alpaReport.timeline.to])))""")

    def click_through(self, name):
        for tab in TABS:
            self.tab(tab)
            self.assertGreater(len(self.text()), 60, tab)
            if tab in ("overview", "timeline", "memory"):
                self.assertGreater(self.colours(), 3, f"{tab} draws something")
            wide = self.browser.evaluate("document.documentElement.scrollWidth - innerWidth")
            self.assertLessEqual(wide, 0, f"{tab} of {name} is wider than the window")
            self.picture(f"{name}-{tab}")

    def test_a_pipeline(self):
        trace = self.path("trace.json")
        must("run", model("gpt_tiny"), "--plan", self.plans["pipeline"], "--steps", 2, "-q", "--trace", trace)
        self.open(self.plans["pipeline"], "--trace", trace)
        self.click_through("pipeline")
        self.tab("overview")
        for text in ("Layers on stages", "h.1", "Where the time goes", "bubble", "gap at most", "Alternatives considered"):
            self.assertIn(text, self.text())
        self.tab("timeline")
        self.assertIn("Measured against predicted", self.text())
        self.tab("memory")
        self.assertIn("activations", self.text())
        self.browser.click(".chip")
        self.assertEqual(self.browser.evaluate("document.querySelector('.chip').getAttribute('aria-pressed')"), "true")
        self.tab("alternatives")
        self.assertIn("chosen", self.text())

    def test_the_timeline_zooms_and_moves(self):
        self.open(self.plans["pipeline"])
        self.tab("timeline")
        whole = self.shown()
        x, y = self.browser.middle("main .scroll canvas")
        self.browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
        self.browser.wait(f"alpaReport.timeline.to - alpaReport.timeline.from < {0.8 * (whole[1] - whole[0])}")  # the wheel zooms
        time.sleep(0.2)
        zoomed = self.shown()
        self.browser.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.browser.mouse("mouseMoved", x - 150, y, button="left", buttons=1)
        self.browser.mouse("mouseReleased", x - 150, y, button="left", clickCount=1)
        self.browser.wait(f"alpaReport.timeline.from > {zoomed[0]}")  # dragging to the left goes on in time
        time.sleep(0.2)
        moved = self.shown()
        self.assertAlmostEqual(moved[1] - moved[0], zoomed[1] - zoomed[0])
        self.browser.evaluate("document.querySelector('main .scroll canvas').focus()")
        self.browser.key("+")
        self.assertAlmostEqual(self.shown()[1] - self.shown()[0], (moved[1] - moved[0]) / 2)
        before = self.shown()
        self.browser.key("ArrowLeft")
        self.assertLess(self.shown()[0], before[0])
        self.browser.click('[aria-label="zoom out"]')
        self.assertAlmostEqual(self.shown()[1] - self.shown()[0], moved[1] - moved[0])
        self.browser.click('[aria-label="show the whole step"]')
        self.assertEqual(self.shown(), whole)
        # A bar: its tip, then its microbatch.
        place = self.browser.evaluate("""(() => { const v = alpaReport.timeline, r = v.rows[3], b = v.canvas.getBoundingClientRect();
            return [b.left + v.xAt((r.bars.start[0] + r.bars.end[0]) / 2), b.top + r.top + r.height / 2]; })()""")
        self.browser.mouse("mouseMoved", *place)
        self.browser.wait("!document.getElementById('tip').hidden")
        self.assertIn("forward of microbatch 0\nstage 3 on mesh 3", self.text("#tip"))
        self.browser.click_at(*place)
        self.browser.wait("document.querySelector('[data-role=\"picked\"]') !== null")
        self.assertIn("microbatch 0 is under way", self.text('[data-role="picked"]'))
        self.picture("pipeline-picked")
        self.browser.evaluate("document.querySelector('main .scroll canvas').focus()")
        self.browser.key("Escape")
        self.assertIsNone(self.browser.evaluate("document.querySelector('[data-role=\"picked\"]')"))

    def test_devices_and_shardings_answer_to_clicks(self):
        self.open(self.plans["pipeline"])
        self.tab("devices")
        self.browser.click('[data-device="7"]')
        self.browser.wait("document.querySelector('.aside').innerText.includes('Device 7')")
        self.assertIn("3 of 4", self.text(".aside"))
        self.tab("sharding")
        first = self.text(".tensors")
        self.browser.evaluate("document.querySelectorAll('[data-role=\"stage\"]')[2].click()")
        self.assertNotEqual(self.text(".tensors"), first)
        self.browser.evaluate("document.querySelectorAll('[data-role=\"device\"]')[1].click()")
        self.assertEqual(self.browser.evaluate("""[...document.querySelectorAll('[data-role="device"]')].map(b => b.getAttribute('aria-pressed')).join()"""), "false,true")
        self.assertGreater(self.browser.evaluate("document.querySelectorAll('.piece.mine').length"), 3)

    def test_a_mesh(self):
        self.open(self.plans["mesh"])
        self.click_through("mesh")
        self.tab("overview")
        for text in ("Where the time goes", "Collectives", "all-gather", "The largest arrays", "Most expensive places"):
            self.assertIn(text, self.text())
        self.browser.evaluate("document.querySelector('nav [data-tab]').focus()")
        self.browser.key("ArrowRight")
        self.assertEqual(self.browser.evaluate("document.getElementById('main').dataset.tab"), "timeline")

    def test_a_family(self):
        self.open(self.plans["family"])
        self.assertIn("One model at several shapes", self.text())
        self.assertIn("Alternatives considered", self.text())
        self.picture("family")
        self.browser.evaluate("document.querySelectorAll('main .chip')[1].click()")
        self.assertIn("mlp_family_b8", self.browser.evaluate("document.querySelector('[data-role=\"plan\"]').selectedOptions[0].text"))
        for tab in TABS:
            self.tab(tab)
            self.assertNotIn("older one", self.text(), "members have notes of their own")

    def test_dark_and_narrow(self):
        self.browser.scheme("dark")
        self.open(self.plans["pipeline"])
        background = self.browser.evaluate("getComputedStyle(document.body).backgroundColor")
        self.assertLess(max(map(int, re.findall(r"\d+", background)[:3])), 60)
        self.click_through("pipeline-dark")
        for width in (1000, 600):
            self.browser.size(width, 900)
            self.click_through(f"pipeline-dark-{width}")
        self.open(self.plans["mesh"])
        self.click_through("mesh-dark-600")

    def test_names_are_text_whatever_is_in_them(self):
        name = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\u2028"

        def change(plan):
            plan["model"] = name
            plan["notes"]["layers"][1]["name"] = name
            plan["notes"]["tensors"][0]["name"] = name

        self.open(self.changed("pipeline", change))
        self.assertIn("<img src=x onerror=alert(2)>&amp;", self.text("h1"))
        for tab in TABS:
            self.tab(tab)

    def test_what_an_old_plan_does_not_say_is_said(self):
        for name in ("pipeline", "mesh"):
            self.open(self.changed(name, lambda plan: plan.pop("notes")))
            for tab in TABS:
                self.tab(tab)
                if tab == "sharding":
                    self.assertIn("does not name its arrays", self.text())
        must("run", model("mlp_tiny"), "--devices", 4, "--steps", 1, "-q", "--save-plan", self.path("plain.json"))
        self.open(self.path("plain.json"))
        self.assertIn("Nothing was predicted", self.text())
        self.open(self.changed("pipeline", lambda plan: plan.update(cluster="gone.toml")))
        for tab in TABS:
            self.tab(tab)
        self.tab("timeline")
        self.assertIn("Not simulated", self.text())

    def test_a_large_pipeline_opens_quickly(self):
        plan = self.changed("pipeline", wide_pipeline)
        start = time.time()
        out = self.page(plan)
        self.assertLess(time.time() - start, 20)
        self.assertLess(os.path.getsize(out), 15e6)
        took = self.browser.open(out, READY)
        self.assertLess(took, 10)
        self.click_through("large")
        self.tab("timeline")
        paint = self.browser.evaluate("(() => { const t = performance.now(); alpaReport.timeline.paint(); return performance.now() - t; })()")
        self.assertLess(paint, 700, "milliseconds to draw the whole")
        print(f"large: {os.path.getsize(out) / 1e6:.1f} MB, open in {took:.2f} s, drawn in {paint:.0f} ms")


if __name__ == "__main__":
    program = unittest.main(argv=sys.argv[:1] + sys.argv[2:], exit=False)
    if not program.result.wasSuccessful():
        sys.exit(1)
    if program.result.skipped:
        print("skipped in part: no Chromium on this machine (./dev browser installs it)")
        sys.exit(77)
