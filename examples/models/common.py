"""What the example models share: parameter specs with a hash-based initialiser, a few
layers and losses, optimizers, and the builder of a training step.

A model is described by *specs* (shape + init rule) instead of arrays, so that a step of any
size can be traced and exported without allocating it, and so that `alpa run --init NAME.json`
can produce the very same initial values without JAX.
"""
import numpy as np
import jax
import jax.numpy as jnp
from jax import lax


class Cfg(dict):
    """A dict whose keys read as attributes."""
    __getattr__ = dict.__getitem__


# ---- specs and their initial values ------------------------------------------------

class Spec:
    """Shape + init rule of one leaf (deliberately not a pytree node).

    kinds: uniform  v = (float(h >> 8) * 2^-24 - 0.5) * float32(2 * value)   (fp32 throughout)
           const    v = value
           int      v = h mod value
    with h = mix(mix(e) + mix(seed + 1)) mod 2^32 and e = the row-major element index.
    The seed is the leaf's index among the parameters (an fp32 master copy has the seed of its
    parameter), or 1000000 + the leaf's index among the batch leaves.
    """

    def __init__(self, shape, kind="const", value=0.0, dtype=None):
        self.shape = tuple(int(s) for s in shape)
        self.kind, self.value, self.dtype = kind, value, dtype

    def __repr__(self):
        return f"Spec({self.shape}, {self.kind}, {self.value}, {self.dtype})"


def is_spec(x):
    return isinstance(x, Spec)


def mix32(x):
    x = np.array(x, np.uint32)
    with np.errstate(over="ignore"):
        x ^= x >> np.uint32(16); x *= np.uint32(0x7FEB352D)
        x ^= x >> np.uint32(15); x *= np.uint32(0x846CA68B)
        x ^= x >> np.uint32(16)
    return x


def materialise(spec, seed, dtype):
    """The initial value of one leaf. Types narrower than fp32 are rounded to nearest even."""
    if spec.kind == "const":
        return np.full(spec.shape, spec.value, dtype)
    n = int(np.prod(spec.shape, dtype=np.int64))
    with np.errstate(over="ignore"):
        h = mix32(mix32(np.arange(n, dtype=np.uint32)) + mix32(np.uint32(seed + 1)))
    if spec.kind == "int":
        return (h % np.uint32(spec.value)).astype(dtype).reshape(spec.shape)
    u = (h >> np.uint32(8)).astype(np.float32) * np.float32(2.0 ** -24) - np.float32(0.5)
    return (u * np.float32(2 * spec.value)).astype(dtype).reshape(spec.shape)


def W(*shape, fan=None, std=None):
    """Weight of variance 1/fan (default: all dims but the last)."""
    if std is None:
        fan = fan if fan is not None else int(np.prod(shape[:-1]))
        std = fan ** -0.5
    return Spec(shape, "uniform", float(np.float32(std * 3 ** 0.5)))


def ones(*shape):
    return Spec(shape, "const", 1.0)


def zeros(*shape, dtype=None):
    return Spec(shape, "const", 0.0, dtype)


def ints(*shape, mod, dtype=np.int32):
    return Spec(shape, "int", mod, dtype)


def real(*shape, scale=1.0, dtype=None):
    return Spec(shape, "uniform", scale, dtype)


# ---- layers ------------------------------------------------------------------------

def f32(x):
    return x.astype(jnp.float32)


def layer_norm(x, p, eps=1e-5):
    y = f32(x)
    mu = y.mean(-1, keepdims=True)
    d = y - mu
    var = (d * d).mean(-1, keepdims=True)
    return (d * lax.rsqrt(var + eps) * f32(p["g"]) + f32(p["b"])).astype(x.dtype)


def ln_spec(h):
    return {"g": ones(h), "b": zeros(h)}


def dense_spec(i, o):
    return {"w": W(i, o), "b": zeros(o)}


def dense(x, p):
    return x @ p["w"] + p["b"]


