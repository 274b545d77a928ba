"""Small models and comparisons for the tests of the Python package."""
import functools

import jax
import jax.numpy as jnp
import numpy as np

import alpa

# Two ways to run a step: operators split over a mesh, and stages with microbatches.
MESH = {"plan": "data-parallel", "devices": 4}
STAGES = {"cluster": "local:1x4", "stages": 2, "microbatches": 2}


def mlp(layers=4, width=64, out=8):
    keys = jax.random.split(jax.random.key(0), layers + 1)
    dense = lambda key, a, b: {"w": jax.random.normal(key, (a, b)) / a**0.5, "b": jnp.zeros(b)}
    return {"layers": [dense(keys[i], width, width) for i in range(layers)], "out": dense(keys[-1], width, out)}


def batch(size=32, width=64, out=8, seed=0):
    random = np.random.RandomState(seed)
    return {"x": random.randn(size, width).astype("f"), "y": random.randn(size, out).astype("f")}


def forward(params, x, layer=lambda l, x: jnp.tanh(x @ l["w"] + l["b"])):
    for l in params["layers"]:
        x = layer(l, x)
    return x @ params["out"]["w"] + params["out"]["b"]


def loss(params, batch):
    return jnp.mean((forward(params, batch["x"]) - batch["y"]) ** 2)


def sgd(params, grads, rate=0.1):
    return jax.tree.map(lambda p, g: p - rate * g, params, grads)


def step(params, batch):
    value, grads = jax.value_and_grad(loss)(params, batch)
    return sgd(params, grads), value


def step_of(loss_function):
    def step(params, batch):
        value, grads = jax.value_and_grad(loss_function)(params, batch)
        return sgd(params, grads), value
    return step


def copy(tree):
    """Arrays of its own, for a step that donates."""
    return jax.tree.map(lambda x: x.copy() if isinstance(x, (jax.Array, np.ndarray)) else x, tree)


def largest_difference(a, b):
    """Over all arrays of two pytrees, relative to the largest element of each."""
    def one(x, y):
        if jnp.issubdtype(getattr(y, "dtype", np.float32), jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        assert x.shape == y.shape, (x.shape, y.shape)
        return float(np.abs(x - y).max() / max(np.abs(y).max(), 1e-6)) if x.size else 0.0
    a, b = ([x for x in jax.tree.leaves(tree) if hasattr(x, "dtype")] for tree in (a, b))
    assert len(a) == len(b), (len(a), len(b))
    return max(map(one, a, b))


def train_beside_jax(test, fn, args, state, *, tolerance, steps=3, state_tolerance=None, **how):
    """Trains by alpa and by jax.jit from the same values; all results of each step, and the state at the end, must be
    equal within the tolerance. `state`: how many of the results are the next values of the first arguments."""
    with_jax = fn if hasattr(fn, "lower") else jax.jit(fn)
    train = alpa.parallelize(fn, progress=False, **how)
    ours, theirs = list(args), copy(list(args))
    try:
        for i in range(steps):
            if i > 0:
                count_sent(train)
            ours_out, theirs_out = train(*ours), with_jax(*theirs)
            if i > 0:
                test.assertEqual(train.sent, 0, "the state was moved between steps")
            test.assertLess(largest_difference(ours_out[state:], theirs_out[state:]), tolerance, f"step {i + 1}")
            ours[:state], theirs[:state] = ours_out[:state], theirs_out[:state]
        test.assertLess(largest_difference(ours[:state], theirs[:state]), state_tolerance or 100 * tolerance)
    finally:
        train.close()
    return train


def count_sent(train):
    """Counts into train.sent how many arrays of the state a call hands over."""
    train.sent = 0
    if not hasattr(train, "_counted"):
        set_state = train._server.set_state

        @functools.wraps(set_state)
        def counted(values):
            train.sent += len(values)
            return set_state(values)
        train._server.set_state = counted
        train._counted = True
    return True
