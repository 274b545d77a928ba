"""alpa.plan and what a plan can do."""
import json
import os
import tempfile
import unittest

import jax
import jax.numpy as jnp
import numpy as np

import alpa
import support
from alpa import _plan


def spec(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tree)


class PlanTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.args = support.mlp(width=128, out=32), support.batch(width=128, out=32)
        cls.mesh = alpa.plan(support.step, *cls.args, mesh="2x4")
        cls.stages = alpa.plan(support.step, *cls.args, cluster="p3.16xlarge:1", stages=2, microbatches=4)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "plan.json")

    def test_prints(self):
        self.assertRegex(str(self.mesh), r"(?s)^jit_step on mesh 2x4.*step time, predicted.*params\['layers'\]")
        self.assertNotIn("alpa run MODEL", str(self.mesh))
        self.assertRegex(repr(self.mesh), r"^<alpa.Plan of jit_step: mesh 2x4, 8 devices, [\d.e-]+ s a step>$")
        self.assertRegex(repr(self.stages), r"^<alpa.Plan of jit_step: 2 stages, .*, 4 microbatches, \d devices,")
        self.assertIn("<pre>", self.mesh._repr_html_())

    def test_shapes_are_enough(self):
        by_shapes = alpa.plan(support.step, *spec(self.args), mesh=(2, 4))
        self.assertEqual(by_shapes.json["inputs"], self.mesh.json["inputs"])

    def test_jitted_and_plain_functions_have_equal_plans(self):
        jitted = alpa.plan(jax.jit(support.step, donate_argnums=0), *self.args, mesh="2x4")
        self.assertEqual(jitted.json["inputs"], self.mesh.json["inputs"])

    def test_auto_is_this_machine(self):
        plan = alpa.plan(support.step, *self.args, cluster="auto")
        self.assertLessEqual(plan.devices, jax.local_device_count())

    def test_inputs_are_called_as_in_the_pytree(self):
        self.assertEqual(self.mesh.inputs[0].name, "params['layers'][0]['b']")
        self.assertEqual(self.mesh.inputs[-1].name, "batch['y']")

    def test_options_of_the_step(self):
        def step(params, batch, *, rate):
            new, value = support.step(params, batch)
            return jax.tree.map(lambda p, n: p + rate * (n - p), params, new), value
        plan = alpa.plan(step, *self.args, mesh="2", kwargs={"rate": 0.5})
        self.assertEqual(plan.inputs[-1].name, "rate")

    def test_constants_and_keys_as_shapes(self):
        def step(state, batch, layers):
            key, now = jax.random.split(state["key"])
            noise = jax.random.normal(now, batch["x"].shape)
            params = dict(state["params"], layers=state["params"]["layers"][:layers])
            new, value = support.step(params, dict(batch, x=batch["x"] + noise))
            return {"params": dict(new, layers=new["layers"] + state["params"]["layers"][layers:]), "key": key}, value
        state = jax.eval_shape(lambda: {"params": self.args[0], "key": jax.random.key(0)})
        for fn in step, jax.jit(step, static_argnums=2, donate_argnums=0):
            plan = alpa.plan(fn, state, self.args[1], 2, mesh="2", static_argnums=[2])
            self.assertIn("state['key']", [leaf.name for leaf in plan.inputs])
            self.assertEqual(len(plan.shardings().in_shardings), 2)

    def test_saved_and_loaded(self):
        for plan in self.mesh, self.stages:
            plan.save(self.file)
            loaded = alpa.load(self.file)
            self.assertEqual(loaded.json, plan.json)
            self.assertEqual(str(loaded), str(plan))
            self.assertEqual(repr(loaded), repr(plan))
            self.assertEqual(loaded.simulate().step_seconds, plan.simulate().step_seconds)
            self.assertEqual([l.name for l in loaded.inputs], [l.name for l in plan.inputs])

    def test_loaded_plan_knows_its_step(self):
        self.mesh.save(self.file)
        with self.assertRaisesRegex(alpa.AlpaError, "step is not known"):
            alpa.load(self.file).shardings()
        self.assertEqual(alpa.load(self.file, support.step, *self.args).shardings(), self.mesh.shardings())
        other = support.step_of(lambda params, batch: 2 * support.loss(params, batch))
        with self.assertRaisesRegex(alpa.AlpaError, "^the plan was made for another model"):
            alpa.load(self.file, other, *self.args)

    def test_not_a_plan(self):
        for text in "", "{}", "[]":
            with open(self.file, "w") as f:
                f.write(text)
            with self.assertRaisesRegex(alpa.AlpaError, "not a plan"):
                alpa.load(self.file)

    def test_simulated(self):
        by_plan = self.stages.simulate()
        self.assertAlmostEqual(by_plan.step_seconds, self.stages.step_seconds)
        self.assertEqual(len(by_plan.meshes), 2)
        self.assertIn("step time", str(by_plan))
        trace = self.file + ".trace"
        slower = self.stages.simulate(schedule="gpipe", trace=trace)
        self.assertGreaterEqual(slower.step_seconds, by_plan.step_seconds)
        with open(trace) as f:
            self.assertTrue(json.load(f))
        self.assertAlmostEqual(self.mesh.simulate().step_seconds, self.mesh.step_seconds)

    def test_explained(self):
        one = self.mesh.explain("params.layers.1.w")
        self.assertEqual(one.layouts, {"params['layers'][1]['w']": self.mesh.json["inputs"][3]})
        self.assertRegex(str(one), r"float32\[128,128\]: \[.*per device\n")
        # Each other way costs no less.
        more = [float(line.split("(")[1].split(" %")[0]) for line in str(one).splitlines() if "s a step (" in line]
        self.assertGreater(len(more), 2)
        self.assertGreaterEqual(min(more), -1)  # percent; plans may be half a percent from the best
        self.assertEqual(len(self.mesh.explain("params.layers.*.w").layouts), 4)
        self.assertEqual(len(self.mesh.explain("params").layouts), 10)
        with self.assertRaisesRegex(alpa.AlpaError, "no input 'params.layer'(.|\n)*perhaps params"):
            self.mesh.explain("params.layer")

    def test_explained_where_the_search_came_to_one_mesh(self):
        plan = alpa.plan(support.step, *self.args, cluster="local:1x4", stages=1, microbatches=1)
        self.assertFalse(plan.pipeline)
        self.assertRegex(str(plan.explain("params.layers.1.w")), r"(?s)otherwise.* s a step \(")

    def test_an_argument_that_is_not_used(self):
        plan = alpa.plan(lambda params, unused, batch: support.step(params, batch), self.args[0], jnp.ones((3, 5)),
                         self.args[1], mesh="2")
        self.assertEqual(len(plan.json["inputs"]), len(plan.inputs))
        self.assertEqual(plan.explain("unused").layouts, {"unused": "[,]"})

    def test_explained_in_stages(self):
        text = str(self.stages.explain("params.layers.0.w"))
        self.assertRegex(text, r"float32\[128,128\]:\n  stage 0, mesh .*KiB per device\n$")
        everything = self.stages.explain("batch")
        self.assertEqual(len(everything.layouts), 2)

    def test_reported(self):
        try:
            self.stages.report(self.file)
        except alpa.AlpaError as error:
            self.skipTest(f"this alpa has no reports: {error.message[:80]}")
        with open(self.file) as f:
            self.assertIn("<html", f.read())

    def test_pinned(self):
        plan = alpa.plan(support.step, *self.args, mesh="2x4", pins={"params.layers.1.w": "[y,]"})
        self.assertEqual(plan.json["inputs"][3], "[y,]")

    def test_plain_names(self):
        self.assertEqual(_plan._plain("params['h'][0].w"), "params.h.0.w")


