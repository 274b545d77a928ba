"""Times a model of examples/models under jax.jit, data parallel over N virtual CPU devices.

    jax_step.py MODEL N STEPS METRICS        (bench/run starts it, with XLA_FLAGS set)

Writes one JSON line per step: {"step": i, "loss": x, "seconds": t}, the same as
`alpa run --metrics`. N = 1 is a plain jit on one device.
"""
import json
import os
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "examples", "models"))

import numpy as np
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from common import materialise
from export import model_step
from models import CONFIGS
from stablehlo_export import flatten


def main(name, n, steps, metrics):
    step = model_step(name, CONFIGS[name])
    leaves, avals = flatten(step)
    arrays = [materialise(l.spec, l.seed, l.dtype) for l in leaves]
    options = {}
    if n == 1:
        arrays = [jnp.asarray(a) for a in arrays]
    else:
        mesh = Mesh(np.array(jax.devices()[:n]), ("d",))
        where = [NamedSharding(mesh, P("d") if l.role == "batch" else P()) for l in leaves]
        ins = jax.tree.unflatten(jax.tree.structure(avals), where)
        options = dict(in_shardings=ins, out_shardings=(*ins[:2], NamedSharding(mesh, P())))
        arrays = [jax.device_put(a, s) for a, s in zip(arrays, where)]
    run = jax.jit(step.fn, donate_argnums=(0, 1), keep_unused=True, **options).lower(*avals).compile()
    params, opt, batch = jax.tree.unflatten(jax.tree.structure(avals), arrays)
    with open(metrics, "w") as f:
        for i in range(steps):
            start = time.perf_counter()
            params, opt, loss = run(params, opt, batch)
            jax.block_until_ready((params, opt, loss))
            seconds = time.perf_counter() - start
            f.write(json.dumps({"step": i + 1, "loss": float(loss), "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