def attention(q, k, v, mask=None):
    """q, k, v: [B, S, N, D]; mask: broadcastable to [B, N, Sq, Sk], True = attend."""
    s = jnp.einsum("bqnd,bknd->bnqk", q, k, preferred_element_type=jnp.float32)
    s = s * (q.shape[-1] ** -0.5)
    if mask is not None:
        s = jnp.where(mask, s, -1e9)
    p = jax.nn.softmax(s, axis=-1).astype(v.dtype)
    return jnp.einsum("bnqk,bknd->bqnd", p, v)


def causal(s):
    """[1, 1, s, s], True at and below the diagonal."""
    i = jnp.arange(s)
    return (i[:, None] >= i[None, :])[None, None]


def xent_onehot(logits, labels):
    lp = jax.nn.log_softmax(f32(logits), axis=-1)
    oh = jax.nn.one_hot(labels, logits.shape[-1], dtype=jnp.float32)
    return -(oh * lp).sum(-1).mean()


def xent_gather(logits, labels):
    lp = jax.nn.log_softmax(f32(logits), axis=-1)
    return -jnp.take_along_axis(lp, labels[..., None], axis=-1)[..., 0].mean()


# ---- the training step ---------------------------------------------------------------

def tmap(f, *t):
    return jax.tree.map(f, *t)


def opt_spec(pspec, cfg, state_spec=None):
    """Specs of the optimizer state that make_step keeps for parameters `pspec`."""
    z = lambda: tmap(lambda s: Spec(s.shape, "const", 0.0, np.float32), pspec)
    o = {}
    if cfg["opt"] == "adam":
        o = {"count": Spec((), "const", 0, np.int32), "mu": z(), "nu": z()}
    elif cfg["opt"] == "momentum":
        o = {"mom": z()}
    if cfg["dtype"] == "bf16" and cfg["opt"] != "sgd":
        o["master"] = tmap(lambda s: Spec(s.shape, s.kind, s.value, np.float32), pspec)
    if state_spec is not None:
        o["state"] = state_spec
    return o


def make_step(loss_fn, cfg):
    """step(params, opt_state, batch) -> (params, opt_state, loss) for
    loss_fn(params, state, batch) -> (loss, new_state).

    cfg: opt = sgd | momentum | adam; lr = a number or a function of the fp32 step count
    (adam only), which then is part of the exported step; clip = the global gradient norm.
    """
    opt, rate = cfg["opt"], cfg.get("lr", 1e-3)

    def step(params, opt_state, batch):
        (loss, new_state), g = jax.value_and_grad(loss_fn, has_aux=True)(
            params, opt_state.get("state"), batch)
        g = tmap(f32, g)
        if cfg.get("clip"):
            n2 = sum(jnp.sum(x * x) for x in jax.tree.leaves(g))
            sc = jnp.minimum(1.0, cfg["clip"] * lax.rsqrt(n2 + 1e-12))
            g = tmap(lambda x: x * sc, g)
        out = {}
        src = opt_state.get("master", params)
        if opt == "adam":
            b1, b2, eps = 0.9, 0.95, 1e-6
            c = opt_state["count"] + 1
            cf = c.astype(jnp.float32)
            lr = rate(cf) if callable(rate) else rate
            k1, k2 = 1 - b1 ** cf, 1 - b2 ** cf
            mu = tmap(lambda m, x: b1 * m + (1 - b1) * x, opt_state["mu"], g)
            nu = tmap(lambda v, x: b2 * v + (1 - b2) * x * x, opt_state["nu"], g)
            new = tmap(lambda p, m, v: f32(p) - lr * (m / k1) / (jnp.sqrt(v / k2) + eps),
                       src, mu, nu)
            out = {"count": c, "mu": mu, "nu": nu}
        elif opt == "momentum":
            mom = tmap(lambda m, x: 0.9 * m + x, opt_state["mom"], g)
            new = tmap(lambda p, m, x: f32(p) - rate * (x + 0.9 * m), src, mom, g)
            out = {"mom": mom}
        else:
            new = tmap(lambda p, x: f32(p) - rate * x, src, g)
        if "master" in opt_state:
            out["master"] = new
        if "state" in opt_state:
            out["state"] = new_state
        params = tmap(lambda p, n: n.astype(p.dtype), params, new)
        return params, out, loss

    return step
