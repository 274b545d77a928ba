"""Exports small training steps, each with one property that a parallelizer must cope with.

    python export_more.py [--only REGEX] [--out DIR]

The first line of each function says what its model is there for; it is also the "note" of the
sidecar. Files as in export.py.
"""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")   # sharded_export

import numpy as np
import jax
import jax.numpy as jnp
from jax import lax

import models
from common import (Cfg, Spec, W, causal, dense, dense_spec, f32, ints, layer_norm,
                    ln_spec, make_step, ones, opt_spec, real, tmap, xent_gather,
                    xent_onehot, zeros)
from stablehlo_export import Step, export

STEPS = {}


def step(fn):
    """Registers a function that returns a Step under the function's name."""
    STEPS[fn.__name__] = fn
    return fn


def trainer(params, batch, loss, opt="adam", lr=1e-2, **kw):
    """A Step (params, opt_state, batch) -> (params, opt_state, loss) for loss(params, batch)."""
    cfg = Cfg(opt=opt, lr=lr, dtype="fp32", **kw.pop("cfg", {}))
    return Step("", make_step(lambda p, st, b: (loss(p, b), None), cfg),
                [("param", params), ("opt_state", opt_spec(params, cfg)), ("batch", batch)],
                config=dict(opt=opt, lr=lr), forward=lambda p, o, b: loss(p, b), **kw)


def stacked(spec, n):
    """The specs of `n` equal layers, stacked along a new first dimension."""
    return tmap(lambda s: Spec((n, *s.shape), s.kind, s.value, s.dtype), spec)


def mlp_spec(*dims):
    return [dense_spec(a, b) for a, b in zip(dims, dims[1:])]


def mlp(x, layers, act=jax.nn.relu):
    for l in layers[:-1]:
        x = act(dense(x, l))
    return dense(x, layers[-1])


def mse(a, b):
    return ((a - b) ** 2).mean()


def xy(b=12, i=8, o=4):
    return {"x": real(b, i), "y": real(b, o)}


# ---- batches that divide by 1, 2, 3, 4, 6, 8, 12, 24 -----------------------------------

@step
def mlp_b24():
    """MLP with a batch of 24: divides over 1, 2, 3, 4, 6, 8, 12, 24."""
    return trainer(mlp_spec(8, 16, 16, 4), xy(24), lambda p, b: mse(mlp(b["x"], p), b["y"]))


@step
def gpt_b24():
    """GPT with a batch of 24: divides over 1, 2, 3, 4, 6, 8, 12, 24."""
    c = models.G(h=8, layers=2, heads=2, seq=8, vocab=16, batch=24)
    spec, _, batch, loss = models.gpt(c)
    return trainer(spec, batch, lambda p, b: loss(p, None, b)[0])


# ---- loops -------------------------------------------------------------------------------

def gpt_scanned(remat):
    h, seq, heads, vocab = 8, 8, 2, 16
    params = {"wte": W(vocab, h, std=0.5), "h": stacked(models.gpt_block_spec(h), 4),
              "lnf": ln_spec(h), "head": W(h, vocab)}

    def loss(p, b):
        mask = causal(seq)
        body = lambda x, l: (models.gpt_block(x, l, heads, mask), None)
        x, _ = lax.scan(jax.checkpoint(body) if remat else body, p["wte"][b["ids"]], p["h"])
        return xent_onehot(layer_norm(x, p["lnf"]) @ p["head"], b["labels"])

    batch = {"ids": ints(12, seq, mod=vocab), "labels": ints(12, seq, mod=vocab)}
    return trainer(params, batch, loss)


@step
def gpt_scan():
    """GPT whose 4 layers are one lax.scan over stacked parameters (and one backwards)."""
    return gpt_scanned(False)


@step
def gpt_scan_remat():
    """gpt_scan with jax.checkpoint around the scanned layer."""
    return gpt_scanned(True)


@step
def rnn_scan():
    """A recurrent network scanned over time: the weights are shared by all iterations."""
    d, h = 6, 12
    params = {"cell": {"x": W(d, 3 * h), "h": W(h, 3 * h), "b": zeros(3 * h)}, "out": dense_spec(h, 4)}

    def loss(p, b):
        def cell(s, x):
            gx, gh = x @ p["cell"]["x"] + p["cell"]["b"], s @ p["cell"]["h"]
            r = jax.nn.sigmoid(gx[:, :h] + gh[:, :h])
            z = jax.nn.sigmoid(gx[:, h:2 * h] + gh[:, h:2 * h])
            n = jnp.tanh(gx[:, 2 * h:] + r * gh[:, 2 * h:])
            s = (1 - z) * n + z * s
            return s, s
        x = jnp.swapaxes(b["x"], 0, 1)                                    # [T, B, D]
        _, hs = lax.scan(cell, jnp.zeros((x.shape[1], h)), x)
        return mse(dense(hs, p["out"]), jnp.swapaxes(b["y"], 0, 1))

    return trainer(params, {"x": real(12, 7, d), "y": real(12, 7, 4)}, loss, opt="momentum")


