"""The main models: MLP, GPT, GShard MoE, Wide-ResNet, at sizes tiny, mini, small and those of
the Alpa paper.

Each model is a function cfg -> (param_spec, state_spec or None, batch_spec, loss_fn), where
loss_fn(params, state, batch) -> (loss, new_state).
"""
import numpy as np
import jax
import jax.numpy as jnp
from jax import lax

from common import (Cfg, Spec, W, attention, causal, dense, dense_spec, f32, ints, layer_norm,
                    ln_spec, ones, real, xent_gather, xent_onehot, zeros)


# ---- MLP ------------------------------------------------------------------

def mlp(c):
    dims = [c.din] + [c.h] * (c.layers - 1) + [c.dout]
    spec = {"layers": [dense_spec(a, b) for a, b in zip(dims[:-1], dims[1:])]}

    def loss(p, st, b):
        x = b["x"]
        for i, l in enumerate(p["layers"]):
            x = dense(x, l)
            if i + 1 < len(p["layers"]):
                x = jax.nn.relu(x)
        d = f32(x) - f32(b["y"])
        return (d * d).mean(), None

    batch = {"x": real(c.batch, c.din), "y": real(c.batch, c.dout)}
    return spec, None, batch, loss


# ---- GPT -------------------------------------------------------------------

def gpt_block_spec(h, mlp_factor=4):
    return {"ln1": ln_spec(h), "qkv": dense_spec(h, 3 * h), "proj": dense_spec(h, h),
            "ln2": ln_spec(h), "fc1": dense_spec(h, mlp_factor * h),
            "fc2": dense_spec(mlp_factor * h, h)}


