"""Training on the devices of a plan: the state stays there from call to call."""
from __future__ import annotations

import functools
import importlib
import os
import threading
import time
import weakref
from typing import Any, Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from . import _export, _plan, _program
from ._errors import AlpaError
from ._server import Server


class DeviceArray:
    """An array on the devices of a parallelized step.

    NumPy and JAX take it as an array, which fetches it; given back to the step, nothing moves. The next step replaces
    the state, as if it had been donated: what is to be kept has to be fetched before (`jax.device_get`,
    `numpy.asarray`).
    """

    __slots__ = ("_train", "_number", "_version", "_leaf", "_is_state", "_value", "__weakref__")
    __array_priority__ = 100

    def __init__(self, train: Train, number: int, version: int, leaf: _export.Leaf, is_state: bool) -> None:
        self._train = train
        self._number = number    # of the state input that it is for, else of the output
        self._version = version  # of the state that it belongs to
        self._leaf = leaf
        self._is_state = is_state
        self._value: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self._leaf.shape

    @property
    def dtype(self) -> np.dtype:
        return self._leaf.dtype

    @property
    def ndim(self) -> int:
        return len(self._leaf.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self._leaf.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self._leaf.dtype.itemsize

    def is_deleted(self) -> bool:
        """Whether a later step has replaced it."""
        return self._value is None and not self._train._has(self)

    def block_until_ready(self) -> DeviceArray:
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self._train._fetch([self])[0]
        if dtype is not None and dtype != value.dtype:
            return value.astype(dtype)
        return value.copy() if copy else value

    def __jax_array__(self) -> jax.Array:
        return jnp.asarray(np.asarray(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(jax.Array, name):
            raise AttributeError(f"'DeviceArray' has no attribute '{name}'")
        return getattr(self.__jax_array__(), name)

    def __reduce__(self) -> Any:
        return np.array, (np.asarray(self),)  # copies and pickles are arrays of NumPy

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a single number")
        return self.shape[0]

    def __iter__(self) -> Iterator[jax.Array]:
        return iter(self.__jax_array__())

    def __getitem__(self, index: Any) -> jax.Array:
        return self.__jax_array__()[index]

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __int__(self) -> int:
        return int(np.asarray(self))

    def __index__(self) -> int:
        return self.__jax_array__().__index__()

    def __bool__(self) -> bool:
        return bool(np.asarray(self))

    def __format__(self, spec: str) -> str:
        return format(self.__jax_array__(), spec)

    def __repr__(self) -> str:
        what = f"{self._leaf.dtype.name}[{','.join(map(str, self.shape))}]"
        if self._value is None and not self._train._has(self):
            return f"<alpa.DeviceArray {what}, replaced by a later step>"
        return f"<alpa.DeviceArray {what}>"


def _operator(name: str) -> Callable:
    def apply(self: DeviceArray, *others: Any) -> Any:
        others = tuple(o.__jax_array__() if isinstance(o, DeviceArray) else o for o in others)
        return getattr(self.__jax_array__(), name)(*others)
    apply.__name__ = name
    return apply


for _name in ("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()):
    setattr(DeviceArray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(DeviceArray, f"__r{_name}__", _operator(f"__r{_name}__"))
for _name in "neg pos abs invert eq ne lt le gt ge".split():
    setattr(DeviceArray, f"__{_name}__", _operator(f"__{_name}__"))


def _register() -> None:
    """Lets functions of JAX take a DeviceArray as they take an array of NumPy.

    JAX has no public way to say so, only `__jax_array__`, which jitted functions no longer ask for. Where its insides
    have moved, jnp.asarray(x) is needed.
    """
    try:
        from jax._src import core
        from jax._src.interpreters import pxla
        core.pytype_aval_mappings[DeviceArray] = lambda x: core.ShapedArray(x.shape, x.dtype)
        of_numpy = pxla.shard_arg_handlers[np.ndarray]
        pxla.shard_arg_handlers[DeviceArray] = lambda xs, *rest: of_numpy([np.asarray(x) for x in xs], *rest)
        for name in "dtypes.canonicalize_value_handlers", "interpreters.xla.canonicalize_dtype_handlers":
            module, table = name.rsplit(".", 1)
            try:
                handlers = getattr(importlib.import_module(f"jax._src.{module}"), table)
            except (ImportError, AttributeError):  # of another version
                continue
            handlers[DeviceArray] = lambda x: x
    except (ImportError, AttributeError, KeyError):
        pass


_register()
DeviceArray.__hash__ = object.__hash__  # type: ignore[method-assign]


def parallelize(step: Callable, *, cluster: str | os.PathLike | None = "auto",
                plan: _plan.Plan | str | os.PathLike | None = None, devices: int | None = None,
                progress: bool | None = None, cache: bool = True, **options: Any) -> Train:
    """A training step that runs on the devices of a plan.

        train = alpa.parallelize(step)
        for batch in batches:
            state, loss = train(state, batch)

    The first call plans and compiles for the shapes of its arguments, and shows how far it is. Afterwards the state
    lies on the devices: what a call returns of it are handles (DeviceArray), and nothing moves when these are given to
    the next call. A state of one's own may be given at any time.

    Args:
      step: a function, jitted or not, of state and batch, which returns the new state and what else there is.
      cluster: where to run, as of alpa.plan. The devices are virtual ones of this machine's CPU, whatever the cluster.
      plan: a plan (alpa.plan, alpa.load), the file of one, "data-parallel" with `devices`, or "auto": what is fastest on
        this machine, measured the first time; default: what alpa.plan finds.
      progress: whether to show what the first call is doing on standard error.
      cache: keep compiled programs on disk, for the next run.
      **options: more options of alpa.plan (mesh, microbatches, memory, ...).
    """
    return Train(step, cluster=cluster, plan=plan, devices=devices, progress=True if progress is None else progress,
                 cache=cache, options=options)


class Train:
    """A parallelized step; see parallelize.

    Attributes:
      plan: by which it runs, once it has been called; None for "data-parallel".
      last_seconds: what the last step took on the devices.
    """

    def __init__(self, step: Callable, *, cluster: str | os.PathLike | None, plan: Any, devices: int | None,
                 progress: bool, cache: bool, options: Mapping[str, Any]) -> None:
        if devices is not None and plan != "data-parallel":
            raise AlpaError('devices goes together with plan="data-parallel" only', 'for others: cluster="local:1x8"')
        functools.update_wrapper(self, step, updated=())
        self._fn = step
        self._cluster = cluster
        self._given_plan = plan
        self._devices = devices
        self._progress = progress
        self._cache = cache
        self._options = dict(options)
        self._static = tuple(self._options.pop("static_argnums", ()))
        self._server: Server | None = None
        self._step: _export.Step | None = None
        self._version = 0            # counts steps and changes of the state by the user
        self._keys: dict[int, Any] = {}  # random keys of the present state, as they were returned
        self._lost = False           # the state, by a step that failed
        self._batch: dict[int, Any] = {}  # what the devices hold of immutable batch arrays
        self._results: weakref.WeakSet[DeviceArray] = weakref.WeakSet()  # of the last step, not fetched yet
        self.plan: _plan.Plan | None = None
        self.last_seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._server is None:
            self._start(args, kwargs)
        assert self._server is not None and self._step is not None
        self._server.check()
        leaves = self._flatten(args, kwargs)
        state: dict[int, np.ndarray] = {}
        batch: dict[int, np.ndarray] = {}
        seen: dict[int, Any] = {}
        for i, (leaf, value) in enumerate(zip(self._step.inputs.arrays, leaves)):
            if self._server.inputs[i].state:
                if not self._is_current(value, i) and (self._lost or self._keys.get(i) is not value):
                    state[i] = self._to_host(leaf, value)
                continue
            if isinstance(value, jax.Array):  # others may have been changed in place
                seen[i] = value
                if self._batch.get(i) is value:
                    continue
            batch[i] = self._to_host(leaf, value)
        self._keep_results()
        first = self._version == 0
        if first:
            if self._server.plan:
                self._say(f"plan: {self._server.plan}")
            self._say(f"compiling for {_plan._count(self._server.devices, 'device')}")
            start = time.monotonic()
        if state or first:
            if self._lost and len(state) < self._state_count():
                raise AlpaError("the state was lost in a step that failed", "give a whole state that was kept")
            with _Ticker(self._say if first else None, "still compiling"):
                self._server.set_state(state)
            self._lost = False
            self._version += 1
            if first:
                self._say(f"compiled in {time.monotonic() - start:.1f} s")
        self._batch = {}
        self._lost = True
        results, self.last_seconds = self._server.step(batch)
        self._lost = False
        self._batch = seen
        self._version += 1
        return self._make_result(results)

    # ---- the first call

    def _start(self, args: tuple, kwargs: dict) -> None:
        extra = dict(self._options)
        donate = extra.pop("donate_argnums", None)
        if isinstance(self._given_plan, _plan.Plan) and self._given_plan._step is not None and extra == {}:
            plan: _plan.Plan | None = self._given_plan
            step = self._given_plan._step
        elif self._given_plan is None:
            self._say(f"planning {getattr(self._fn, '__name__', 'the step')}")
            start = time.monotonic()
            plan = _plan.plan(self._fn, *args, cluster=self._cluster, kwargs=kwargs, donate_argnums=donate,
                              static_argnums=self._static, progress=self._progress, **extra)
            step = plan._need_step("running")
            self._say(f"planned in {time.monotonic() - start:.1f} s: {plan!r}")
        elif self._given_plan in ("data-parallel", "auto"):
            step, plan = _export.export(self._fn, args, kwargs, donate, self._static), None
        else:
            path = self._given_plan.path if isinstance(self._given_plan, _plan.Plan) else self._given_plan
            plan = _plan.load(path, self._fn, *args, **kwargs)
            step = plan._need_step("running")
        step.check_runs()
        if plan is not None:
            arguments, known = [plan.model_path, "--plan", plan.path], plan._model_options
        else:
            self._folder = _plan.Folder()
            arguments, known = [step.write(self._folder.name)], []
            if self._given_plan == "auto":
                self._say("measuring plans on this machine, unless it is known already which is the fastest")
                arguments += ["--plan", "auto"]
                if self._cluster not in (None, "auto"):
                    arguments += ["--cluster", os.fspath(self._cluster)]
            else:
                arguments += ["--devices", str(self._devices or jax.local_device_count())]
        if not self._cache:
            arguments.append("--no-cache")
        server, _ = _plan.resolve(step, known, lambda extra: Server([*arguments, *extra], self._progress))
        if len(server.inputs) != len(step.inputs.arrays):
            server.close()
            raise AlpaError("the exported step has other inputs than the function: a bug of alpa")
        self._server, self._step, self.plan = server, step, plan

    def _say(self, text: str) -> None:
        if self._progress:
            _program.say(text)

    # ---- arguments

    def _flatten(self, args: tuple, kwargs: dict) -> list[Any]:
        """The arrays among the arguments, which must be like those of the first call."""
        assert self._step is not None
        inputs = self._step.inputs
        leaves, structure = jax.tree_util.tree_flatten((_export.mark_constants(args, self._static), kwargs))
        if structure != inputs.structure:
            raise AlpaError("the arguments have another structure than those of the first call:\n"
                            f"  first {inputs.structure}\n  now   {structure}",
                            "call alpa.parallelize once more for another kind of arguments")
        for place, constant in inputs.constants.items():
            if leaves[place] is not constant and leaves[place] != constant:
                raise AlpaError("an argument that is no array has changed since the first call: "
                                f"{leaves[place]!r}, was {constant!r}", "call alpa.parallelize once more for it")
        return [leaves[place] for place in inputs.places]

    def _is_current(self, value: Any, i: int) -> bool:
        """Whether it is what the devices hold as state input i. Raises for what they no longer have."""
        if not isinstance(value, DeviceArray) or value._train is not self:
            return False
        if value._value is None and not self._has(value):
            raise self._stale(value)
        return value._is_state and value._number == i and value._version == self._version

    def _has(self, value: DeviceArray) -> bool:
        return value._version == self._version and not self._lost

    def _stale(self, value: DeviceArray) -> AlpaError:
        if self._lost:
            return AlpaError(f"{value._leaf.name}: the state was lost in a step that failed")
        return AlpaError(f"{value._leaf.name} is of a state that a later step has replaced; the devices no longer have "
                         "it",
                         "use what the last call returned, or keep a copy before the next one: jax.device_get(state)")

    def _to_host(self, leaf: _export.Leaf, value: Any) -> np.ndarray:
        if _export.is_key(value):
            value = jax.random.key_data(value)
        array = np.asarray(value)
        number = isinstance(value, (bool, int, float, complex))
        if leaf.key is None and array.dtype != leaf.dtype and (
                number or jax.dtypes.canonicalize_dtype(array.dtype) == leaf.dtype):
            array = array.astype(leaf.dtype)
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise AlpaError(f"{leaf.name} is {array.dtype.name}[{','.join(map(str, array.shape))}], the first call had "
                            f"{leaf.dtype.name}[{','.join(map(str, leaf.shape))}]",
                            "call alpa.parallelize once more for another shape")
        return array

    def _state_count(self) -> int:
        assert self._server is not None
        return sum(i.state for i in self._server.inputs)

    # ---- results

    def _make_result(self, results: dict[int, np.ndarray]) -> Any:
        assert self._server is not None and self._step is not None
        values: list[Any] = []
        keys: list[int] = []  # places in `values`
        for o, (leaf, output) in enumerate(zip(self._step.outputs.arrays, self._server.outputs)):
            if o in results:
                values.append(_from_bits(leaf, results[o]))
                continue
            if output.state:  # called as the user calls the state
                leaf = self._step.inputs.arrays[output.partner]
                handle = DeviceArray(self, output.partner, self._version, leaf, is_state=True)
            else:
                handle = DeviceArray(self, o, self._version, leaf, is_state=False)
                self._results.add(handle)
            if leaf.key is not None:
                keys.append(o)
            values.append(handle)
        # Typed keys are small, and JAX must see them as such.
        self._keys = {}
        for o, bits in zip(keys, self._fetch([values[o] for o in keys])):
            handle = values[o]
            values[o] = _from_bits(self._step.outputs.arrays[o], bits)
            if handle._is_state:
                self._keys[handle._number] = values[o]
        return self._step.outputs.join(values)

    def _fetch(self, handles: Sequence[DeviceArray]) -> list[np.ndarray]:
        assert self._server is not None
        missing = [h for h in handles if h._value is None]
        if missing:
            self._server.check()
        for handle in missing:
            if not self._has(handle):
                raise self._stale(handle)
        if missing:
            states = [h for h in missing if h._is_state]
            results = [h for h in missing if not h._is_state]
            values = self._server.fetch([h._number for h in states], [h._number for h in results])
            for handle, value in zip([*states, *results], values):
                value.flags.writeable = False
                handle._value = value
        return [h._value for h in handles]  # type: ignore[misc]

    def _keep_results(self) -> None:
        """Fetches large results of the last step that somebody still has: unlike the state they are not replaced."""
        held = [h for h in list(self._results) if h._value is None]
        if held and not self._lost:
            self._fetch(held)
        self._results.clear()

    def close(self) -> None:
        """Gives the devices back; the state on them is lost."""
        if self._server is not None:
            self._server.close()


class _Ticker:
    """Within, says something now and then."""

    def __init__(self, say: Callable[[str], None] | None, text: str, every: float = 10) -> None:
        self._say, self._text, self._every = say, text, every
        self._done = threading.Event()

    def __enter__(self) -> None:
        if self._say is not None:
            threading.Thread(target=self._tick, args=(self._say,), daemon=True).start()

    def _tick(self, say: Callable[[str], None]) -> None:
        start = time.monotonic()
        while not self._done.wait(self._every):
            say(f"{self._text} ({time.monotonic() - start:.0f} s)")

    def __exit__(self, *_: Any) -> None:
        self._done.set()


def _from_bits(leaf: _export.Leaf, value: np.ndarray) -> jax.Array:
    return _export._key(leaf, jnp.asarray(value))