@step
def fori():
    """fori_loop of a fixed length in the forward pass, and one in the update (Newton-Schulz)."""
    params = {"w": W(8, 8), "in": W(8, 8), "out": W(8, 4)}

    def loss(p, b):
        x = b["x"] @ p["in"]
        x = lax.fori_loop(0, 3, lambda i, x: x + 0.5 * jnp.tanh(x @ p["w"]), x)
        return mse(x @ p["out"], b["y"])

    def orthogonal(g):
        x = g / (jnp.sqrt(jnp.sum(g * g)) + 1e-6)
        return lax.fori_loop(0, 4, lambda i, x: 1.5 * x - 0.5 * (x @ x.T) @ x, x)

    def fn(params, mom, batch):
        l, g = jax.value_and_grad(loss)(params, batch)
        mom = tmap(lambda m, g: 0.9 * m + g, mom, g)
        return tmap(lambda p, m: p - 0.02 * orthogonal(m), params, mom), mom, l

    return Step("", fn, [("param", params), ("opt_state", tmap(lambda s: zeros(*s.shape), params)),
                         ("batch", xy())])


@step
def while_dynamic():
    """while_loop until the whole batch has converged: the trip count depends on the data."""
    params = {"w": W(8, 8, std=0.2), "u": W(8, 8), "out": W(8, 4)}

    def loss(p, b):
        u = b["x"] @ p["u"]
        f = lambda z: jnp.tanh(z @ p["w"] + u)

        def unfinished(s):
            i, z, err = s
            return (err > 1e-3) & (i < 50)

        def again(s):
            i, z, _ = s
            y = f(z)
            return i + 1, y, jnp.abs(y - z).max()

        _, z, _ = lax.while_loop(unfinished, again, (0, jnp.zeros_like(u), jnp.float32(1)))
        return mse(f(lax.stop_gradient(z)) @ p["out"], b["y"])

    return trainer(params, xy(), loss, opt="momentum")


@step
def while_update():
    """while_loop in the update only: gradients are halved until their norm is small."""
    params = mlp_spec(8, 16, 4)

    def fn(params, opt, batch):
        l, g = jax.value_and_grad(lambda p: mse(mlp(batch["x"], p), batch["y"]))(params)
        norm = lambda g: jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(g)))
        n, g = lax.while_loop(lambda s: norm(s[1]) > 0.05,
                              lambda s: (s[0] + 1, tmap(lambda x: x * 0.5, s[1])), (jnp.int32(0), g))
        return tmap(lambda p, g: p - g, params, g), {"halvings": opt["halvings"] + n}, l

    return Step("", fn, [("param", params), ("opt_state", {"halvings": zeros(dtype=np.int32)}),
                         ("batch", xy())])


@step
def scan_microbatch():
    """A step that accumulates gradients over 4 microbatches by itself, with lax.scan."""
    params = mlp_spec(8, 16, 4)

    def fn(params, opt, batch):
        grad = jax.value_and_grad(lambda p, x, y: mse(mlp(x, p), y))

        def add(acc, b):
            return tmap(jnp.add, acc, grad(params, b["x"], b["y"])), None

        parts = tmap(lambda x: x.reshape(4, -1, *x.shape[1:]), batch)
        zero = (jnp.float32(0), tmap(jnp.zeros_like, params))
        (l, g), _ = lax.scan(add, zero, parts)
        opt = tmap(lambda m, g: 0.9 * m + g / 4, opt, g)
        return tmap(lambda p, m: p - 0.05 * m, params, opt), opt, l / 4

    return Step("", fn, [("param", params), ("opt_state", tmap(lambda s: zeros(*s.shape), params)),
                         ("batch", xy(24))])


# ---- architectures -----------------------------------------------------------------------

