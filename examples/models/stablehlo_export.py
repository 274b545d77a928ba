"""Writes a JAX training step as portable StableHLO with its sidecar and golden values.

To export a step of your own, see README.md; the part that matters is `lower`.
"""
import collections
import dataclasses
import gzip
import json
import os
import re
import sys
from typing import Any, Callable

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import numpy as np
import jax
import jax.numpy as jnp
import ml_dtypes
from jax import export as jexport

from common import is_spec, materialise

# Source locations in exported modules name files relative to the repository.
jax.config.update("jax_hlo_source_file_canonicalization_regex", re.escape(ROOT + os.sep))

SAMPLES = 256            # values kept of a large tensor in "sampled" golden files
FULL_BYTES = 2_850_000    # largest file of golden values kept whole
BATCH_SEED = 1000000


@dataclasses.dataclass
class Step:
    """A step and what its arguments are.

    fn(*args) -> any pytree. args: (role, pytree of Spec) for each argument, a role being
    param | opt_state | batch, or frozen (read by every step, never updated), or state (both:
    what lies under "params" counts as param, the rest as opt_state).
    feedback(args, result) -> the arguments of the next step; loss(result) -> the scalar to
    report. results: what each part of the result is, in words of `args`, or "loss", or a name.
    """
    name: str
    fn: Callable
    args: list
    base: Any = np.float32                   # dtype of leaves whose Spec says none
    donate: tuple = (0, 1)
    keep_unused: bool = True
    feedback: Callable = lambda args, out: (out[0], out[1], *args[2:])
    loss: Callable = lambda out: out[2]
    results: tuple = ("param", "opt_state", "loss")
    state_known: bool = True                 # False: not even a human can tell state from batch
    jit: dict = dataclasses.field(default_factory=dict)          # more arguments of jax.jit
    config: dict = dataclasses.field(default_factory=dict)
    note: str = ""
    forward: Callable | None = None          # the loss alone, fn's arguments: to count its FLOPs
    full: bool | None = None                 # golden mode; None: by size
    golden_steps: tuple = (1, 5)


# ---- naming leaves --------------------------------------------------------------------

def path_name(role, path):
    """"param" + a pytree path: param.h[0].fc1.w"""
    s = role
    for k in path:
        if hasattr(k, "idx"):
            s += f"[{k.idx}]"
        else:
            s += "." + str(getattr(k, "key", getattr(k, "name", k)))
    return s


def named_leaves(role, tree, is_leaf=None):
    return [(path_name(role, p), x)
            for p, x in jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]]


@dataclasses.dataclass
class Leaf:
    name: str
    role: str
    spec: Any
    dtype: Any
    seed: int


def flatten(step):
    """The leaves of all arguments in the order of the module's inputs, and their avals as a
    tuple of pytrees."""
    role = lambda r, n: r if r != "state" else "param" if ".params" in n else "opt_state"
    named = [(n, role(r, n), s) for r, t in step.args for n, s in named_leaves(r, t, is_spec)]
    order = {n: i for i, (n, r, _) in enumerate(x for x in named if x[1] in ("param", "frozen"))}
    leaves, batch = [], 0
    for n, r, s in named:
        if s.dtype is not None:
            d = np.dtype(s.dtype)
        else:
            d = np.dtype(step.base if r in ("param", "frozen") else np.float32)
        if r == "batch":
            seed = BATCH_SEED + batch
            batch += 1
        elif r in ("param", "frozen"):
            seed = order[n]
        else:
            seed = order.get("param" + n[len("opt_state.master"):], 0)
        leaves.append(Leaf(n, r, s, d, seed))
    it = iter(leaves)
    avals = tuple(jax.tree.map(lambda s: jax.ShapeDtypeStruct(s.shape, next(it).dtype), t,
                               is_leaf=is_spec) for _, t in step.args)
    return leaves, avals


# ---- lowering -------------------------------------------------------------------------

def lower(step):
    """-> (jitted function, jax.stages.Lowered, jax.export.Exported)"""
    leaves, avals = flatten(step)
    step.fn.__name__ = "step"
    jitted = jax.jit(step.fn, donate_argnums=step.donate, keep_unused=step.keep_unused,
                     **step.jit)
    return jitted, jitted.lower(*avals), jexport.export(jitted)(*avals)


