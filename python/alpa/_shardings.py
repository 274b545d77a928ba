"""Layouts of a plan as JAX's shardings."""
from __future__ import annotations

import math
from typing import Any, NamedTuple, Sequence

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._errors import AlpaError
from ._export import Leaf, Tree


class Shardings(NamedTuple):
    """For jax.jit: `jax.jit(step, **shardings._asdict())`."""
    in_shardings: Any
    out_shardings: Any


def parse_spec(text: str, axes: Sequence[str]) -> list[list[int]]:
    """ "[xy,,]" -> for each dimension the numbers of the mesh axes that split it, major first; "[]" for none at all."""
    inner = text.strip()[1:-1]
    if inner in ("", "-"):
        return [] if inner == "" else [[]]
    dims = []
    for part in inner.split(","):
        found, rest = [], part.strip().replace("-", "")
        while rest:
            axis = max((a for a in axes if rest.startswith(a)), key=len, default=None)
            if axis is None:
                raise AlpaError(f"layout '{text}' has an axis that the mesh has not ({', '.join(axes)})")
            found.append(list(axes).index(axis))
            rest = rest[len(axis):]
        dims.append(found)
    return dims


def shard_shape(shape: Sequence[int], dims: list[list[int]], mesh_shape: Sequence[int]) -> tuple[int, ...]:
    """What one device holds."""
    cut = [math.prod(mesh_shape[a] for a in axes) for axes in dims] + [1] * (len(shape) - len(dims))
    return tuple(-(-n // c) for n, c in zip(shape, cut))


def make_mesh(shape: Sequence[int], axes: Sequence[str]) -> Mesh:
    """The first devices of JAX as a mesh."""
    count = math.prod(shape)
    devices = jax.devices()
    if len(devices) < count:
        raise AlpaError(f"the plan is for {count} devices, JAX has {len(devices)}",
                        "on CPUs XLA_FLAGS=--xla_force_host_platform_device_count=N makes N of one")
    return Mesh(np.asarray(devices[:count]).reshape(tuple(shape)), tuple(axes))


def _sharding(leaf: Leaf, spec: str, axes: Sequence[str], mesh: Mesh) -> NamedSharding:
    dims = parse_spec(spec, axes)
    if leaf.key is not None:  # JAX does not count the bits of a key as a dimension
        dims = dims[:len(leaf.shape) - 1]
    sizes = list(mesh.shape.values())
    entries = []
    for extent, split in zip(leaf.shape, dims):
        even = extent % math.prod(sizes[a] for a in split) == 0
        names = tuple(mesh.axis_names[a] for a in split) if even else ()
        entries.append(None if not names else names[0] if len(names) == 1 else names)
    return NamedSharding(mesh, PartitionSpec(*entries))


def shardings(plan: dict, mesh: Mesh | None, inputs: Tree, outputs: Tree) -> tuple[tuple, dict, Any]:
    """Of the positional arguments, of the others, and of the result."""
    shape, axes = plan["mesh"]["shape"], plan["mesh"]["axes"]
    if mesh is None:
        mesh = make_mesh(shape, axes)
    if list(mesh.devices.shape) != list(shape):
        raise AlpaError(f"the plan is for a mesh {'x'.join(map(str, shape))}, this one is "
                        f"{'x'.join(map(str, mesh.devices.shape))}", "give a mesh of that shape, or none")
    args, kwargs = inputs.join_specs(
        [_sharding(leaf, s, axes, mesh) for leaf, s in zip(inputs.arrays, plan["inputs"])])
    result = outputs.join_specs([_sharding(leaf, s, axes, mesh) for leaf, s in zip(outputs.arrays, plan["outputs"])])
    return args, kwargs, result