@step
def gqa_rope():
    """Grouped-query attention, rotary positions, RMS norm, SwiGLU; the loss is divided by the
    number of unmasked tokens of the whole batch."""
    h, heads, kv, d, seq, vocab, f = 8, 4, 2, 4, 8, 16, 12
    block = lambda: {"n1": ones(h), "q": W(h, heads * d), "k": W(h, kv * d), "v": W(h, kv * d),
                     "o": W(heads * d, h), "n2": ones(h), "gate": W(h, f), "up": W(h, f),
                     "down": W(f, h)}
    params = {"wte": W(vocab, h, std=0.5), "h": [block() for _ in range(2)], "n": ones(h),
              "head": W(h, vocab)}
    rms = lambda x, g: x * lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * g

    def rotate(x):
        a = jnp.arange(seq)[:, None] * 100.0 ** (-jnp.arange(0, d, 2) / d)
        c, s = jnp.cos(a)[:, None], jnp.sin(a)[:, None]
        e, o = x[..., 0::2], x[..., 1::2]
        return jnp.stack([e * c - o * s, e * s + o * c], -1).reshape(x.shape)

    def loss(p, b):
        x = p["wte"][b["ids"]]
        n = x.shape[0]
        for l in p["h"]:
            y = rms(x, l["n1"])
            q = rotate((y @ l["q"]).reshape(n, seq, heads, d)).reshape(n, seq, kv, heads // kv, d)
            k = rotate((y @ l["k"]).reshape(n, seq, kv, d))
            v = (y @ l["v"]).reshape(n, seq, kv, d)
            s = jnp.einsum("bqkgd,bskd->bkgqs", q, k) * d ** -0.5
            s = jnp.where(jnp.tril(jnp.ones((seq, seq), bool)), s, -jnp.inf)
            o = jnp.einsum("bkgqs,bskd->bqkgd", jax.nn.softmax(s, -1), v)
            x = x + o.reshape(n, seq, heads * d) @ l["o"]
            y = rms(x, l["n2"])
            x = x + (jax.nn.silu(y @ l["gate"]) * (y @ l["up"])) @ l["down"]
        lp = jax.nn.log_softmax(rms(x, p["n"]) @ p["head"], -1)
        nll = -jnp.take_along_axis(lp, b["labels"][..., None], -1)[..., 0]
        mask = (b["mask"] > 0).astype(jnp.float32)
        return (nll * mask).sum() / jnp.maximum(mask.sum(), 1.0)

    batch = {"ids": ints(12, seq, mod=vocab), "labels": ints(12, seq, mod=vocab),
             "mask": ints(12, seq, mod=3)}
    return trainer(params, batch, loss, opt="momentum", lr=5e-2)


def towers(score):
    ch = 4
    params = {
        "image": {"stem": W(3, 3, 3, ch), "depth": W(3, 3, 1, ch, fan=9),
                  "group": W(3, 3, ch // 2, 2 * ch), "wide": W(3, 3, 2 * ch, ch), "out": dense_spec(ch, 8)},
        "text": mlp_spec(16, 24, 24, 8)}

    def conv(x, w, stride=1, groups=1, dilation=1):
        return lax.conv_general_dilated(x, w, (stride, stride), "SAME", rhs_dilation=(dilation, dilation),
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                        feature_group_count=groups)

    def image(x, p):
        x = jax.nn.relu(conv(x, p["stem"], 2))                                       # [B, 6, 6, C]
        x = x + jax.nn.relu(conv(x, p["depth"], groups=ch))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jax.nn.relu(conv(x, p["group"], groups=2))
        x = jax.nn.relu(conv(x, p["wide"], dilation=2))                              # [B, 3, 3, C]
        x = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 1, 1, 1), "VALID") / 4
        return dense(x.mean((1, 2)), p["out"])

    def loss(p, b):
        unit = lambda x: x * lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-6)
        return score(unit(image(b["image"], p["image"])), unit(mlp(b["text"], p["text"])))

    return trainer(params, {"image": real(12, 12, 12, 3), "text": real(12, 16)}, loss,
                   opt="momentum", lr=5e-2)


@step
def two_tower():
    """Two branches (depthwise, grouped, strided, dilated convolutions and pools; an MLP) joined by
    a contrastive loss: every example meets every other, so the batch does not separate."""
    def score(a, t):
        s = 5 * a @ t.T                                                              # [B, B]
        d = jnp.arange(s.shape[0])
        return 0.5 * (xent_gather(s, d) + xent_gather(s.T, d))
    return towers(score)


@step
def two_tower_sum():
    """two_tower with a loss that treats each example alone: the batch separates."""
    return towers(lambda a, t: (1 - (a * t).sum(-1)).mean())


