"""Plans: finding them, and what can be done with them."""
from __future__ import annotations

import dataclasses
import html
import json
import math
import os
import re
import shutil
import sys
import tempfile
import weakref
from typing import Any, Callable, Mapping, Sequence, TypeVar

import jax

from . import _export, _program, _shardings
from ._errors import AlpaError

_T = TypeVar("_T")


def plan(step: Callable, *args: Any, cluster: str | os.PathLike | None = "auto",
         mesh: str | Sequence[int] | None = None, microbatches: int | str = "auto", memory: str | int | None = None,
         schedule: str = "auto", stages: int | str = "auto", layers: int = 0, method: str = "auto",
         pins: Mapping[str, str] | None = None, per_microbatch: bool = False,
         donate_argnums: Sequence[int] | None = None, static_argnums: Sequence[int] = (),
         batch_args: Sequence[int] | None = None, kwargs: Mapping[str, Any] | None = None,
         time_limit: float | None = None, progress: bool | None = None) -> Plan:
    """Finds the best way to run a training step on a cluster.

    Args:
      step: a function, jitted or not, of state and batch, which returns the new state and the loss in any structure.
      *args: its arguments: pytrees of arrays, or of jax.ShapeDtypeStruct where there are none yet.
      cluster: a name ("p3.16xlarge:8", see `alpa clusters`), a TOML file, or "auto": this machine, with as many devices
        as JAX sees.
      mesh: plan for one mesh, "2x4" or (2, 4), without pipeline stages; such a plan has `shardings`.
      microbatches: into how many pieces the batch is cut, or "auto".
      memory: limit per device, as "16GiB" or in bytes, or "none"; default: what the cluster's devices have.
      schedule, stages, layers: of the pipeline; default: what is best.
      method: restricts a plan of one mesh to "data-parallel", "zero-2", "zero-3" or "largest-dimension".
      pins: layouts that some inputs or operations must have, {"params.wte": "[x,]"}, or by a regular expression over
        names, {"params.*w": "[x,]"}; of plans of one mesh.
      per_microbatch: also microbatches that change the step: batch statistics become those of a microbatch.
      donate_argnums: which arguments are state; default: those that the jitted step donates, or those that come back.
      static_argnums: which arguments are constants, as of jax.jit.
      batch_args: which inputs (numbers of leaves) are the batch, should alpa not be able to tell.
      kwargs: keyword arguments of the step.
      time_limit: seconds for each sharding problem.
      progress: whether to show progress on standard error; default: if that is a terminal.

    Raises AlpaError, whose message names the line of the step that is in the way, if there is one.
    """
    exported = _export.export(step, args, dict(kwargs or {}), donate_argnums, static_argnums)
    options: list[str] = []
    if mesh is not None:
        options += ["--mesh", mesh if isinstance(mesh, str) else "x".join(map(str, mesh))]
    if cluster not in (None, "auto"):
        options += ["--cluster", os.fspath(cluster)]
    elif mesh is None:
        options += ["--cluster", f"local:1x{jax.local_device_count()}"]
    if microbatches != "auto":
        options += ["--microbatches", str(microbatches)]
    if memory is not None:
        options += ["--memory", f"{memory}B" if isinstance(memory, int) else memory]
    for name, value, default in (("schedule", schedule, "auto"), ("stages", stages, "auto"), ("layers", layers, 0),
                                 ("method", method, "auto"), ("time-limit", time_limit, None)):
        if value != default:
            options += [f"--{name}", str(value)]
    if per_microbatch:
        options.append("--per-microbatch")
    model_options = [] if batch_args is None else ["--batch-args", ",".join(map(str, batch_args))]
    pin_options = []
    for wanted, spec in (pins or {}).items():
        inputs = [leaf.name for leaf in exported.inputs.arrays if _plain(leaf.name) == _plain(wanted)]
        for pattern in [_escape(name) for name in inputs] or [wanted]:
            pin_options += ["--pin", f"{pattern}={spec}"]
    return _search(exported, options, model_options, pin_options, show_progress(progress))


def show_progress(wish: bool | None) -> bool:
    return sys.stderr.isatty() if wish is None else wish


def resolve(step: _export.Step, model_options: list[str], run: Callable[[list[str]], _T]) -> tuple[_T, list[str]]:
    """Calls run(model_options). Where alpa cannot tell state from batch, once more with what is known here: what comes
    back by its structure is state, the rest is the batch. Returns the result and the options that led to it."""
    try:
        return run(model_options), model_options
    except AlpaError as error:
        if model_options or "is not clear which inputs" not in error.message or not any(step.donated):
            raise
    model_options = ["--batch-args", ",".join(str(i) for i, d in enumerate(step.donated) if not d)]
    return run(model_options), model_options


