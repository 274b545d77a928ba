"""What JAX itself gives for a model of examples/models on N devices, data parallel.

    jax_golden.py MODEL N STEPS OUT.npz GOLDEN.npz REPORT.json        (bench/golden --jax starts it, with XLA_FLAGS set)

Writes a golden file of STEPS steps, and prints as JSON by how many of the tensors of REPORT.json (alpa's comparison with
GOLDEN.npz) JAX is beyond the tolerance that alpa is judged by, and of how many.
"""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "examples", "models"))

import numpy as np
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

import export_more
from common import materialise
from export import model_step
from models import CONFIGS
from stablehlo_export import flatten, summary


def run(name, n, steps, full):
    """Five steps on one batch -> the entries of a golden file."""
    step = model_step(name, CONFIGS[name]) if name in CONFIGS else export_more.STEPS[name]()
    leaves, avals = flatten(step)
    arrays = [materialise(l.spec, l.seed, l.dtype) for l in leaves]
    cur = jax.tree.unflatten(jax.tree.structure(avals), [jnp.asarray(a) for a in arrays])
    options = {}
    if n > 1:
        mesh = Mesh(np.array(jax.devices()[:n]), ("d",))
        where = [NamedSharding(mesh, P("d") if l.role == "batch" else P()) for l in leaves]
        ins = jax.tree.unflatten(jax.tree.structure(avals), where)
        outs = jax.tree.map(lambda _: NamedSharding(mesh, P()), jax.eval_shape(step.fn, *avals))
        options = dict(in_shardings=ins, out_shardings=outs)
        cur = jax.device_put(cur, ins)
    fn = jax.jit(step.fn, keep_unused=True, **options)
    entries = {"in/" + k: v for k, v in summary(arrays, full).items()}
    losses = []
    for s in range(1, steps + 1):
        result = fn(*cur)
        losses.append(float(step.loss(result)))
        if s in step.golden_steps:
            entries.update({f"out{s}/{k}": v for k, v in summary(jax.tree.leaves(result), full).items()})
        cur = step.feedback(cur, result)
    entries["losses"] = np.array(losses)
    return entries


def beyond(entries, golden, report):
    """How many tensors differ from the golden file by more than the report's tolerances. Its tensors are in the order
    of the outputs, one golden step after the other."""
    keys = sorted((int(k[3:k.index("/")]), k) for k in entries if k.startswith("out") and not k.endswith(".stats"))
    assert len(keys) == len(report["tensors"]), (len(keys), len(report["tensors"]))
    count = 0
    for (_, key), tensor in zip(keys, report["tensors"]):
        difference = np.abs(entries[key].astype(np.float64) - golden[key].astype(np.float64)).max(initial=0)
        count += bool(difference > tensor["tolerance"])
    return count


def main(name, n, steps, out, golden, report):
    golden = np.load(golden)
    entries = run(name, n, steps, full=not any(k.endswith(".stats") for k in golden))
    np.savez(out, **entries)
    with open(report) as f:
        report = json.load(f)
    print(json.dumps({"beyond": beyond(entries, golden, report), "of": len(report["tensors"])}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