@step
def unet():
    """Skip connections around an encoder-decoder: strided and transposed convolutions, padding,
    concatenation, nearest resize, group norm, instance statistics."""
    ch = 4
    params = {"in": W(3, 3, 2, ch), "down": W(3, 3, ch, 2 * ch), "mid": W(3, 3, 2 * ch, 2 * ch),
              "up": W(2, 2, 2 * ch, ch), "out": W(3, 3, 2 * ch + 2, 1), "g": ones(ch), "b": zeros(ch)}
    dn = ("NHWC", "HWIO", "NHWC")
    conv = lambda x, w, s=1: lax.conv_general_dilated(x, w, (s, s), "SAME", dimension_numbers=dn)

    def norm(x, g, b):
        y = x.reshape(*x.shape[:3], 2, -1)
        y = (y - y.mean((1, 2, 4), keepdims=True)) * lax.rsqrt(y.var((1, 2, 4), keepdims=True) + 1e-5)
        return y.reshape(x.shape) * g + b

    def loss(p, b):
        x = b["x"]
        skip = jax.nn.silu(norm(conv(x, p["in"]), p["g"], p["b"]))
        y = jax.nn.silu(conv(skip, p["down"], 2))
        y = y + jax.nn.silu(conv(y, p["mid"]))
        y = lax.conv_transpose(y, p["up"], (2, 2), "SAME", dimension_numbers=dn)
        small = jax.image.resize(x[:, ::2, ::2], x.shape, "nearest")
        y = jnp.concatenate([y, skip, small], -1)
        y = jnp.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        y = lax.conv_general_dilated(y, p["out"], (1, 1), "VALID", dimension_numbers=dn)
        return jnp.abs(y[..., 0] - b["y"]).mean()

    return trainer(params, {"x": real(12, 8, 8, 2), "y": real(12, 8, 8)}, loss, opt="momentum")