def _search(step: _export.Step, options: list[str], model_options: list[str], pins: list[str], progress: bool) -> Plan:
    folder = Folder()
    model = step.write(folder.name)
    out = os.path.join(folder.name, "plan.json")
    text, model_options = resolve(
        step, model_options, lambda extra: _program.run(["plan", model, "-o", out, *options, *pins, *extra], progress))
    with open(out) as f:
        content = json.load(f)
    text = text[:text.rfind("\nplan written to")].rstrip() + "\n"
    return Plan(content, text, [dataclasses.replace(leaf) for leaf in step.inputs.arrays], step=step, folder=folder,
                options=options, model_options=model_options)


def load(path: str | os.PathLike, step: Callable | None = None, *args: Any, **kwargs: Any) -> Plan:
    """Reads a plan that Plan.save or `alpa plan -o` wrote.

    With the step and its arguments the plan can do all that it could when it was made; without, what needs no step.
    """
    with open(path) as f:
        try:
            content = json.load(f)
        except ValueError as error:
            raise AlpaError(f"{os.fspath(path)}: not a plan: {error}") from None
    if not isinstance(content, dict) or not {"alpa_plan", "alpa_pipeline"} & content.keys():
        raise AlpaError(f"{os.fspath(path)}: not a plan of alpa", "Plan.save and `alpa plan -o` write such files")
    ours = content.pop("python", {})
    folder = Folder()
    exported = None
    if step is not None:
        exported = _export.export(step, args, kwargs)
        exported.write(folder.name)
        names = exported.inputs.arrays
    else:
        import numpy as np
        names = [_export.Leaf(i["name"], tuple(i["shape"]), np.dtype(i["dtype"])) for i in ours.get("inputs", [])]
    with open(os.path.join(folder.name, "plan.json"), "w") as f:
        json.dump(content, f)
    result = Plan(content, ours.get("text", ""), names, step=exported, folder=folder, options=ours.get("options", []),
                  model_options=ours.get("model_options", []))
    if exported is not None:
        result._check_model()
    return result


@dataclasses.dataclass(frozen=True)
class Simulation:
    """A plan in simulated time."""
    step_seconds: float
    meshes: list[dict]   # for each: computing_s, waiting_s, bubble_s, peak_bytes
    text: str

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True)
class Explanation:
    """How inputs lie by a plan, and what other layouts would cost."""
    text: str
    layouts: dict[str, str]

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not a fork, whose parent still needs it
        shutil.rmtree(folder, ignore_errors=True)