def text_forms(lowered):
    """-> pretty, generic"""
    gen = lowered.compiler_ir("stablehlo").operation.get_asm(print_generic_op_form=True)
    return lowered.as_text(), gen


def donated(text):
    """{output: input} by tf.aliasing_output of the public main."""
    main = re.search(r"func\.func public @main\((.*?)\) -> ", text, re.S).group(1)
    alias = {}
    for i, p in enumerate(re.split(r"(?=%arg\d+: )", main)[1:]):
        m = re.search(r"tf\.aliasing_output = (\d+)", p)
        if m:
            alias[int(m.group(1))] = i
    return alias


def jaxpr_flops(jaxpr):
    """2 * multiply-adds of dot_general and convolution; scan bodies times their length,
    while bodies once."""
    tot = 0
    for e in jaxpr.eqns:
        nm = e.primitive.name
        out = int(np.prod(e.outvars[0].aval.shape, dtype=object)) if e.outvars else 0
        if nm == "dot_general":
            (lc, _), _ = e.params["dimension_numbers"]
            tot += 2 * out * int(np.prod([e.invars[0].aval.shape[d] for d in lc], dtype=object))
        elif nm == "conv_general_dilated":
            rhs = e.invars[1].aval.shape
            dims = e.params["dimension_numbers"].rhs_spec[1:]
            kernel = int(np.prod([rhs[d] for d in dims], dtype=object))
            tot += 2 * out * kernel // max(int(np.prod(e.params["lhs_dilation"])), 1)
        mult = e.params.get("length", 1) if nm == "scan" else 1
        for v in e.params.values():
            for j in (v if isinstance(v, (tuple, list)) else (v,)):
                if hasattr(j, "jaxpr") and hasattr(j.jaxpr, "eqns"):
                    tot += mult * jaxpr_flops(j.jaxpr)
                elif hasattr(j, "eqns"):
                    tot += mult * jaxpr_flops(j)
    return tot


# ---- the sidecar ----------------------------------------------------------------------

def write_json(path, info):
    """One line per argument, output and top-level field."""
    lines = []
    for k, v in info.items():
        if isinstance(v, list) and v and isinstance(v[0], dict):
            body = ",\n".join("  " + json.dumps(x, separators=(",", ":")) for x in v)
            lines.append(f" {json.dumps(k)}: [\n{body}\n ]")
        else:
            lines.append(f" {json.dumps(k)}: {json.dumps(v)}")
    with open(path, "w") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


def init_rule(leaf):
    d = {"kind": leaf.spec.kind, "value": leaf.spec.value}
    if leaf.spec.kind != "const":
        d["seed"] = leaf.seed
    return d


def sidecar(step, leaves, avals, jitted, text, generic, ops=True):
    args = [{"index": i, "name": l.name, "role": l.role, "shape": list(l.spec.shape),
             "dtype": l.dtype.name, "init": init_rule(l)} for i, l in enumerate(leaves)]
    size = lambda l: int(np.prod(l.spec.shape, dtype=object))
    alias = donated(text)
    res = jax.eval_shape(step.fn, *avals)
    parts = res if isinstance(res, (tuple, list)) and len(step.results) > 1 else (res,)
    assert len(parts) == len(step.results), (step.name, len(parts), step.results)
    outs = [(n, a) for r, t in zip(step.results, parts) for n, a in named_leaves(r, t)]
    index = {l.name: i for i, l in enumerate(leaves) if l.role in ("param", "opt_state")}
    outputs = []          # alias_arg: the buffer donated to it; state_arg: what it is the next value of
    for i, (n, a) in enumerate(outs):
        r = leaves[index[n]].role if n in index else "loss" if n.endswith("loss") else "result"
        o = {"index": i, "name": n, "role": r, "shape": list(a.shape), "dtype": a.dtype.name,
             "alias_arg": alias.get(i), "state_arg": index.get(n)}
        if not step.state_known and r != "loss":
            o.update(role="unknown", state_arg=None)
        outputs.append(o)
    traced = jitted.trace(*avals)
    info = {
        "name": step.name,
        **({"note": step.note} if step.note else {}),
        "config": {k: getattr(v, "__name__", v) for k, v in step.config.items()},
        "param_count": sum(size(l) for l in leaves if l.role == "param"),
        "param_bytes": sum(size(l) * l.dtype.itemsize for l in leaves if l.role == "param"),
        "opt_state_bytes": sum(size(l) * l.dtype.itemsize for l in leaves if l.role == "opt_state"),
        "step_flops_dot_conv": jaxpr_flops(traced.jaxpr.jaxpr),
        **({"fwd_flops_dot_conv": jaxpr_flops(jax.make_jaxpr(step.forward)(*avals).jaxpr)}
           if step.forward else {}),
        "args": args,
        "outputs": outputs,
    }
    if ops:
        cnt = collections.Counter(re.findall(r'"([a-z_]+\.[A-Za-z_0-9.]+)"\s*[(<]', generic))
        info["ops"] = dict(cnt.most_common())
        info["n_ops"] = sum(cnt.values())
    return info