def self_attn(x, p, heads, mask):
    B, S, H = x.shape
    # Megatron layout: the 3H output columns are [head][q|k|v][head_dim].
    qkv = dense(x, p["qkv"]).reshape(B, S, heads, 3, H // heads)
    o = attention(qkv[:, :, :, 0], qkv[:, :, :, 1], qkv[:, :, :, 2], mask)
    return dense(o.reshape(B, S, H), p["proj"])


def gpt_block(x, p, heads, mask):
    x = x + self_attn(layer_norm(x, p["ln1"]), p, heads, mask)
    return x + dense(jax.nn.gelu(dense(layer_norm(x, p["ln2"]), p["fc1"])), p["fc2"])


def gpt(c):
    h, V, S = c.h, c.vocab, c.seq
    positions = c.get("positions", S)         # more than S: the first S are used, one state for many lengths
    spec = {"wte": W(V, h, std=0.02), "wpe": W(positions, h, std=0.02),
            "h": [gpt_block_spec(h) for _ in range(c.layers)], "lnf": ln_spec(h)}
    if not c.tied:
        spec["head"] = W(h, V)
    xent = {"onehot": xent_onehot, "gather": xent_gather}[c.xent]
    block = gpt_block
    if c.get("remat"):
        block = jax.checkpoint(gpt_block, static_argnums=(2,))

    def loss(p, st, b):
        x = jnp.take(p["wte"], b["ids"], axis=0) + (p["wpe"] if positions == S else p["wpe"][:S])
        m = causal(S)
        for l in p["h"]:
            x = block(x, l, c.heads, m)
        x = layer_norm(x, p["lnf"])
        w = p["wte"].T if c.tied else p["head"]
        return xent(x @ w, b["labels"]), None

    batch = {"ids": ints(c.batch, S, mod=V), "labels": ints(c.batch, S, mod=V)}
    return spec, None, batch, loss


# ---- two towers -----------------------------------------------------------

def towers(c):
    """Two transformer encoders on inputs of their own (question and passage); what they say of each example is
    concatenated and classified."""
    h, V, S = c.h, c.vocab, c.seq

    def tower_spec():
        return {"wte": W(V, h, std=0.02), "wpe": W(S, h, std=0.02),
                "h": [gpt_block_spec(h) for _ in range(c.layers)], "lnf": ln_spec(h)}

    def encode(ids, p):
        x = jnp.take(p["wte"], ids, axis=0) + p["wpe"]
        for l in p["h"]:
            x = gpt_block(x, l, c.heads, None)
        return f32(layer_norm(x, p["lnf"])).mean(1).astype(x.dtype)                # [batch, h]

    def loss(p, st, b):
        both = jnp.concatenate([encode(b["query"], p["query"]), encode(b["document"], p["document"])], -1)
        x = jax.nn.gelu(dense(both, p["join"]))
        return xent_onehot(dense(x, p["out"]), b["labels"]), None

    batch = {"query": ints(c.batch, S, mod=V), "document": ints(c.batch, S, mod=V),
             "labels": ints(c.batch, mod=c.classes)}
    return {"query": tower_spec(), "document": tower_spec(), "join": dense_spec(2 * h, c.dim),
            "out": dense_spec(c.dim, c.classes)}, None, batch, loss


# ---- MoE (GShard) -----------------------------------------------------------

def top2_dispatch(g, cap):
    """g: [G,S,E] softmax gates (fp32) -> combine [G,S,E,C], load-balance loss."""
    E = g.shape[-1]
    oh1 = jax.nn.one_hot(jnp.argmax(g, -1), E, dtype=jnp.float32)
    oh2 = jax.nn.one_hot(jnp.argmax(jnp.where(oh1 > 0, -1.0, g), -1), E, dtype=jnp.float32)
    balance = E * (g.mean(1) * oh1.mean(1)).sum(-1).mean()
    slot1 = jnp.cumsum(oh1, 1) - oh1                        # place in expert's queue
    slot2 = jnp.cumsum(oh2, 1) - oh2 + oh1.sum(1, keepdims=True)
    keep1 = oh1 * (slot1 < cap)
    keep2 = oh2 * (slot2 < cap)
    w1 = (g * keep1).sum(-1)
    w2 = (g * keep2).sum(-1)
    den = jnp.maximum(w1 + w2, 1e-9)

    def place(keep, slot, w):
        s = (slot * keep).sum(-1).astype(jnp.int32)
        return jnp.einsum("gse,gsc->gsec", keep * (w / den)[..., None],
                          jax.nn.one_hot(s, cap, dtype=jnp.float32))

    return place(keep1, slot1, w1) + place(keep2, slot2, w2), balance


def moe_ffn(x, p, group):
    B, S, H = x.shape
    E = p["wi"].shape[0]
    xs = x.reshape(-1, group, H)
    gates = jax.nn.softmax(f32(jnp.einsum("gsm,me->gse", xs, p["wg"])), axis=-1)
    comb, bal = top2_dispatch(gates, max(1, 2 * group // E))
    disp = (comb > 0).astype(x.dtype)
    xe = jnp.einsum("gsec,gsm->egcm", disp, xs)
    hdn = jax.nn.gelu(jnp.einsum("egcm,emh->egch", xe, p["wi"]))
    ye = jnp.einsum("egch,ehm->egcm", hdn, p["wo"])
    y = jnp.einsum("gsec,egcm->gsm", comb.astype(x.dtype), ye)
    return y.reshape(B, S, H), bal


def moe(c):
    h, V, S, E, F = c.h, c.vocab, c.seq, c.experts, c.h * c.mlp
    attn = lambda: {"q": dense_spec(h, h), "k": dense_spec(h, h), "v": dense_spec(h, h),
                    "proj": dense_spec(h, h), "ln1": ln_spec(h), "ln2": ln_spec(h)}
    layers = []
    for i in range(c.layers):
        l = attn()
        if i % 2 == 0:
            l["moe"] = {"wg": W(h, E), "wi": W(E, h, F, fan=h), "wo": W(E, F, h, fan=F)}
        else:
            l["fc1"], l["fc2"] = dense_spec(h, F), dense_spec(F, h)
        layers.append(l)
    spec = {"wte": W(V, h, std=0.02), "wpe": W(S, h, std=0.02), "h": layers,
            "lnf": ln_spec(h), "head": W(h, V)}

    def loss(p, st, b):
        x = p["wte"][b["ids"]] + p["wpe"]
        m, aux = causal(S), 0.0
        B = x.shape[0]
        sp = lambda t: t.reshape(B, S, c.heads, h // c.heads)
        for l in p["h"]:
            y = layer_norm(x, l["ln1"])
            o = attention(sp(dense(y, l["q"])), sp(dense(y, l["k"])), sp(dense(y, l["v"])), m)
            x = x + dense(o.reshape(B, S, h), l["proj"])
            y = layer_norm(x, l["ln2"])
            if "moe" in l:
                y, bal = moe_ffn(y, l["moe"], c.group)
                aux = aux + bal
            else:
                y = dense(jax.nn.gelu(dense(y, l["fc1"])), l["fc2"])
            x = x + y
        logits = layer_norm(x, p["lnf"]) @ p["head"]
        return xent_onehot(logits, b["labels"]) + 0.01 * aux / (c.layers // 2), None

    batch = {"ids": ints(c.batch, S, mod=V), "labels": ints(c.batch, S, mod=V)}
    return spec, None, batch, loss


# ---- Wide-ResNet --------------------------------------------------------------

def conv(x, w, stride=1, pad="SAME"):
    return lax.conv_general_dilated(x, w, (stride, stride), pad,
                                    dimension_numbers=("NHWC", "HWIO", "NHWC"))


def wresnet(c):
    """Bottleneck blocks: 1x1 (C) -> 3x3 (C*width) -> 1x1 (4C); batch norm in training
    mode with running statistics carried in opt_state['state'] (or group norm)."""
    stages = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}.get(c.depth, c.get("stages"))
    norm_spec = lambda ch: {"g": ones(ch), "b": zeros(ch)}
    spec = {"stem": W(7, 7, 3, c.ch), "stem_n": norm_spec(c.ch), "blocks": []}
    cin, strides = c.ch, []
    for i, n in enumerate(stages):
        f = c.ch * 2 ** i
        for j in range(n):
            b = {"c1": W(1, 1, cin, f), "n1": norm_spec(f),
                 "c2": W(3, 3, f, f * c.width), "n2": norm_spec(f * c.width),
                 "c3": W(1, 1, f * c.width, f * 4), "n3": norm_spec(f * 4)}
            s = 2 if i > 0 and j == 0 else 1
            if s != 1 or cin != f * 4:
                b["cp"], b["np"] = W(1, 1, cin, f * 4), norm_spec(f * 4)
            spec["blocks"].append(b)
            strides.append(s)
            cin = f * 4
    spec["fc"] = dense_spec(cin, c.classes)
    bn = c.norm == "batch"
    is_n = lambda d: isinstance(d, dict) and set(d) == {"g", "b"}

    def stats(d):  # running mean/var tree mirroring the norms
        if is_n(d):
            n = d["g"].shape[0]
            return {"mean": zeros(n, dtype=np.float32),
                    "var": Spec((n,), "const", 1.0, np.float32)}
        if isinstance(d, dict):
            r = {k: stats(v) for k, v in d.items()}
            return {k: v for k, v in r.items() if v}
        if isinstance(d, list):
            return [stats(v) for v in d]
        return None

    def norm(x, p, st):
        y = f32(x)
        if bn:
            mu = y.mean((0, 1, 2))
            var = (y * y).mean((0, 1, 2)) - mu * mu
            new = {"mean": 0.9 * st["mean"] + 0.1 * mu, "var": 0.9 * st["var"] + 0.1 * var}
            y = (y - mu) * (lax.rsqrt(var + 1e-5) * f32(p["g"])) + f32(p["b"])
            return y.astype(x.dtype), new
        B, H, Wd, C = x.shape
        g = y.reshape(B, H, Wd, 4, C // 4)
        mu = g.mean((1, 2, 4), keepdims=True)
        var = ((g - mu) ** 2).mean((1, 2, 4), keepdims=True)
        y = ((g - mu) * lax.rsqrt(var + 1e-5)).reshape(x.shape)
        return (y * f32(p["g"]) + f32(p["b"])).astype(x.dtype), None

    def loss(p, st, b):
        st = st or {"stem_n": None, "blocks": [{}] * len(p["blocks"])}
        new = {"blocks": []}
        x = conv(b["x"], p["stem"], 2, [(3, 3), (3, 3)])
        x, new["stem_n"] = norm(x, p["stem_n"], st["stem_n"])
        x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max,
                              (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        for l, s, sb in zip(p["blocks"], strides, st["blocks"]):
            nb = {}
            y, nb["n1"] = norm(conv(x, l["c1"]), l["n1"], sb.get("n1"))
            y, nb["n2"] = norm(conv(jax.nn.relu(y), l["c2"], s), l["n2"], sb.get("n2"))
            y, nb["n3"] = norm(conv(jax.nn.relu(y), l["c3"]), l["n3"], sb.get("n3"))
            if "cp" in l:
                x, nb["np"] = norm(conv(x, l["cp"], s), l["np"], sb.get("np"))
            x = jax.nn.relu(x + y)
            new["blocks"].append(nb)
        x = dense(x.mean((1, 2)), p["fc"])
        return xent_onehot(x, b["y"]), (new if bn else None)

    batch = {"x": real(c.batch, c.image, c.image, 3), "y": ints(c.batch, mod=c.classes)}
    return spec, (stats(spec) if bn else None), batch, loss


# ---- configurations ---------------------------------------------------------------

G = lambda **k: Cfg({"model": gpt, "dtype": "fp32", "opt": "adam", "tied": False, "xent": "onehot", **k})
M = lambda **k: Cfg({"model": moe, "dtype": "fp32", "opt": "adam", "mlp": 8, **k})
R = lambda **k: Cfg({"model": wresnet, "dtype": "fp32", "opt": "adam", "width": 2, "norm": "batch", **k})
L = lambda **k: Cfg({"model": mlp, "dtype": "fp32", "opt": "adam", **k})

gt = dict(h=32, layers=4, heads=8, seq=32, vocab=256, batch=16)
gm = dict(h=128, layers=4, heads=4, seq=64, vocab=512, batch=16)
mt = dict(h=16, layers=4, heads=4, seq=32, vocab=256, batch=16, experts=8, group=64, mlp=4)
rt = dict(depth=0, stages=(1, 1, 1), ch=8, image=32, classes=16, batch=16)
lt = dict(din=64, h=128, dout=32, layers=4, batch=64)

CONFIGS = {
    # tiny: seconds to run, golden values whole
    "mlp_tiny": L(**lt), "mlp_tiny_sgd": L(**lt, opt="sgd", lr=1e-2),
    "gpt_tiny": G(**gt), "gpt_tiny_sgd": G(**gt, opt="sgd", lr=1e-2),
    "gpt_tiny_tied_gather": G(**gt, tied=True, xent="gather"),
    "gpt_tiny_remat": G(**gt, remat=True),
    "gpt_tiny_bf16": G(**gt, dtype="bf16"),
    "moe_tiny": M(**mt), "moe_tiny_sgd": M(**mt, opt="sgd", lr=1e-2),
    "wresnet_tiny": R(**rt), "wresnet_tiny_sgd": R(**rt, opt="sgd", lr=1e-2),
    "wresnet_tiny_gn": R(**rt, norm="group", opt="momentum", lr=1e-2),
    # mini: golden values sampled
    "gpt_mini": G(**gm),
    "moe_mini": M(h=64, layers=4, heads=4, seq=64, vocab=512, batch=16, experts=8, group=128, mlp=4),
    "wresnet_mini": R(depth=50, ch=8, image=32, classes=64, batch=16),
    # small: for timing on CPUs; losses only
    "mlp_small": L(din=1024, h=1024, dout=1024, layers=8, batch=1024),
    "gpt_small": G(h=512, layers=6, heads=8, seq=128, vocab=4096, batch=16),
    "moe_small": M(h=256, layers=4, heads=8, seq=128, vocab=4096, batch=16, experts=8, group=256, mlp=8),
    "wresnet_small": R(depth=50, ch=32, image=64, classes=256, batch=32),
}
# Alpa, table 2 and 3: planned for, never run here.
for n, h, l, a in [("350M", 1024, 24, 16), ("1.3B", 2048, 24, 32), ("2.6B", 2560, 32, 32),
                   ("6.7B", 4096, 32, 32), ("15B", 5120, 48, 40), ("39B", 8192, 48, 64),
                   ("76B", 10240, 60, 80)]:                    # the last one: Megatron-LM's, beyond Alpa's table
    CONFIGS["gpt_" + n] = G(h=h, layers=l, heads=a, seq=1024, vocab=51200, batch=1024, dtype="bf16", paper=True)
for n, h, l, e in [("380M", 768, 8, 8), ("1.3B", 768, 16, 16), ("2.4B", 1024, 16, 16),
                   ("10B", 1536, 16, 32), ("27B", 2048, 16, 48), ("70B", 2048, 32, 64)]:
    CONFIGS["moe_" + n] = M(h=h, layers=l, heads=16, seq=1024, vocab=32000, batch=1024, experts=e,
                            group=2048, dtype="bf16", paper=True)
for n, d, ch, w in [("250M", 50, 160, 2), ("1B", 50, 320, 2), ("2B", 50, 448, 2), ("4B", 50, 640, 2),
                    ("6.8B", 50, 320, 16), ("13B", 101, 320, 16)]:
    CONFIGS["wresnet_" + n] = R(depth=d, ch=ch, width=w, image=224, classes=1024, batch=1536, paper=True)
    CONFIGS["wresnet_" + n + "_mom"] = R(depth=d, ch=ch, width=w, image=224, classes=1024, batch=1536,
                                         opt="momentum", lr=0.1, paper=True)
# One model of 1.3B at three lengths, as many tokens in each step: a family of shapes (alpa plan A B C).
for s, b in [(512, 256), (1024, 128), (2048, 64)]:
    CONFIGS[f"gpt_seq{s}"] = G(h=2048, layers=24, heads=32, seq=s, positions=2048, vocab=51200, batch=b, dtype="bf16",
                               paper=True)
# Parallel branches of equal size, 1.0B together.
CONFIGS["towers"] = Cfg(model=towers, dtype="bf16", opt="adam", h=1792, layers=12, heads=28, seq=256, vocab=32000,
                        dim=1024, classes=16, batch=1024, paper=True)
# Two batch sizes of one small model: planned as a family and resumed from each other's checkpoints by the tests.
for b in (8, 16):
    CONFIGS[f"mlp_family_b{b}"] = L(din=8, h=16, dout=4, layers=3, batch=b)
