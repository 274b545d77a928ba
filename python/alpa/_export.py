"""From a step in Python to the module that alpa reads, and the names of its inputs."""
from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import re
import warnings
from typing import Any, Callable, Iterator, Sequence

import jax
import numpy as np

from ._errors import AlpaError


@dataclasses.dataclass(frozen=True)
class Leaf:
    """An array among the arguments or results, as the module has it; random keys are their bits."""
    name: str                  # "params['h'][0]['w']"
    shape: tuple[int, ...]
    dtype: np.dtype
    weak_type: bool = False
    key: Any = None            # how the random key is made of its bits; None: no key

    @property
    def spec(self) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(self.shape, self.dtype, weak_type=self.weak_type)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.name}[{','.join(map(str, self.shape))}]"


def is_key(x: Any) -> bool:
    """Whether this is an array of JAX's typed random keys, or stands for one."""
    dtype = getattr(x, "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def is_array(x: Any) -> bool:
    """Whether this leaf of a pytree is an array (or stands for one); others, such as functions, are constants."""
    return isinstance(x, (bool, int, float, complex, np.generic)) or (hasattr(x, "shape") and hasattr(x, "dtype"))


def as_leaf(name: str, x: Any) -> Leaf:
    """What the module will have for the array `x`, as jax.jit would take it."""
    if is_key(x):
        impl = jax.random.key_impl(x) if isinstance(x, jax.Array) else x.dtype
        if isinstance(x, jax.Array):
            bits = jax.eval_shape(jax.random.key_data, x)
        else:
            # An abstract key: its implementation is in its type, out of which a key of the right kind can be made.
            impl = getattr(x.dtype, "_impl", None)
            bits = jax.eval_shape(jax.random.key_data, jax.ShapeDtypeStruct(x.shape, x.dtype))
            impl = getattr(impl, "name", impl)
        return Leaf(name, tuple(bits.shape), np.dtype(bits.dtype), key=impl)
    if isinstance(x, (bool, int, float, complex)):
        kind = jax.dtypes.canonicalize_dtype(np.result_type(type(x)))
        return Leaf(name, (), np.dtype(kind), weak_type=not isinstance(x, bool))
    return Leaf(name, tuple(x.shape), np.dtype(jax.dtypes.canonicalize_dtype(x.dtype)),
                weak_type=bool(getattr(x, "weak_type", False)))


@dataclasses.dataclass
class Tree:
    """A pytree taken apart: its arrays, and the leaves that are none."""
    structure: Any                      # of the whole
    arrays: list[Leaf]
    places: list[int]                   # of the arrays among all leaves
    constants: dict[int, Any]           # the other leaves

    def join(self, arrays: list[Any]) -> Any:
        """The pytree with these arrays."""
        leaves: list[Any] = [None] * self.structure.num_leaves
        for place, value in self.constants.items():
            leaves[place] = value
        for place, value in zip(self.places, arrays):
            leaves[place] = value
        return jax.tree_util.tree_unflatten(self.structure, leaves)

    def join_specs(self, values: list[Any]) -> Any:
        """The pytree with these values for arrays and None for constants."""
        leaves: list[Any] = [None] * self.structure.num_leaves
        for place, value in zip(self.places, values):
            leaves[place] = value
        return jax.tree_util.tree_unflatten(self.structure, leaves)


class Constant:
    """An argument that is a constant of the step, whatever it is: of jax.jit's static_argnums."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Constant) and bool(self.value == other.value)

    def __repr__(self) -> str:
        return repr(self.value)


def mark_constants(args: tuple, static: tuple[int, ...]) -> tuple:
    """The arguments with those at `static` as constants."""
    return tuple(Constant(a) if i in static else a for i, a in enumerate(args))


def _plain_arguments(args: tuple) -> list[Any]:
    return [a.value if isinstance(a, Constant) else a for a in args]


def take_apart(tree: Any, name: Callable[[tuple], str]) -> tuple[Tree, list[Any]]:
    """The tree without its arrays, and the arrays. `name`: of a leaf by its path."""
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    out, values = Tree(structure, [], [], {}), []
    for place, (path, leaf) in enumerate(paths):
        if is_array(leaf):
            out.arrays.append(as_leaf(name(path), leaf))
            out.places.append(place)
            values.append(leaf)
        else:
            out.constants[place] = leaf
    return out, values


def _argument_names(fn: Callable, args: tuple, kwargs: dict) -> list[str]:
    """What `fn` calls its positional arguments."""
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return [f"args[{i}]" for i in range(len(args))]
    names: list[str] = []
    parameters = inspect.signature(fn).parameters
    for name, value in bound.arguments.items():
        kind = parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{name}[{i}]" for i in range(len(value))]
        elif kind is not inspect.Parameter.VAR_KEYWORD and len(names) < len(args):
            names.append(name)
    return names[:len(args)]


@dataclasses.dataclass
class Step:
    """A step as alpa reads it."""
    fn: Callable
    name: str
    inputs: Tree                        # of (args, kwargs)
    outputs: Tree
    donated: list[bool]                 # by array among the inputs
    module: bytes                       # StableHLO
    static: tuple[int, ...] = ()        # positional arguments that are constants
    callbacks: tuple[str, ...] = ()     # what calls back into Python, "debug_print at step.py:5 (train_step)"

    def check_runs(self) -> None:
        """Raises for what only the Python process that traced the step could do."""
        if self.callbacks:
            raise AlpaError(f"{self.callbacks[0]} calls back into Python, which our devices cannot",
                            "take it out of the step, or let the step return the value")

    def write(self, folder: str) -> str:
        """Writes the module, in which JAX has noted the names of its inputs; returns its path."""
        path = os.path.join(folder, f"{self.name}.mlirbc")
        with open(path, "wb") as f:
            f.write(self.module)
        return path


def _same(a: Tree, values: list[Leaf]) -> bool:
    return [(l.shape, l.dtype) for l in a.arrays] == [(l.shape, l.dtype) for l in values]


def _find_state(args: tuple, kwargs: dict, out: Any) -> tuple[set[int], set[str]]:
    """The arguments that come back: those of which the result has a part of equal structure, shapes and types.

    An argument that is a single array is left to alpa, which looks at how it is computed.
    """
    nameless = lambda path: ""
    parts: list[tuple[Any, Tree]] = []

    def collect(node: Any, depth: int) -> None:
        tree, _ = take_apart(node, nameless)
        if len(tree.arrays) > 1:
            parts.append((tree.structure, tree))
        if depth == 0:
            return
        children, _ = jax.tree_util.tree_flatten(node, is_leaf=lambda x: x is not node)
        if len(children) == 1 and children[0] is node:
            return
        for child in children:
            collect(child, depth - 1)

    collect(out, 3)
    used: list[Tree] = []

    def comes_back(value: Any) -> bool:
        tree, _ = take_apart(value, nameless)
        for structure, part in parts:
            if structure == tree.structure and _same(tree, part.arrays) and len(tree.arrays) > 1 and all(
                    part is not u for u in used):
                used.append(part)
                return True
        return False

    return {i for i, a in enumerate(args) if comes_back(a)}, {k for k, a in kwargs.items() if comes_back(a)}


def _donated_by_jit(fn: Callable, args: tuple, kwargs: dict) -> list[bool] | None:
    """Which leaves a jitted function donates, in the order of its arrays; None when none, or it is not jitted."""
    if not hasattr(fn, "trace") or not hasattr(fn, "lower"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            info = fn.trace(*args, **kwargs).args_info
    except AttributeError:  # of a jit of another library
        return None
    donated = [bool(getattr(i, "donated", False)) for i in jax.tree_util.tree_leaves(info)]
    return donated if any(donated) else None


def _serialize(jitted: Any, args: tuple, kwargs: dict) -> bytes:
    """The module as portable bytecode; as text where JAX does not want to promise that it will run elsewhere, so that
    alpa can say what in it does not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*donated buffers")
        try:
            from jax import export as jax_export
            return jax_export.export(jitted, platforms=("cpu",))(*args, **kwargs).mlir_module_serialized
        except ImportError:  # of JAX 0.5.0 without absl
            pass
        except (NotImplementedError, ValueError) as error:
            if "custom call" not in str(error) and "callback" not in str(error):
                raise
        return jitted.lower(*args, **kwargs).as_text(debug_info=True).encode()


def _key(leaf: Leaf, bits: Any) -> Any:
    return bits if leaf.key is None else jax.random.wrap_key_data(bits, impl=leaf.key)


def export(fn: Callable, args: tuple, kwargs: dict, donate: Sequence[int] | None = None,
           static: Sequence[int] = ()) -> Step:
    """Traces `fn` on these arguments (arrays, or what stands for them) and lowers it.

    donate: the positional arguments that are state. Without, those that a jitted function donates, else those that come
    back by their structure. static: those that are constants, as of jax.jit.
    """
    names = _argument_names(fn, args, kwargs)
    static = tuple(static)
    args = mark_constants(args, static)

    def name(path: tuple) -> str:
        first = path[1]
        argument = names[first.idx] if hasattr(first, "idx") else str(getattr(first, "key", first))
        return argument + jax.tree_util.keystr(path[2:])

    inputs, _ = take_apart((args, kwargs), name)
    if not inputs.arrays:
        raise AlpaError("the step has no arrays among its arguments",
                        "give the arrays, or jax.ShapeDtypeStruct for them")
    outputs: Tree | None = None

    @functools.wraps(fn, updated=())
    def step(*a: Any, **k: Any) -> Any:
        nonlocal outputs
        bits = jax.tree_util.tree_leaves((a, k))
        fn_args, fn_kwargs = inputs.join([_key(leaf, b) for leaf, b in zip(inputs.arrays, bits)])
        out = fn(*_plain_arguments(fn_args), **fn_kwargs)
        outputs, values = take_apart(out, lambda path: "result" + jax.tree_util.keystr(path))
        return outputs.join_specs([jax.random.key_data(v) if is_key(v) else v for v in values])

    plain = re.sub(r"\W+", "_", getattr(fn, "__name__", None) or "step").strip("_") or "step"
    step.__name__ = step.__qualname__ = plain
    specs = [leaf.spec for leaf in inputs.arrays]
    spec_args, spec_kwargs = inputs.join_specs(specs)
    by_jit = None
    if donate is None:
        traced_args, traced_kwargs = inputs.join([_key_spec(leaf) for leaf in inputs.arrays])
        by_jit = _donated_by_jit(fn, tuple(_plain_arguments(traced_args)), traced_kwargs)
    if donate is not None:
        donate_args, donate_names = set(donate), set[str]()
    elif by_jit is not None and len(by_jit) == len(inputs.arrays):
        donate_args, donate_names = _whole_arguments(by_jit, args, kwargs)
    else:
        donate_args, donate_names = _find_state(spec_args, spec_kwargs, jax.eval_shape(step, *spec_args, **spec_kwargs))
    jitted = jax.jit(step, donate_argnums=sorted(donate_args), donate_argnames=sorted(donate_names) or None,
                     keep_unused=True)
    module = _serialize(jitted, spec_args, spec_kwargs)
    assert outputs is not None
    donated = []
    for i, a in enumerate(spec_args):
        donated += [i in donate_args] * len(jax.tree_util.tree_leaves(a))
    for k in sorted(spec_kwargs):
        donated += [k in donate_names] * len(jax.tree_util.tree_leaves(spec_kwargs[k]))
    callbacks = tuple(_callbacks(jitted.trace(*spec_args, **spec_kwargs).jaxpr.jaxpr))
    return Step(fn, plain, inputs, outputs, donated, module, static, callbacks)


def _callbacks(jaxpr: Any) -> Iterator[str]:
    """Operations that call back into Python, and where they are."""
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        if name.endswith("_callback") or name == "debug_print":
            try:
                from jax._src import source_info_util
                yield f"{name} at {source_info_util.summarize(eqn.source_info)}"
            except (ImportError, AttributeError):  # not public
                yield name
        for value in jax.tree_util.tree_leaves(list(eqn.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _callbacks(inner)


def _key_spec(leaf: Leaf) -> Any:
    """What stands for the array when the user's own function is traced."""
    if leaf.key is None:
        return leaf.spec
    return jax.eval_shape(lambda bits: jax.random.wrap_key_data(bits, impl=leaf.key), leaf.spec)


def _whole_arguments(donated: list[bool], args: tuple, kwargs: dict) -> tuple[set[int], set[str]]:
    """The arguments of which all arrays are donated."""
    at = 0
    positions: set[int] = set()
    keys: set[str] = set()
    for label, value in [*enumerate(args), *sorted(kwargs.items())]:
        count = sum(is_array(leaf) for leaf in jax.tree_util.tree_leaves(value))
        if count and all(donated[at:at + count]):
            if isinstance(label, int):
                positions.add(label)
            else:
                keys.add(label)
        at += count
    return positions, keys
