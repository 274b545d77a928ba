"""A classifier of points on two spirals, written in plain JAX; export.py FOLDER writes what alpa needs to train it."""
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

LAYERS, BATCH = [2, 64, 64, 1], 128


def loss_of(params, batch):
    x = batch["x"]  # [batch, 2]
    for layer in params[:-1]:
        x = jnp.tanh(x @ layer["w"] + layer["b"])
    logits = (x @ params[-1]["w"] + params[-1]["b"])[:, 0]
    return jnp.mean(jnp.logaddexp(0, jnp.where(batch["y"] == 1, -logits, logits)))


def train_step(params, momentum, batch):
    loss, grads = jax.value_and_grad(loss_of)(params, batch)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
    params = jax.tree.map(lambda p, m: p - 0.1 * m, params, momentum)
    return params, momentum, loss


def spirals(n):
    random = np.random.RandomState(0)
    y = random.randint(0, 2, n).astype(np.int32)
    turn = random.rand(n)
    angle = 2 * np.pi * turn + np.pi * y
    x = np.stack([np.cos(angle), np.sin(angle)], 1) * (0.2 + turn[:, None]) + 0.05 * random.randn(n, 2)
    return {"x": x.astype(np.float32), "y": y}


random = np.random.RandomState(1)
params = [{"w": (random.randn(m, n) / np.sqrt(m)).astype(np.float32), "b": np.zeros(n, np.float32)}
          for m, n in zip(LAYERS, LAYERS[1:])]
momentum = jax.tree.map(np.zeros_like, params)
data = spirals(8192)
batch = {name: array[:BATCH] for name, array in data.items()}

# The step, with the batch of the whole cluster. Donation says what the state is.
step = jax.jit(train_step, donate_argnums=(0, 1), keep_unused=True)
exported = export.export(step)(params, momentum, batch)

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "step.mlirbc"), "wb") as f:
    f.write(exported.mlir_module_serialized)
# First values by the number of the input, data by the name of the array.
leaves = jax.tree.leaves((params, momentum, batch))
np.savez(os.path.join(folder, "init.npz"), **{f"in/{i:04d}": leaf for i, leaf in enumerate(leaves)})
np.savez(os.path.join(folder, "data.npz"), **data)
print(f"{len(leaves)} inputs, {sum(leaf.size for leaf in jax.tree.leaves(params))} parameters")
