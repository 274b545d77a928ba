"""Steps written with flax, optax and equinox: the same losses as jax.jit."""
import unittest

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

import alpa
import support

REQUIRES = ["flax", "optax", "equinox"]


def optimizer():
    """Clipping and a schedule."""
    return optax.chain(optax.clip_by_global_norm(1.0),
                       optax.adamw(optax.warmup_cosine_decay_schedule(1e-3, 1e-2, 10, 100)))


class Libraries(unittest.TestCase):
    # Adam's steps are as long for small gradients as for large ones, so rounding shows in the state.
    def check(self, step, *args, state=1, ways=(support.MESH, support.STAGES)):
        for how in ways:
            with self.subTest(**how):
                support.train_beside_jax(self, step, args, state, tolerance=1e-3, state_tolerance=float("inf"), **how)

    def test_optax(self):
        params, tx = support.mlp(), optimizer()

        def step(params, state, batch):
            value, grads = jax.value_and_grad(support.loss)(params, batch)
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state, value
        self.check(step, params, tx.init(params), support.batch(), state=2)

    def test_flax_train_state(self):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                for _ in range(3):
                    x = nn.LayerNorm()(nn.relu(nn.Dense(64)(x)))
                return nn.Dense(8)(x)
        model, batch = Model(), support.batch()
        params = model.init(jax.random.key(0), batch["x"])
        state = TrainState.create(apply_fn=model.apply, params=params, tx=optimizer())

        def step(state, batch):
            loss = lambda params: jnp.mean((state.apply_fn(params, batch["x"]) - batch["y"]) ** 2)
            value, grads = jax.value_and_grad(loss)(state.params)
            return state.apply_gradients(grads=grads), {"loss": value, "norm": optax.global_norm(grads)}
        self.check(step, state, batch)
        plan = alpa.plan(step, state, batch, mesh="2")
        self.assertIn("state.params['params']['Dense_0']['kernel']", [leaf.name for leaf in plan.inputs])
        self.assertEqual(len(plan.explain("state.params.params.Dense_0").layouts), 2)

    def test_flax_with_batch_norm_and_dropout(self):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                x = nn.BatchNorm(use_running_average=False)(nn.Dense(64)(x))
                return nn.Dense(8)(nn.Dropout(0.1, deterministic=False)(nn.relu(x)))
        model, batch, tx = Model(), support.batch(), optax.sgd(0.1, momentum=0.9)
        variables = model.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, batch["x"])
        state = {"variables": variables, "opt": tx.init(variables["params"]), "rng": jax.random.key(2)}

        def step(state, batch):
            rng, now = jax.random.split(state["rng"])
            def loss(params):
                out, changed = model.apply({**state["variables"], "params": params}, batch["x"],
                                           mutable=["batch_stats"], rngs={"dropout": now})
                return jnp.mean((out - batch["y"]) ** 2), changed
            (value, changed), grads = jax.value_and_grad(loss, has_aux=True)(state["variables"]["params"])
            updates, opt = tx.update(grads, state["opt"])
            params = optax.apply_updates(state["variables"]["params"], updates)
            return {"variables": {"params": params, **changed}, "opt": opt, "rng": rng}, value
        self.check(step, state, batch, ways=[support.MESH])

    def test_flax_nnx(self):
        class Model(nnx.Module):
            def __init__(self, rngs):
                self.first, self.second = nnx.Linear(64, 64, rngs=rngs), nnx.Linear(64, 8, rngs=rngs)

            def __call__(self, x):
                return self.second(nnx.relu(self.first(x)))
        graph, params = nnx.split(Model(nnx.Rngs(0)))

        def step(params, batch):
            def loss(params):
                return jnp.mean((nnx.merge(graph, params)(batch["x"]) - batch["y"]) ** 2)
            value, grads = jax.value_and_grad(loss)(params)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), value
        self.check(step, params, support.batch(), ways=[support.MESH])

    def test_equinox(self):
        model, tx = eqx.nn.MLP(64, 8, 64, 3, key=jax.random.key(3)), optimizer()

        @eqx.filter_jit
        def step(model, state, batch):
            loss = lambda m: jnp.mean((jax.vmap(m)(batch["x"]) - batch["y"]) ** 2)
            value, grads = eqx.filter_value_and_grad(loss)(model)
            updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
            return eqx.apply_updates(model, updates), state, value
        self.check(step, model, tx.init(eqx.filter(model, eqx.is_inexact_array)), support.batch(), state=2)


if __name__ == "__main__":
    unittest.main()
