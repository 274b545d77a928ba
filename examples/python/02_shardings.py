"""The layouts of a plan in plain JAX: alpa plans, jax.jit runs. Works on any of JAX's back ends."""
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")  # one CPU as 8 devices

import jax
import jax.numpy as jnp
import numpy as np

import alpa


def init(key, sizes):
    keys = jax.random.split(key, len(sizes))
    return [{"w": jax.random.normal(k, (a, b)) / a**0.5, "b": jnp.zeros(b)} for k, a, b in zip(keys, sizes, sizes[1:])]


def loss(layers, batch):
    x = batch["x"]
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["w"] + layer["b"])
    return jnp.mean((x @ layers[-1]["w"] + layers[-1]["b"] - batch["y"]) ** 2)


def step(layers, batch):
    value, grads = jax.value_and_grad(loss)(layers, batch)
    return jax.tree.map(lambda p, g: p - 0.1 * g, layers, grads), value


layers = init(jax.random.key(0), [64, 256, 256, 16])
batch = {"x": np.random.randn(128, 64).astype("f"), "y": np.random.randn(128, 16).astype("f")}

plan = alpa.plan(step, layers, batch, mesh="2x4")
shardings = plan.shardings()  # or plan.shardings(mesh) with a mesh of one's own
sharded = jax.jit(step, in_shardings=shardings.in_shardings, out_shardings=shardings.out_shardings)
plain = jax.jit(step)

a, b = layers, layers
for _ in range(5):
    a, loss_a = sharded(a, batch)
    b, loss_b = plain(b, batch)
    print(f"sharded {loss_a:.6f}   one device {loss_b:.6f}")
    np.testing.assert_allclose(loss_a, loss_b, rtol=1e-4)
print(a[1]["w"].sharding)
