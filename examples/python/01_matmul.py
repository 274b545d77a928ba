"""A plan for one matrix product, and the step of gradient descent around it."""
import jax
import jax.numpy as jnp

import alpa


def step(w, batch):
    """One step of least squares: w [4096, 4096], x and y [1024, 4096]."""
    loss, grad = jax.value_and_grad(lambda w: jnp.mean((batch["x"] @ w - batch["y"]) ** 2))(w)
    return w - 0.1 * grad, loss


# Shapes are enough: nothing is computed here.
w = jax.ShapeDtypeStruct((4096, 4096), jnp.float32)
batch = {name: jax.ShapeDtypeStruct((1024, 4096), jnp.float32) for name in ("x", "y")}

plan = alpa.plan(step, w, batch, cluster="p3.16xlarge", mesh="2x4")
print(plan)
print(plan.explain("w"))
print(plan.explain("batch"))

# The same with data parallelism, as people do it by hand: every device has all of w.
by_hand = alpa.plan(step, w, batch, cluster="p3.16xlarge", mesh="2x4", method="data-parallel")
print(f"{plan.step_seconds:.6f} s a step, data parallel {by_hand.step_seconds:.6f} s")
assert plan.step_seconds <= by_hand.step_seconds
