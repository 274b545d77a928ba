"""Parallelizes JAX training steps automatically.

    plan = alpa.plan(train_step, state, batch, cluster="p3.16xlarge:8")    # the best way to run a step on a cluster
    print(plan)
    train = alpa.parallelize(train_step, cluster="auto")                   # the same step, on the devices of a plan
    state, loss = train(state, batch)

A step is a function, jitted or not, of state and batch that returns the new state and what else there is to know.
Planning and running are done by the program `alpa` in processes of its own; see README.md of the project.
"""
from ._errors import AlpaError
from ._plan import Explanation, Plan, Simulation, load, plan
from ._shardings import Shardings
from ._train import DeviceArray, Train, parallelize

__version__ = "0.1.0"
__all__ = ["AlpaError", "DeviceArray", "Explanation", "Plan", "Shardings", "Simulation", "Train", "load", "parallelize",
           "plan"]
