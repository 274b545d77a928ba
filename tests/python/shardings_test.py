"""plan.shardings: plain JAX on 8 virtual devices gives what one device gives."""
import unittest

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

import alpa
import support
from alpa import _shardings


class Shardings(unittest.TestCase):
    def setUp(self):
        self.assertEqual(len(jax.devices()), 8)

    def check(self, step, *args, tolerance=1e-4, **how):
        plan = alpa.plan(step, *args, **how)
        shardings = plan.shardings()
        sharded = jax.jit(step, **shardings._asdict())(*args)
        self.assertLess(support.largest_difference(sharded, jax.jit(step)(*args)), tolerance)
        jax.tree.map(lambda x, s: self.assertTrue(x.sharding.is_equivalent_to(s, x.ndim)), sharded,
                     shardings.out_shardings)
        return plan, sharded

    def test_mlp(self):
        plan, sharded = self.check(support.step, support.mlp(width=128), support.batch(width=128), mesh="2x4",
                                   pins={"params.layers.1.w": "[x,y]"})
        w = sharded[0]["layers"][1]["w"]
        self.assertEqual(w.sharding.spec, P("x", "y"))
        self.assertEqual(w.addressable_shards[0].data.shape, (64, 32))

    def test_models(self):
        import export
        from common import materialise
        from models import CONFIGS
        from stablehlo_export import flatten
        for name, method in ("gpt_tiny_sgd", "zero-3"), ("moe_tiny_sgd", "auto"):
            with self.subTest(name):
                model = export.model_step(name, CONFIGS[name])
                leaves, avals = flatten(model)
                arrays = [materialise(l.spec, l.seed, l.dtype) for l in leaves]
                args = jax.tree.unflatten(jax.tree.structure(avals), [jnp.asarray(a) for a in arrays])
                plan, _ = self.check(model.fn, *args, mesh="2x4" if method == "auto" else "8", method=method)
                self.assertTrue(any(s.strip("[],-") for s in plan.json["inputs"]), "nothing is split")

    def test_a_mesh_of_the_user(self):
        plan = alpa.plan(support.step, support.mlp(), support.batch(), mesh="2x4", pins={"params.layers.0.w": "[x,y]"})
        mesh = Mesh(np.array(jax.devices()).reshape(2, 4), ("data", "model"))
        shardings = plan.shardings(mesh)
        self.assertEqual(shardings.in_shardings[0]["layers"][0]["w"], NamedSharding(mesh, P("data", "model")))
        with self.assertRaisesRegex(alpa.AlpaError, "a mesh 2x4, this one is 8"):
            plan.shardings(Mesh(np.array(jax.devices()), ("data",)))

    def test_random_keys_and_constants(self):
        def step(state, batch, activation):
            key, now = jax.random.split(state["key"])
            def loss(params):
                keep = jax.random.bernoulli(now, 0.9, batch["x"].shape)
                return jnp.mean((support.forward(params, activation(batch["x"] * keep)) - batch["y"]) ** 2)
            value, grads = jax.value_and_grad(loss)(state["params"])
            return {"params": support.sgd(state["params"], grads), "key": key}, value
        state = {"params": support.mlp(), "key": jax.random.key(3)}
        args = state, support.batch(), jnp.tanh
        shardings = alpa.plan(step, *args, mesh="8", method="data-parallel").shardings()
        self.assertEqual(shardings.in_shardings[1]["x"].spec, P("x", None))
        fn = lambda state, batch: step(state, batch, jnp.tanh)
        sharded = jax.jit(fn, in_shardings=shardings.in_shardings[:2], out_shardings=shardings.out_shardings)(*args[:2])
        self.assertLess(support.largest_difference(sharded, jax.jit(fn)(*args[:2])), 1e-4)

    def test_plans_of_stages_have_none(self):
        plan = alpa.plan(support.step, support.mlp(), support.batch(), cluster="local:1x4", stages=2, microbatches=2)
        with self.assertRaisesRegex(alpa.AlpaError, "2 stages"):
            plan.shardings()

    def test_specs(self):
        self.assertEqual(_shardings.parse_spec("[xy,,]", "xy"), [[0, 1], [], []])
        self.assertEqual(_shardings.parse_spec("[yx]", "xy"), [[1, 0]])
        self.assertEqual(_shardings.parse_spec("[-]", "x"), [[]])
        self.assertEqual(_shardings.parse_spec("[]", "x"), [])
        self.assertEqual(_shardings.shard_shape((8, 6), [[0, 1], []], (2, 4)), (1, 6))


if __name__ == "__main__":
    unittest.main()