@step
def batch_dim1():
    """Time-major layout: ids [S, B], activations [S, B, H]; the batch is dimension 1."""
    h, heads, seq, vocab = 8, 2, 6, 16
    params = {"wte": W(vocab, h, std=0.5), "q": W(h, h), "k": W(h, h), "v": W(h, h), "o": W(h, h),
              "ln": ln_spec(h), "fc1": dense_spec(h, 16), "fc2": dense_spec(16, h), "head": W(h, vocab)}

    def loss(p, b):
        x = p["wte"][b["ids"]]                                                       # [S, B, H]
        sp = lambda t: t.reshape(seq, -1, heads, h // heads)
        s = jnp.einsum("qbnd,kbnd->bnqk", sp(x @ p["q"]), sp(x @ p["k"])) * (h // heads) ** -0.5
        s = jnp.where(causal(seq), s, -1e9)
        o = jnp.einsum("bnqk,kbnd->qbnd", jax.nn.softmax(s, -1), sp(x @ p["v"]))
        x = x + o.reshape(x.shape) @ p["o"]
        x = x + dense(jax.nn.gelu(dense(layer_norm(x, p["ln"]), p["fc1"])), p["fc2"])
        return xent_onehot(x @ p["head"], b["labels"])

    return trainer(params, {"ids": ints(seq, 12, mod=vocab), "labels": ints(seq, 12, mod=vocab)}, loss,
                   opt="momentum", lr=5e-2)


@step
def lora():
    """Frozen weights beside trained low-rank ones: inputs that are neither updated nor batch."""
    h = 16
    base = {"wte": W(32, h, std=0.5), "fc": [dense_spec(h, h) for _ in range(2)], "head": W(h, 32)}
    adapters = {"fc": [{"a": W(h, 2), "b": zeros(2, h)} for _ in range(2)]}

    def fn(adapters, opt, base, batch):
        def loss(a):
            x = base["wte"][batch["ids"]]
            for w, d in zip(base["fc"], a["fc"]):
                x = x + jax.nn.gelu(dense(x, w) + (x @ d["a"]) @ d["b"])
            return xent_onehot(x @ base["head"], batch["labels"])
        l, g = jax.value_and_grad(loss)(adapters)
        opt = tmap(lambda m, g: 0.9 * m + g, opt, g)
        return tmap(lambda p, m: p - 0.1 * m, adapters, opt), opt, l

    return Step("", fn, [("param", adapters), ("opt_state", tmap(lambda s: zeros(*s.shape), adapters)),
                         ("frozen", base), ("batch", {"ids": ints(12, 6, mod=32), "labels": ints(12, 6, mod=32)})])


# ---- randomness --------------------------------------------------------------------------

def dropout_step(impl, words):
    params = mlp_spec(8, 16, 16, 4)

    def loss(p, b, key):
        x = b["x"]
        for i, l in enumerate(p[:-1]):
            x = jax.nn.relu(dense(x, l))
            keep = jax.random.bernoulli(jax.random.fold_in(key, i), 0.8, x.shape)
            x = jnp.where(keep, x / 0.8, 0.0)
        return mse(dense(x, p[-1]), b["y"])

    def fn(params, opt, batch):
        key, sub = jax.random.split(jax.random.wrap_key_data(opt["key"], impl=impl))
        l, g = jax.value_and_grad(loss)(params, batch, sub)
        mom = tmap(lambda m, g: 0.9 * m + g, opt["mom"], g)
        return (tmap(lambda p, m: p - 0.05 * m, params, mom),
                {"key": jax.random.key_data(key), "mom": mom}, l)

    opt = {"key": Spec((words,), "const", 7, np.uint32), "mom": tmap(lambda s: zeros(*s.shape), params)}
    return Step("", fn, [("param", params), ("opt_state", opt), ("batch", xy())])


@step
def dropout():
    """Dropout from a threefry key that is part of the state and split in every step."""
    return dropout_step("threefry2x32", 2)


@step
def dropout_rbg():
    """dropout with a key of JAX's "rbg" kind: stablehlo.rng_bit_generator."""
    return dropout_step("rbg", 4)


# ---- optimizers, metrics, precision ----------------------------------------------------------

@step
def clip_norm():
    """step(state, batch) -> (state, metrics): clipping by the global norm, a learning rate schedule,
    an average of the parameters, a hyperparameter passed through; the loss is not the last result."""
    params = mlp_spec(8, 16, 5)
    like = lambda: tmap(lambda s: zeros(*s.shape), params)
    state = {"count": zeros(dtype=np.int32), "ema": tmap(lambda s: zeros(*s.shape), params),
             "hyper": {"base_lr": Spec((), "const", 0.05)}, "mu": like(), "nu": like(), "params": params}

    def fn(state, batch):
        def loss(p):
            z = mlp(batch["x"], p)
            return xent_gather(z, batch["y"]), (z.argmax(-1) == batch["y"]).mean()
        (l, acc), g = jax.value_and_grad(loss, has_aux=True)(state["params"])
        norm = jnp.sqrt(sum(jnp.sum(x * x) for x in jax.tree.leaves(g)))
        g = tmap(lambda x: x * jnp.minimum(1.0, 0.1 / (norm + 1e-6)), g)
        c = state["count"] + 1
        lr = state["hyper"]["base_lr"] * jnp.where(c < 3, c / 3, 0.5 * (1 + jnp.cos(jnp.pi * c / 100)))
        mu = tmap(lambda m, x: 0.9 * m + 0.1 * x, state["mu"], g)
        nu = tmap(lambda v, x: 0.99 * v + 0.01 * x * x, state["nu"], g)
        cf = c.astype(jnp.float32)
        p = tmap(lambda p, m, v: p - lr * (m / (1 - 0.9 ** cf) / (jnp.sqrt(v / (1 - 0.99 ** cf)) + 1e-3)
                                           + 0.01 * p), state["params"], mu, nu)
        ema = tmap(lambda e, p: 0.9 * e + 0.1 * p, state["ema"], p)
        new = {"count": c, "ema": ema, "hyper": state["hyper"], "mu": mu, "nu": nu, "params": p}
        return new, {"accuracy": acc, "grad_norm": norm, "loss": l, "lr": lr}

    return Step("", fn, [("state", state), ("batch", {"x": real(12, 8), "y": ints(12, mod=5)})], donate=(0,),
                feedback=lambda a, r: (r[0], a[1]), loss=lambda r: r[1]["loss"], results=("state", "metrics"))


@step
def f16_mixed():
    """float16 compute under a dynamic loss scale: lax.cond skips the update when a gradient is
    not finite (the first of the five golden steps)."""
    params = mlp_spec(8, 16, 16, 4)

    def fn(params, opt, batch):
        scale = opt["scale"]

        def loss(p):
            h = tmap(lambda x: x.astype(jnp.float16), p)
            return mse(f32(mlp(batch["x"].astype(jnp.float16), h)), batch["y"]) * scale

        l, g = jax.value_and_grad(loss)(params)
        g = tmap(lambda x: x / scale, g)
        finite = jnp.all(jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(g)]))

        def update(params, mom):
            mom = tmap(lambda m, x: 0.9 * m + x, mom, g)
            return tmap(lambda p, m: p - 0.05 * m, params, mom), mom

        params, mom = lax.cond(finite, update, lambda p, m: (p, m), params, opt["mom"])
        good = jnp.where(finite, opt["good"] + 1, 0)
        grow = good >= 2
        scale = jnp.where(finite, jnp.where(grow, scale * 2, scale), scale / 16)
        return params, {"good": jnp.where(grow, 0, good), "mom": mom, "scale": scale}, l / opt["scale"]

    opt = {"good": zeros(dtype=np.int32), "mom": tmap(lambda s: zeros(*s.shape), params),
           "scale": Spec((), "const", 2.0 ** 20)}
    return Step("", fn, [("param", params), ("opt_state", opt), ("batch", xy())])


# ---- how inputs and outputs are laid out ---------------------------------------------------------