class Errors(unittest.TestCase):
    def error(self, *args, **kwargs):
        with self.assertRaises(alpa.AlpaError) as caught:
            alpa.plan(*args, **kwargs)
        return caught.exception

    def test_names_the_line_of_the_step(self):
        def normalized(params, batch):
            def loss(params):
                x = batch["x"] @ params["layers"][0]["w"]
                mean = x.mean(0)  # over all examples
                return jnp.mean((x - mean) ** 4)
            value, grads = jax.value_and_grad(loss)(params)
            return support.sgd(params, grads), value
        error = self.error(normalized, support.mlp(), support.batch(), cluster="local:1x2", stages=2, microbatches=2)
        self.assertIn(os.path.basename(__file__), error.message)
        self.assertIn("mean = x.mean(0)", str(error))
        self.assertEqual(error.sources[0][0].split(os.sep)[-1], os.path.basename(__file__))
        self.assertIn("per_microbatch=True", error.hint)

    def test_unsupported_op(self):
        def step(w, x):
            out = jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
            return w - out.mean(), w.sum()
        train = alpa.parallelize(step, plan="data-parallel", devices=2, progress=False)
        with self.assertRaises(alpa.AlpaError) as caught:
            train(jnp.ones((8, 8)), jnp.ones((16, 8)))
        self.assertIn("jax.pure_callback(np.sin", str(caught.exception))
        train.close()

    def test_prints_of_jax(self):
        def step(params, batch):
            def body(carry, _):
                new, value = support.step(carry, batch)
                jax.debug.print("loss {}", value)  # nobody to print it
                return new, value
            return jax.lax.scan(body, params, None, length=2)
        alpa.plan(step, support.mlp(), support.batch(), mesh="2")  # planning is another matter
        with self.assertRaisesRegex(alpa.AlpaError, "calls back into Python(.|\n)*nobody to print it"):
            alpa.parallelize(step, mesh="2", progress=False)(support.mlp(), support.batch())

    def test_ambiguous(self):
        a = jnp.ones((8, 8))
        error = self.error(lambda a, b, c: (a + b, b + c, c.sum()), a, a, a)
        self.assertIn("which inputs", error.message)
        alpa.plan(lambda a, b, c: (a + b, b + c, c.sum()), a, a, a, batch_args=[2])

    def test_what_comes_back_is_state_in_doubt(self):
        pair = {"u": jnp.ones((8, 8)), "v": jnp.ones((8, 8))}
        alpa.plan(lambda p, c: ({"u": p["u"] + p["v"], "v": p["v"] + c}, c.sum()), pair, jnp.ones((8, 8)))

    def test_memory_and_clusters(self):
        args = support.mlp(), support.batch()
        self.assertIn("no plan fits", self.error(support.step, *args, mesh="2", memory="1KiB").message)
        self.assertIn('there is no cluster "nowhere"', self.error(support.step, *args, cluster="nowhere").message)
        self.assertIn("arrays", self.error(lambda: 0).message)

    def test_the_program_is_missing(self):
        before = os.environ.pop("ALPA_PROGRAM")
        try:
            os.environ["ALPA_PROGRAM"] = "/nowhere/alpa"
            with self.assertRaises((alpa.AlpaError, FileNotFoundError)):
                alpa.plan(support.step, support.mlp(), support.batch())
        finally:
            os.environ["ALPA_PROGRAM"] = before


if __name__ == "__main__":
    unittest.main()
