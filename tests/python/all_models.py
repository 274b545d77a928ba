"""Trains all small models of examples/models by alpa.parallelize and by jax.jit, in three ways, and compares losses.

    tests/python/run.py build/alpa all_models.py [NAME...]      some minutes; not one of the tests

A line for each; "moved" counts arrays of the state that were handed over between steps: 0, since they are there.
"""
import sys

import jax
import jax.numpy as jnp

import alpa
import export
import export_more
import support
from common import materialise
from models import CONFIGS
from stablehlo_export import flatten

WAYS = [{"plan": "data-parallel", "devices": 2}, {"mesh": "2"},
        {"cluster": "local:1x4", "stages": 2, "microbatches": 2}]
TOLERANCE = 1e-3  # relative, of losses; batch norm under Adam is further off


def compare(name, model, how):
    leaves, avals = flatten(model)
    start = lambda: jax.tree.unflatten(jax.tree.structure(avals),
                                       [jnp.asarray(materialise(l.spec, l.seed, l.dtype)) for l in leaves])
    with_jax = jax.jit(model.fn)
    train = alpa.parallelize(model.fn, progress=False, **how)
    ours, theirs, apart, moved = start(), start(), [], 0
    for i in range(3):
        if i > 0:
            support.count_sent(train)
        out, expected = train(*ours), with_jax(*theirs)
        moved += train.sent if i > 0 else 0
        apart.append(support.largest_difference(model.loss(out), model.loss(expected)))
        ours, theirs = model.feedback(ours, out), model.feedback(theirs, expected)
    train.close()
    good = max(apart) < TOLERANCE and moved == 0
    print(f"{'ok' if good else 'APART':<8}{name:<18}{str(how):<62} {max(apart):.1e}  moved {moved}", flush=True)
    return good


def main():
    tiny = {name: (lambda name=name: export.model_step(name, CONFIGS[name])) for name in CONFIGS if "_tiny" in name}
    models = {**export_more.STEPS, **tiny}
    bad = 0
    for name in sys.argv[1:] or models:
        for how in WAYS:
            try:
                bad += not compare(name, models[name](), how)
            except alpa.AlpaError as error:
                print(f"{'refused':<8}{name:<18}{str(how):<62} {error.message.splitlines()[0][:150]}", flush=True)
    sys.exit(f"{bad} apart" if bad else 0)


if __name__ == "__main__":
    main()