def plain(order="pol", donate=(), batch=None):
    """An MLP with momentum; order: how params, opt_state and loss are returned."""
    cfg = Cfg(opt="momentum", lr=0.05, dtype="fp32")
    params = mlp_spec(8, 12, 4)
    inner = make_step(lambda p, st, b: (mse(mlp(b["x"], p), b["y"]), None), cfg)

    def fn(params, opt, batch):
        p, o, l = inner(params, opt, batch)
        r = {"p": p, "o": o, "l": l}
        return tuple(r[k] for k in order)

    at = order.index
    kw = dict(feedback=lambda a, r: (r[at("p")], r[at("o")], a[2]), loss=lambda r: r[at("l")],
              results=tuple({"p": "param", "o": "opt_state", "l": "loss"}[k] for k in order))
    return Step("", fn, [("param", params), ("opt_state", opt_spec(params, cfg)), ("batch", batch or xy())],
                donate=donate, **kw)


@step
def loss_first():
    """Returns (loss, params, opt_state), nothing donated."""
    return plain("lpo")


@step
def no_donate():
    """Returns (params, opt_state, loss), nothing donated."""
    return plain()


@step
def donate_some():
    """Only the optimizer state is donated. JAX pairs donated inputs with outputs by shape and
    order alone, so the aliases here lead from a momentum to an updated parameter."""
    return plain(donate=(1,))


@step
def swapped():
    """step(params, opt_state, batch) -> (opt_state, params, loss), both donated: every alias pairs
    a parameter with a momentum and the other way round; alias_arg is not state_arg."""
    return plain("opl", donate=(0, 1))


@step
def metrics_first():
    """step(state, batch) -> (metrics, state), the state donated: JAX lends the buffer of the first
    fp32 scalar of the state to the loss and of the second to the first, one off throughout."""
    params = mlp_spec(8, 12, 4)

    def fn(state, batch):
        l, g = jax.value_and_grad(lambda p: mse(mlp(batch["x"], p), batch["y"]))(state["params"])
        new = {"decay": state["decay"] * 0.99, "lr": state["lr"] * state["decay"],
               "params": tmap(lambda p, g: p - state["lr"] * g, state["params"], g)}
        return {"loss": l}, new

    state = {"decay": Spec((), "const", 0.95), "lr": Spec((), "const", 0.1), "params": params}
    return Step("", fn, [("state", state), ("batch", xy())], donate=(0,), results=("metrics", "state"),
                feedback=lambda a, r: (r[1], a[1]), loss=lambda r: r[0]["loss"])


@step
def drop_unused():
    """Exported without keep_unused: the batch field "id", which the step ignores, is no input."""
    s = plain(donate=(0, 1), batch={"id": ints(12, mod=100), **xy()})
    s.keep_unused = False
    return s


@step
def ambiguous():
    """f(a, b, x) -> (tensor, loss), all of one shape and nothing donated: which input is the
    state cannot be told (it is a)."""
    def fn(a, b, x):
        loss = lambda a: jnp.mean((jnp.tanh(x @ a) - b) ** 2)
        l, g = jax.value_and_grad(loss)(a)
        return a - 0.5 * g, l
    return Step("", fn, [("param", W(8, 8)), ("opt_state", real(8, 8)), ("batch", real(8, 8))],
                donate=(), feedback=lambda a, r: (r[0], a[1], a[2]), loss=lambda r: r[1],
                results=("new", "loss"), state_known=False)


@step
def eval_only():
    """No state at all: (params, batch) -> loss."""
    params = mlp_spec(8, 16, 4)
    return Step("", lambda p, b: mse(mlp(b["x"], p), b["y"]), [("frozen", params), ("batch", xy())],
                donate=(), feedback=lambda a, r: a, loss=lambda r: r, results=("loss",))


@step
def batch_result():
    """Results that keep the batch dimension: predictions [B, C] and the loss of each example [B]."""
    params = mlp_spec(8, 16, 5)

    def fn(params, opt, batch):
        def loss(p):
            z = mlp(batch["x"], p)
            lp = jax.nn.log_softmax(z)
            each = -jnp.take_along_axis(lp, batch["y"][:, None], 1)[:, 0]
            return each.mean(), (each, z)
        (l, (each, z)), g = jax.value_and_grad(loss, has_aux=True)(params)
        opt = tmap(lambda m, g: 0.9 * m + g, opt, g)
        params = tmap(lambda p, m: p - 0.1 * m, params, opt)
        return params, opt, {"class": z.argmax(-1).astype(jnp.int32), "each": each, "loss": l, "logits": z}

    return Step("", fn, [("param", params), ("opt_state", tmap(lambda s: zeros(*s.shape), params)),
                         ("batch", {"x": real(12, 8), "y": ints(12, mod=5)})],
                loss=lambda r: r[2]["loss"], results=("param", "opt_state", "metrics"))


