"""A plan for a cluster that is not here, stages of a transformer on 64 GPUs; and a small plan of stages that runs here.
"""
import os

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import tempfile

import jax
import jax.numpy as jnp
import numpy as np

import alpa


def init(vocabulary, width, layers, shape=jax.ShapeDtypeStruct):
    array = lambda *dims: shape(dims, jnp.float32)
    block = lambda: {"qkv": array(width, 3 * width), "proj": array(width, width), "in": array(width, 4 * width),
                     "out": array(4 * width, width)}
    return {"embed": array(vocabulary, width), "blocks": [block() for _ in range(layers)]}


def norm(x):
    return (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5)


def attention(block, x, heads=16):
    b, s, h = x.shape
    q, k, v = jnp.moveaxis((x @ block["qkv"]).reshape(b, s, heads, 3, h // heads), 3, 0)
    scores = jnp.einsum("bqnd,bknd->bnqk", q, k) / (h // heads) ** 0.5
    scores = jnp.where(jnp.tril(jnp.ones((s, s), bool)), scores, -1e9)
    return jnp.einsum("bnqk,bknd->bqnd", jax.nn.softmax(scores), v).reshape(b, s, h) @ block["proj"]


def loss(params, batch):
    x = params["embed"][batch["ids"]]  # [batch, seq, width]
    for block in params["blocks"]:
        x = x + attention(block, norm(x))
        x = x + jax.nn.gelu(norm(x) @ block["in"]) @ block["out"]
    logits = jax.nn.log_softmax(norm(x) @ params["embed"].T)
    return -jnp.mean(jnp.take_along_axis(logits, batch["labels"][..., None], -1))


def step(params, batch):
    value, grads = jax.value_and_grad(loss)(params, batch)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), value


# 1.3 billion parameters, 1024 sequences in a step.
large = init(51200, 2048, 24), {n: jax.ShapeDtypeStruct((1024, 1024), jnp.int32) for n in ("ids", "labels")}
plan = alpa.plan(step, *large, cluster="p3.16xlarge:8", progress=True)
print(plan)
print(plan.simulate(schedule="gpipe"))
with tempfile.TemporaryDirectory() as folder:
    plan.save(os.path.join(folder, "plan.json"))
    print(repr(alpa.load(os.path.join(folder, "plan.json"))))

# The same code, small enough for virtual devices of this machine.
keys = iter(jax.random.split(jax.random.key(0), 100))
params = init(256, 64, 4, shape=lambda dims, dtype: 0.05 * jax.random.normal(next(keys), dims, dtype))
ids = np.random.RandomState(0).randint(0, 256, (16, 33))
batch = {"ids": ids[:, :-1], "labels": ids[:, 1:]}
train = alpa.parallelize(step, cluster="local:1x8", stages=2, microbatches=4)
print(repr(alpa.plan(step, params, batch, cluster="local:1x8", stages=2, microbatches=4)))
expected = params
for _ in range(3):
    params, value = train(params, batch)
    expected, reference = jax.jit(step)(expected, batch)
    print(f"in stages {value:.6f}   one device {reference:.6f}")
    np.testing.assert_allclose(value, reference, rtol=1e-3)
print(train.plan.explain("params.embed"))