# ---- golden values ----------------------------------------------------------------------

def widen(a):
    a = np.asarray(a)
    return a.astype(np.float32) if a.dtype == ml_dtypes.bfloat16 else a


def summary(arrs, full):
    """Tensors by flat index; the large ones as every n-th value + [sum, sum of squares, max]."""
    out = {}
    for k, a in enumerate(arrs):
        a = widen(a)
        if not full and a.size > SAMPLES:
            st = a.size // SAMPLES
            f = a.reshape(-1).astype(np.float64)
            out[f"{k:04d}.stats"] = np.array([f.sum(), (f * f).sum(), np.abs(f).max()])
            a = a.reshape(-1)[: st * SAMPLES: st]
        out[f"{k:04d}"] = a
    return out


def run_golden(step, lowered, leaves, avals, full, kept, keep=True):
    """Five steps on one batch -> (npz entries, losses). kept: the leaves that the module has."""
    comp = jax.jit(step.fn, keep_unused=True).lower(*avals).compile() if step.jit else lowered.compile()
    arrs = [materialise(l.spec, l.seed, l.dtype) for l in leaves]
    z = {}
    cur = jax.tree.unflatten(jax.tree.structure(avals), [jnp.asarray(a) for a in arrs])
    losses = []
    for s in range(1, 6):
        res = comp(*cur)
        losses.append(float(step.loss(res)))
        if keep and s in step.golden_steps:
            for k, v in summary(jax.tree.leaves(res), full).items():
                z[f"out{s}/{k}"] = v
        cur = step.feedback(cur, res)
    if keep:
        z["losses"] = np.array(losses, np.float64)
        for k, v in summary([arrs[i] for i in kept], full).items():
            z["in/" + k] = v
    return z, losses


def export(step, out, golden=True, text=False, losses_only=False):
    """Writes the files of one step into folder `out`; returns the sidecar."""
    leaves, avals = flatten(step)
    jitted, lowered, exported = lower(step)
    pretty, generic = text_forms(lowered)
    base = os.path.join(out, step.name)
    with open(base + ".mlirbc", "wb") as f:
        f.write(exported.mlir_module_serialized)
    if text:
        for suffix, t in (".mlir", pretty), (".generic.mlir", generic):
            with open(base + suffix + ".gz", "wb") as fo, gzip.GzipFile(
                    fileobj=fo, mode="wb", mtime=0, compresslevel=9, filename="") as f:
                f.write(t.encode())
    kept = exported.module_kept_var_idx
    info = sidecar(step, [leaves[i] for i in kept], avals, jitted, pretty, generic)
    if golden:
        full = step.full
        if full is None:
            outs = jax.tree.leaves(jax.eval_shape(step.fn, *avals))
            size = lambda a, d: int(np.prod(a.shape)) * (4 if d == ml_dtypes.bfloat16 else d.itemsize)
            full = (sum(size(l.spec, l.dtype) for l in leaves)
                    + 2 * sum(size(o, o.dtype) for o in outs)) < FULL_BYTES
        z, info["losses"] = run_golden(step, lowered, leaves, avals, full, kept, keep=not losses_only)
        if not losses_only:
            np.savez(base + ".npz", **z)
            info["golden"] = {"file": step.name + ".npz", "mode": "full" if full else "sampled"}
    write_json(base + ".json", info)
    loss = info.get("losses", [float("nan")] * 5)
    print(f"{step.name:22s} args={len(kept):4d} ops={info['n_ops']:6d} "
          f"bytecode={os.path.getsize(base + '.mlirbc') / 1e3:6.0f}k "
          f"loss {loss[0]:.5f} -> {loss[-1]:.5f}", flush=True)
    return info