@step
def memory_bank():
    """Features of the batch are written into a state tensor (no sum over the batch), which the
    next steps read: a queue of negatives."""
    k, d, b = 36, 4, 12
    params = {"enc": mlp_spec(8, 16, d)}

    def fn(params, opt, batch):
        def loss(p):
            z = mlp(batch["x"], p["enc"])
            z = z * lax.rsqrt((z * z).sum(-1, keepdims=True) + 1e-6)
            s = jnp.concatenate([(z * batch["y"]).sum(-1, keepdims=True), z @ opt["bank"].T], -1)
            return -jax.nn.log_softmax(4 * s)[:, 0].mean(), z
        (l, z), g = jax.value_and_grad(loss, has_aux=True)(params)
        bank = lax.dynamic_update_slice(opt["bank"], z, (opt["at"], 0))
        return (tmap(lambda p, g: p - 0.1 * g, params, g),
                {"at": (opt["at"] + b) % k, "bank": bank}, l)

    return Step("", fn, [("param", params), ("opt_state", {"at": zeros(dtype=np.int32), "bank": zeros(k, d)}),
                         ("batch", xy(b, 8, d))])


@step
def sharded_export():
    """Exported for 8 devices with shardings of its own: num_partitions, sdy.mesh, constraints."""
    from jax.sharding import NamedSharding, PartitionSpec as P
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    params = mlp_spec(8, 16, 4)
    sh = lambda *a: NamedSharding(mesh, P(*a))

    def loss(p, b):
        x = jax.nn.relu(dense(b["x"], p[0]))
        x = lax.with_sharding_constraint(x, sh("data", "model"))
        return mse(dense(x, p[1]), b["y"])

    s = trainer(params, xy(24), loss, opt="sgd")
    p = [{"b": sh("model"), "w": sh(None, "model")}, {"b": sh(), "w": sh("model")}]
    b = {"x": sh("data"), "y": sh("data")}
    s.jit = dict(in_shardings=(p, {}, b), out_shardings=(p, {}, sh()))
    return s


# ---- operators -----------------------------------------------------------------------------------

@step
def topk_sort():
    """top_k, sort, argsort, cumulative sums, clip, one-hot, einsums of odd sizes, integer and bit
    operations, reduce_precision."""
    params = {"w": W(9, 7), "e": W(5, 7, 3), "t": W(11, 9, std=0.5), "o": W(3, 5)}

    def loss(p, b):
        x = p["t"][b["ids"] % 11] + b["x"]                                           # [B, 9]
        z = lax.reduce_precision(x @ p["w"], 8, 10)                                  # [B, 7]
        v, i = lax.top_k(z, 3)
        s = jnp.sort(z, axis=-1)
        rank = jnp.argsort(jnp.argsort(z, axis=-1), axis=-1)
        c = jnp.cumsum(jax.nn.softmax(s), axis=-1)
        m = jnp.cumprod(1 - 0.1 * jnp.clip(z, -0.5, 0.5), axis=1)
        mx = lax.cummax(z, axis=1)
        y = jnp.einsum("bi,kij->bkj", z + c + m + 0.1 * mx + 0.01 * rank, p["e"])    # [B, 5, 3]
        y = y + jnp.einsum("bt,bti,kij->bkj", v, jax.nn.one_hot(i, 7), p["e"])
        u = b["ids"].astype(jnp.uint32)
        h = (u << 3) ^ (u >> 1) & jnp.uint32(0xFF) | lax.population_count(u)
        h = (lax.rem(h, jnp.uint32(5)) + lax.clz(u)).astype(jnp.int32) // 3 % 5
        parity = (lax.bitcast_convert_type(b["x"][:, 0], jnp.int32) & 1).astype(jnp.float32)
        w = jnp.where((h == 2) | (parity > 0), 0.5, 1.0)
        lp = jax.nn.log_softmax((y * p["o"].T).sum(-1))                              # [B, 5]
        return -(w * jnp.take_along_axis(lp, (h % 5)[:, None], 1)[:, 0]).mean()

    return trainer(params, {"ids": ints(12, mod=1000), "x": real(12, 9)}, loss, opt="momentum", lr=5e-2)


@step
def special_math():
    """Functions that JAX exports as CHLO or as decompositions: erf, inverse erf, log gamma, digamma,
    hyperbolic and inverse trigonometric ones, expm1, log1p, cbrt, atan2, next_after, integer power."""
    params = {"w": W(8, 12), "o": W(12, 4)}

    def loss(p, b):
        x = jnp.tanh(b["x"] @ p["w"]) * 0.9
        y = [lax.erf(x), lax.erf_inv(x), lax.lgamma(x + 2), lax.digamma(x + 2), jnp.sinh(x), jnp.cosh(x),
             jnp.arcsin(x), jnp.arctanh(x), jnp.expm1(x), jnp.log1p(x), jnp.cbrt(x + 2), jnp.arctan2(x, x + 2),
             jnp.tan(x), lax.erfc(x), lax.asinh(x), lax.acosh(x + 2), lax.square(x), lax.integer_pow(x, 5),
             jax.nn.gelu(x, approximate=False), jnp.logaddexp(x, 0.1), jnp.sign(x) * x, jnp.floor(3 * x) * x,
             jnp.round(3 * x) * x, lax.logistic(x), jnp.exp2(x), jnp.sinc(x), 
             jnp.nextafter(lax.stop_gradient(x), 1.0)]
        return mse(sum(y) / len(y) @ p["o"], b["y"])

    return trainer(params, xy(), loss, opt="momentum", lr=5e-2)


