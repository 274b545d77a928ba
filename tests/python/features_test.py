"""What steps are made of in JAX, on one mesh and in stages: the same losses as jax.jit."""
import functools
import unittest

import jax
import jax.numpy as jnp

import support


class Features(unittest.TestCase):
    def check(self, step, *args, state=1, tolerance=1e-5, ways=(support.MESH, support.STAGES)):
        for how in ways:
            with self.subTest(**how):
                support.train_beside_jax(self, step, args, state, tolerance=tolerance, **how)

    def setUp(self):
        self.params, self.batch = support.mlp(), support.batch()

    def stacked(self, checkpoint=False):
        params = dict(self.params, layers=jax.tree.map(lambda *x: jnp.stack(x), *self.params["layers"]))

        def loss(params, batch):
            layer = lambda x, l: (jnp.tanh(x @ l["w"] + l["b"]), None)
            x, _ = jax.lax.scan(jax.checkpoint(layer) if checkpoint else layer, batch["x"], params["layers"])
            return jnp.mean((x @ params["out"]["w"] + params["out"]["b"] - batch["y"]) ** 2)
        return support.step_of(loss), params, self.batch

    def test_jitted_with_donation(self):
        self.check(jax.jit(support.step, donate_argnums=0), self.params, self.batch, ways=[support.MESH])

    def test_scan(self):
        self.check(*self.stacked())

    def test_scan_with_checkpoint(self):
        self.check(*self.stacked(checkpoint=True), ways=[support.STAGES])

    def test_checkpoint(self):
        def loss(params, batch):
            layer = jax.checkpoint(lambda l, x: jnp.tanh(x @ l["w"] + l["b"]))
            return jnp.mean((support.forward(params, batch["x"], layer) - batch["y"]) ** 2)
        self.check(support.step_of(loss), self.params, self.batch)

    def test_mixed_precision(self):
        def loss(params, batch):
            half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params)
            out = support.forward(half, batch["x"].astype(jnp.bfloat16))
            return jnp.mean((out.astype(jnp.float32) - batch["y"]) ** 2)
        self.check(support.step_of(loss), self.params, self.batch, tolerance=2e-3)

    def test_half_precision_state(self):
        params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), self.params)
        def step(params, batch):
            value, grads = jax.value_and_grad(support.loss)(params, batch)
            return jax.tree.map(lambda p, g: (p - 0.1 * g).astype(p.dtype), params, grads), value
        self.check(step, params, self.batch, tolerance=2e-2, ways=[support.MESH])

    def dropout(self, key_of_state):
        def loss(params, batch, key):
            keys = iter(jax.random.split(key, len(params["layers"])))
            def layer(l, x):
                x = jnp.tanh(x @ l["w"] + l["b"])
                return jnp.where(jax.random.bernoulli(next(keys), 0.9, x.shape), x / 0.9, 0)
            return jnp.mean((support.forward(params, batch["x"], layer) - batch["y"]) ** 2)

        def step(state, batch):
            key, now = jax.random.split(state["key"])
            value, grads = jax.value_and_grad(loss)(state["params"], batch, now)
            return {"params": support.sgd(state["params"], grads), "key": key}, value
        return step, {"params": self.params, "key": key_of_state}, self.batch

    def test_dropout_with_typed_keys(self):
        self.check(*self.dropout(jax.random.key(7)), ways=[support.STAGES])

    def test_dropout_with_raw_keys(self):
        self.check(*self.dropout(jax.random.PRNGKey(7)), ways=[support.MESH])

    def test_a_key_that_is_given_anew(self):
        def step(params, batch, key):
            noise = jax.random.normal(key, batch["x"].shape)
            value, grads = jax.value_and_grad(support.loss)(params, dict(batch, x=batch["x"] + noise))
            return support.sgd(params, grads), value
        self.check(step, self.params, self.batch, jax.random.key(1), ways=[support.MESH])

    def test_clipping_and_metrics(self):
        def step(params, batch):
            value, grads = jax.value_and_grad(support.loss)(params, batch)
            norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
            grads = jax.tree.map(lambda g: g * jnp.minimum(1, 0.1 / norm), grads)
            return support.sgd(params, grads), {"loss": value, "norm": norm}
        self.check(step, self.params, self.batch)

    def test_custom_vjp(self):
        @jax.custom_vjp
        def activation(x):
            return jnp.tanh(x)
        activation.defvjp(lambda x: (jnp.tanh(x), x), lambda x, g: (0.5 * g * (1 - jnp.tanh(x) ** 2),))

        def loss(params, batch):
            layer = lambda l, x: activation(x @ l["w"] + l["b"])
            return jnp.mean((support.forward(params, batch["x"], layer) - batch["y"]) ** 2)
        self.check(support.step_of(loss), self.params, self.batch)

    def test_a_python_number_and_a_partial(self):
        def step(params, batch, rate, *, scale):
            value, grads = jax.value_and_grad(support.loss)(params, batch)
            return support.sgd(params, grads, rate * scale), value
        self.check(functools.partial(step, scale=2.0), self.params, self.batch, 0.05, ways=[support.MESH])

    def test_state_that_counts(self):
        def step(state, batch):
            value, grads = jax.value_and_grad(support.loss)(state["params"], batch)
            rate = 0.1 / (1 + state["count"].astype(jnp.float32))
            return {"params": support.sgd(state["params"], grads, rate), "count": state["count"] + 1}, value
        self.check(step, {"params": self.params, "count": jnp.zeros((), jnp.int32)}, self.batch)


if __name__ == "__main__":
    unittest.main()
