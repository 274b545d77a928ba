"""Exports the demo: a byte-level GPT that learns to write the text it is shown.

    python export.py [--out DIR]

    gpt_bytes.mlirbc          one Adam step: (params, optimizer state, batch) -> (params,
                              optimizer state, loss); params and state are donated
    gpt_bytes.json            names, roles, shapes and initial values of its arguments
    gpt_bytes_logits.mlirbc   (the same params in the same order, ids [1, SEQ]) ->
                              logits [1, SEQ, 256], to sample text with

0.86 M parameters; the batch of 24 divides over 1, 2, 3, 4, 6, 8, 12 or 24 devices or microbatches.
"""
import argparse
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "models"))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np
import jax
import jax.numpy as jnp
from jax import export as jexport

from common import (Cfg, W, attention, causal, dense, dense_spec, ints, layer_norm,
                    ln_spec, make_step, opt_spec, xent_onehot, zeros)
from stablehlo_export import Step, export, flatten

VOCAB, SEQ, BATCH = 256, 128, 24
LAYERS, HIDDEN, HEADS = 4, 128, 4


def rotate(x):
    """Rotary position embedding of x [B, S, N, D]."""
    s, half = x.shape[1], x.shape[-1] // 2
    wavelength = 100.0 ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(s, dtype=jnp.float32)[:, None] * wavelength
    c, s = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * c - b * s, b * c + a * s], axis=-1)


def param_spec():
    h, res = HIDDEN, (2 * LAYERS) ** -0.5            # residual branches start small
    block = lambda: {
        "ln1": ln_spec(h), "qkv": dense_spec(h, 3 * h),
        "proj": {"w": W(h, h, std=res * h ** -0.5), "b": zeros(h)},
        "ln2": ln_spec(h), "fc1": dense_spec(h, 4 * h),
        "fc2": {"w": W(4 * h, h, std=res * (4 * h) ** -0.5), "b": zeros(h)}}
    return {"wte": W(VOCAB, h, std=0.5), "h": [block() for _ in range(LAYERS)],
            "lnf": ln_spec(h), "head": W(h, VOCAB, std=0.02)}


def logits(p, ids):
    x = jnp.take(p["wte"], ids, axis=0)              # [B, S, H]
    b, s, h = x.shape
    mask = causal(s)
    for l in p["h"]:
        qkv = dense(layer_norm(x, l["ln1"]), l["qkv"]).reshape(b, s, HEADS, 3, h // HEADS)
        q, k, v = qkv[:, :, :, 0], qkv[:, :, :, 1], qkv[:, :, :, 2]
        o = attention(rotate(q), rotate(k), v, mask)
        x = x + dense(o.reshape(b, s, h), l["proj"])
        x = x + dense(jax.nn.gelu(dense(layer_norm(x, l["ln2"]), l["fc1"])), l["fc2"])
    return layer_norm(x, p["lnf"]) @ p["head"]


def loss(p, state, batch):
    return xent_onehot(logits(p, batch["ids"]), batch["labels"]), None


def learning_rate(count):
    """20 steps of warm-up, then flat to step 60, then falling as 1/sqrt(count)."""
    return 4e-3 * jnp.minimum(count / 20, jnp.sqrt(60 / jnp.maximum(count, 60)))


def demo_step():
    cfg = Cfg(opt="adam", dtype="fp32", lr=learning_rate)
    batch = {"ids": ints(BATCH, SEQ, mod=VOCAB), "labels": ints(BATCH, SEQ, mod=VOCAB)}
    params = param_spec()
    return Step("gpt_bytes", make_step(loss, cfg),
                [("param", params), ("opt_state", opt_spec(params, cfg)), ("batch", batch)],
                config=dict(vocab=VOCAB, seq=SEQ, batch=BATCH, layers=LAYERS, hidden=HIDDEN,
                            heads=HEADS, opt="adam"))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--out", default=HERE)
    out = ap.parse_args().out
    step = demo_step()
    export(step, out, golden=True, losses_only=True)
    params = flatten(step)[1][0]
    forward = jexport.export(jax.jit(logits, keep_unused=True))(
        params, jax.ShapeDtypeStruct((1, SEQ), np.int32))
    with open(os.path.join(out, "gpt_bytes_logits.mlirbc"), "wb") as f:
        f.write(forward.mlir_module_serialized)


if __name__ == "__main__":
    main()
