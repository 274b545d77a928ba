"""Training on the devices of a plan. The state stays there; only the batch and the loss are moved."""
import os

# How many devices this machine is to have.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=4")

import jax
import jax.numpy as jnp
import numpy as np

import alpa


def forward(params, x):
    return jnp.tanh(x @ params["hidden"]["w"] + params["hidden"]["b"]) @ params["out"]["w"]


def train_step(state, batch):
    """Gradient descent with momentum."""
    def loss(params):
        return jnp.mean((forward(params, batch["x"]) - batch["y"]) ** 2)
    value, grads = jax.value_and_grad(loss)(state["params"])
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state["momentum"], grads)
    params = jax.tree.map(lambda p, m: p - 0.02 * m, state["params"], momentum)
    return {"params": params, "momentum": momentum}, {"loss": value}


random = np.random.RandomState(0)
params = {"hidden": {"w": jnp.asarray(random.randn(8, 128), jnp.float32), "b": jnp.zeros(128)},
          "out": {"w": jnp.asarray(random.randn(128, 1) / 12, jnp.float32)}}
state = {"params": params, "momentum": jax.tree.map(jnp.zeros_like, params)}

train = alpa.parallelize(train_step, cluster="auto")
for i in range(200):
    x = random.randn(64, 8).astype("f")
    state, metrics = train(state, {"x": x, "y": np.sin(x.sum(1, keepdims=True))})
    if i % 50 == 0 or i == 199:
        print(f"step {i + 1}: loss {metrics['loss']:.4f}")

print(train.plan)
print(state["params"]["hidden"]["w"])              # still on the devices,
print(jnp.linalg.norm(state["params"]["hidden"]["w"]))  # fetched when it is needed,
kept = jax.device_get(state)                       # and to keep it beyond the next step
x = random.randn(256, 8).astype("f")
print("test loss", float(jnp.mean((forward(kept["params"], x) - np.sin(x.sum(1, keepdims=True))) ** 2)))