@step
def gather_scatter():
    """Embedding bags, segment sums, indexed set and max, dynamic slices, flips, rolls, pads."""
    params = {"t": W(20, 6, std=0.5), "w": W(6, 6), "o": W(6, 4)}

    def loss(p, b):
        x = p["t"].at[b["ids"]].get(mode="clip")                                     # [B, 5, 6]
        x = jax.vmap(lambda v, s: jax.ops.segment_sum(v, s, num_segments=3))(x, b["seg"])
        at = b["seg"][:, 0]
        x = x.at[jnp.arange(x.shape[0]), at].multiply(2.0)
        x = x.at[:, 1, 2:4].set(0.25)
        x = x + jnp.roll(jnp.flip(x, -1), 1, axis=-1)
        x = jax.vmap(lambda v, i: lax.dynamic_slice(v, (i, 0), (2, 6)))(x, at)       # [B, 2, 6]
        x = jnp.pad(x, ((0, 0), (1, 0), (0, 0))).max(1) @ p["w"]
        x = jnp.zeros((x.shape[0], 6)).at[:, b["perm"] % 6].max(x) + x
        return mse(x @ p["o"], b["y"])

    batch = {"ids": ints(12, 5, mod=22), "perm": ints(6, mod=6), "seg": ints(12, 5, mod=3), "y": real(12, 4)}
    return trainer(params, batch, loss, opt="momentum", lr=5e-2)


@step
def fft_conv():
    """A long convolution through the Fourier transform: complex numbers inside."""
    params = {"k": W(16, 3, std=0.3), "w": W(3, 3)}

    def loss(p, b):
        f = jnp.fft.rfft(b["x"], n=32, axis=1) * jnp.fft.rfft(p["k"], n=32, axis=0)
        y = jnp.fft.irfft(f, n=32, axis=1)[:, :16]
        return mse(y @ p["w"], b["y"])

    return trainer(params, {"x": real(12, 16, 3), "y": real(12, 16, 3)}, loss, opt="momentum", lr=5e-2)


# ---- without gradients ---------------------------------------------------------------
# (At the end, so that the source lines in the exports above stay.)

@step
def eval_gpt():
    """A GPT without gradients: (params, batch) -> the loss, that of each example, and the predicted tokens."""
    c = models.G(h=16, layers=3, heads=2, seq=8, vocab=32, batch=12)
    spec, _, inputs, _ = models.gpt(c)

    def fn(params, batch):
        x = jnp.take(params["wte"], batch["ids"], axis=0) + params["wpe"]
        for l in params["h"]:
            x = models.gpt_block(x, l, c.heads, causal(c.seq))
        logp = jax.nn.log_softmax(layer_norm(x, params["lnf"]) @ params["head"])
        each = -jnp.take_along_axis(logp, batch["labels"][:, :, None], 2)[:, :, 0].mean(1)
        return {"each": each, "loss": each.mean(), "tokens": logp.argmax(-1).astype(jnp.int32)}

    return Step("", fn, [("frozen", spec), ("batch", inputs)], donate=(), feedback=lambda a, r: a,
                loss=lambda r: r["loss"], results=("metrics",))


@step
def eval_scan():
    """A network without gradients whose layers are one lax.scan, and whose result is a mean over unmasked examples of the
    whole batch."""
    spec = {"in": dense_spec(8, 16), "h": stacked(dense_spec(16, 16), 4), "out": dense_spec(16, 4)}

    def fn(params, batch):
        x = jnp.tanh(dense(batch["x"], params["in"]))
        x, _ = lax.scan(lambda x, l: (x + jnp.tanh(dense(x, l)), None), x, params["h"])
        each = ((dense(x, params["out"]) - batch["y"]) ** 2).mean(-1)
        mask = (batch["x"][:, 0] > -0.5).astype(each.dtype)
        return (each * mask).sum() / mask.sum()

    return Step("", fn, [("frozen", spec), ("batch", xy())], donate=(), feedback=lambda a, r: a, loss=lambda r: r,
                results=("loss",))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--only", default=".*", help="regular expression of names")
    ap.add_argument("--out", default=".")
    a = ap.parse_args()
    for name, make in STEPS.items():
        if re.fullmatch(a.only, name):
            s = make()
            s.name, s.note = name, " ".join(make.__doc__.split())
            export(s, a.out)


if __name__ == "__main__":
    main()