class Folder:
    """A temporary folder that goes away with this object."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="alpa-")
        weakref.finalize(self, _remove, self.name, os.getpid())


class Plan:
    """How a step is to run: print it, simulate it, save it, run it.

    Attributes:
      json: the plan as `alpa` writes it.
      inputs: names, shapes and types of the step's inputs.
      pipeline: whether it has stages; else it is for one mesh.
    """

    def __init__(self, content: dict, text: str, inputs: list[_export.Leaf], *, step: _export.Step | None,
                 folder: Folder, options: list[str], model_options: list[str]) -> None:
        self.json = content
        self.inputs = inputs
        self._text = text
        self._step = step
        self._folder = folder
        self._options = options
        self._model_options = model_options

    # ---- what it says

    @property
    def pipeline(self) -> bool:
        return "alpa_pipeline" in self.json

    @property
    def step_seconds(self) -> float:
        """Predicted time of a step."""
        prediction = self.json.get("prediction", {})
        if self.pipeline:
            return prediction["step_seconds"]
        return prediction.get("compute_seconds", math.nan) + prediction.get("communication_seconds", math.nan)

    @property
    def devices(self) -> int:
        """On how many devices it runs."""
        if not self.pipeline:
            return math.prod(self.json["mesh"]["shape"])
        places = {(p["first_host"], p["first_device"]): p["hosts"] * p["devices"]
                  for p in (s["placement"] for s in self.json["stages"])}
        return sum(places.values())

    def __repr__(self) -> str:
        if self.pipeline:
            what = (f"{_count(len(self.json['stages']), 'stage')}, {self.json['schedule']}, "
                    f"{_count(self.json['microbatches'], 'microbatch')}")
        else:
            what = "mesh " + "x".join(map(str, self.json["mesh"]["shape"]))
        return (f"<alpa.Plan of {self.json['model']}: {what}, {_count(self.devices, 'device')}, "
                f"{self.step_seconds:.3g} s a step>")

    def __str__(self) -> str:
        return self._text or repr(self)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    # ---- files

    @property
    def path(self) -> str:
        """A file with the plan, for the program `alpa`; it lives as long as this object."""
        return os.path.join(self._folder.name, "plan.json")

    @property
    def model_path(self) -> str:
        """A file with the step as StableHLO, for the program `alpa`; it lives as long as this object."""
        return os.path.join(self._folder.name, f"{self._need_step('the model').name}.mlirbc")

    def save(self, path: str | os.PathLike) -> None:
        """Writes the plan to a file, which `alpa run`, `alpa simulate` and alpa.load read."""
        ours = {"text": self._text, "options": self._options, "model_options": self._model_options,
                "inputs": [{"name": l.name, "shape": l.shape, "dtype": l.dtype.name} for l in self.inputs]}
        temporary = f"{os.fspath(path)}.tmp.{os.getpid()}"
        try:
            with open(temporary, "w") as f:
                json.dump({**self.json, "python": ours}, f, indent=1)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    @staticmethod
    def load(path: str | os.PathLike, step: Callable | None = None, *args: Any, **kwargs: Any) -> Plan:
        """As alpa.load."""
        return load(path, step, *args, **kwargs)

    def report(self, path: str | os.PathLike) -> None:
        """Writes a page (HTML) about the plan."""
        _program.run(["report", self.path, "-o", os.fspath(path)])

    # ---- questions

    def simulate(self, *, schedule: str | None = None, microbatches: int | None = None,
                 trace: str | os.PathLike | None = None) -> Simulation:
        """Executes the plan in simulated time.

        Args:
          schedule, microbatches: instead of the plan's.
          trace: write the timeline here, for ui.perfetto.dev.
        """
        if not self.pipeline:
            if schedule is not None or microbatches is not None or trace is not None:
                raise AlpaError("a plan of one mesh has no schedule: its step is one program",
                                "plan without mesh for a pipeline")
            prediction = self.json.get("prediction", {})
            mesh = {"computing_s": prediction.get("compute_seconds", math.nan),
                    "waiting_s": prediction.get("communication_seconds", math.nan), "bubble_s": 0.0,
                    "peak_bytes": prediction.get("memory_bytes", 0)}
            return Simulation(self.step_seconds, [mesh], f"step time {self.step_seconds:.4g} s on one mesh\n")
        options = [] if schedule is None else ["--schedule", schedule]
        if microbatches is not None:
            options += ["--microbatches", str(microbatches)]
        data = json.loads(_program.run(["simulate", self.path, "--json", *options]))
        if trace is not None:
            options += ["--trace", os.fspath(trace)]
        return Simulation(data["step_s"], data["meshes"], _program.run(["simulate", self.path, *options]))

    def shardings(self, mesh: jax.sharding.Mesh | None = None) -> _shardings.Shardings:
        """Layouts of arguments and results for plain JAX, on any of its back ends:

            jax.jit(step, **plan.shardings(mesh)._asdict())

        mesh: a JAX mesh of the plan's shape, whose axes may have other names; default: made of the first devices.
        The plan must be for one mesh, and know its step.
        """
        step = self._need_step("shardings")
        if self.pipeline:
            raise AlpaError(f"this plan has {_count(len(self.json['stages']), 'stage')} and "
                            f"{_count(self.json['microbatches'], 'microbatch')}; shardings are for plans of one mesh",
                            'make one with mesh="2x4"')
        args, kwargs, result = _shardings.shardings(self.json, mesh, step.inputs, step.outputs)
        if kwargs:
            raise AlpaError("jax.jit takes no shardings of keyword arguments",
                            "give the step its arguments by position")
        return _shardings.Shardings(tuple(a for i, a in enumerate(args) if i not in step.static), result)

    def explain(self, name: str, alternatives: int = 6) -> Explanation:
        """How the inputs of this name lie ("params.wte" for params['wte'], also with * and as the beginning of a name),
        and what the best plan would cost if they lay otherwise: for each way the plan is sought anew.
        """
        found = [i for i, leaf in enumerate(self.inputs) if _matches(name, leaf.name)]
        if not found:
            import difflib
            close = difflib.get_close_matches(_plain(name), [_plain(l.name) for l in self.inputs], 3, 0.3)
            raise AlpaError(f"the step has no input '{name}'", f"perhaps {', '.join(close)}" if close else "")
        if self.pipeline:
            return self._explain_stages(found)
        axes, shape = self.json["mesh"]["axes"], self.json["mesh"]["shape"]
        lines, layouts = [], {}
        for i in found:
            leaf, spec = self.inputs[i], self.json["inputs"][i]
            part = _shardings.shard_shape(leaf.shape, _shardings.parse_spec(spec, axes), shape)
            layouts[leaf.name] = spec
            lines.append(f"{leaf}: {_in_words(spec, axes)}; {_size(part, leaf)} of {_size(leaf.shape, leaf)} "
                         "per device")
        if len(found) == 1 and self._step is not None and alternatives > 0:
            lines += self._alternatives(found[0], alternatives)
        return Explanation("\n".join(lines) + "\n", layouts)

    def _alternatives(self, i: int, count: int) -> list[str]:
        leaf, now = self.inputs[i], self.json["inputs"][i]
        axes, shape = self.json["mesh"]["axes"], self.json["mesh"]["shape"]
        specs = [[""] * len(leaf.shape)]
        for d, extent in enumerate(leaf.shape):
            for a, axis in enumerate(axes):
                if extent % shape[a] == 0 and shape[a] > 1:
                    specs.append([axis if k == d else "" for k in range(len(leaf.shape))])
        if len(axes) == 2 and len(leaf.shape) > 1:
            for d, e in ((0, 1), (1, 0)):
                specs.append([axes[0] if k == d else axes[1] if k == e else "" for k in range(len(leaf.shape))])
        texts = ["[-]" if s == [""] else f"[{','.join(s)}]" for s in specs]
        options = _on_mesh(self._options, shape)
        lines = []
        for text in [t for t in dict.fromkeys(texts) if t != now][:count]:
            try:
                other = json.loads(_program.run(["plan", self.model_path, *options, "--json", "-q", "--pin",
                                                 f"{_escape(leaf.name)}={text}", *self._model_options]))
            except AlpaError as error:
                lines.append(f"  {text:<8} not possible: {error.message}")
                continue
            if other["inputs"].get(leaf.name) == text:
                base = self.json["prediction"]
                seconds = other["compute_s"] + other["communication_s"]
                lines.append(f"  {text:<8} {seconds:.4g} s a step ({100 * (seconds / self.step_seconds - 1):+.1f} %), "
                             f"{_bytes(other['memory_bytes'])} per device ({_bytes(base['memory_bytes'])})")
        return ["the best plans in which it lies otherwise:", *lines] if lines else []

    def _explain_stages(self, found: list[int]) -> Explanation:
        places = json.loads(_program.run(["explain", self.path, self.model_path, "--json", *self._model_options]))
        lines, layouts = [], {}
        for i in found:
            leaf = self.inputs[i]
            lines.append(f"{leaf}:" + ("" if places[i]["places"] else " no stage reads it"))
            for place in places[i]["places"]:
                part = f", part {place['part']}" if "part" in place else ""
                layouts[f"stage {place['stage']}{part}: {leaf.name}"] = place["layout"]
                words = _in_words(place["layout"], "xyz"[:len(place["mesh"])])
                lines.append(f"  stage {place['stage']}{part}, mesh {'x'.join(map(str, place['mesh']))}: {words}; "
                             f"{_bytes(place['piece_bytes'])} per device"
                             + ("; a copy, which another stage updates" if place.get("shared") else ""))
        return Explanation("\n".join(lines) + "\n", layouts)

    # ---- running

    def _need_step(self, what: str) -> _export.Step:
        if self._step is None:
            raise AlpaError(f"{what} of a loaded plan: the step is not known",
                            "load it with the step and its arguments: alpa.load(path, step, *args)")
        return self._step

    def _check_model(self) -> None:
        """That the plan is for the step that it is used with."""
        try:
            _, self._model_options = resolve(
                self._need_step("loading"), self._model_options, lambda extra: _program.run(
                    ["run", self.model_path, "--plan", self.path, "--stop-after", "plan", *extra]))
        except AlpaError as error:
            raise AlpaError(error.message.removeprefix(f"{self.path}: "), error.hint) from None


def _on_mesh(options: list[str], shape: Sequence[int]) -> list[str]:
    """The options of the search, for a plan of one mesh only; its plan may have been found among plans of stages."""
    if "--mesh" in options:
        return options
    out = ["--mesh", "x".join(map(str, shape))]
    for name, value in zip(options, [*options[1:], ""]):
        if name in ("--cluster", "--memory", "--time-limit", "--microbatches"):
            out += [name, value]
    return out


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "es" if what.endswith("ch") else "s")


def _plain(name: str) -> str:
    """params['h'][0]['w'] -> params.h.0.w"""
    return re.sub(r"\.+", ".", re.sub(r"[\[\]'\"]+", ".", name)).strip(".")


def _matches(wanted: str, name: str) -> bool:
    plain, pattern = _plain(name), re.escape(_plain(wanted)).replace(r"\*", ".*")
    return name == wanted or re.fullmatch(rf"{pattern}(\..*)?", plain) is not None


def _escape(name: str) -> str:
    return f"^{re.escape(name)}$"


def _in_words(spec: str, axes: Sequence[str]) -> str:
    dims = _shardings.parse_spec(spec, axes)
    split = [f"dimension {d} over {''.join(axes[a] for a in cut)}" for d, cut in enumerate(dims) if cut]
    return f"{spec}, {' and '.join(split)}" if split else f"{spec}, a copy on each device"


def _bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.4g} {unit}"
        count /= 1024
    raise AssertionError


def _size(shape: Sequence[int], leaf: _export.Leaf) -> str:
    return _bytes(math.prod(shape) * leaf.dtype.itemsize)
