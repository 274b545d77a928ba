"""What the tests of `alpa run` under mpirun share: TEST PROGRAM MPIRUN...; MPIRUN... starts N processes, up to and without N."""
import array
import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv[1])
MPIRUN = sys.argv[2:]
MODELS = Path(__file__).resolve().parent.parent / "models"
FAILED = []


def expect(condition, what, more=""):
    print(f"{'ok  ' if condition else 'FAIL'} {what}{': ' + str(more) if not condition else ''}", flush=True)
    if not condition:
        FAILED.append(what)


def finish():
    sys.exit(f"{len(FAILED)} failed" if FAILED else 0)


def command(processes, *arguments):
    return [*([*MPIRUN, str(processes)] if processes > 1 else []), PROGRAM, *map(str, arguments)]


def alpa(processes, *arguments):
    return subprocess.run(command(processes, *arguments), capture_output=True, text=True, timeout=280)


def start(processes, *arguments, **environment):
    return subprocess.Popen(command(processes, *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, **environment})


def pids(run):
    """The processes of alpa that mpirun `run` has started, by rank."""
    found = {}
    for pid in " ".join(f.read_text() for f in Path(f"/proc/{run.pid}/task").glob("*/children")).split():
        try:
            if os.path.samefile(f"/proc/{pid}/exe", PROGRAM):
                rank = re.search(rb"(?:^|\0)OMPI_COMM_WORLD_RANK=(\d+)\0", Path(f"/proc/{pid}/environ").read_bytes())
                if rank is not None:  # else it is just beginning
                    found[int(rank.group(1))] = int(pid)
        except OSError:  # it has ended meanwhile
            pass
    return [found[rank] for rank in sorted(found)]


def ours(text):
    return [line for line in text.splitlines() if line.startswith("alpa: ")]


def metrics(path):
    """(step, loss) line by line; the last line may be cut."""
    lines = Path(path).read_text().split("\n")[:-1] if Path(path).exists() else []
    return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def losses(path):
    return [loss for _, loss in metrics(path)]


def apart(a, b):
    return max(abs(x - y) for x, y in zip(a, b)) if len(a) == len(b) and a else float("inf")


def make_plan(model, cluster, path, *options):
    made = alpa(1, "plan", model, "--cluster", cluster, *options, "-o", path, "-q")
    expect(made.returncode == 0, f"a plan for {cluster}", made.stderr)
    return path


# ---- files


def read_npy(bytes_, code):
    """The elements of a .npy file, flat, as an array of this type code."""
    length = int.from_bytes(bytes_[8:10], "little")
    header = ast.literal_eval(bytes_[10:10 + length].decode())
    assert header["fortran_order"] is False
    out = array.array(code)
    out.frombytes(bytes_[10 + length:])
    return out


def golden(model, member, code="f"):
    with zipfile.ZipFile(MODELS / f"{model}.npz") as file:
        return read_npy(file.read(f"{member}.npy"), code)


def golden_losses(model):
    with zipfile.ZipFile(MODELS / f"{model}.npz") as file:
        bytes_ = file.read("losses.npy")
    return list(read_npy(bytes_, "d" if b"f8" in bytes_[:80] else "f"))


def read_shard(path):
    """Name -> bytes of a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: data[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]] for name, t in header.items()}


def read_checkpoint(folder):
    """The f32 tensors of a checkpoint by input, put together from blocks that hold each element once; and the bytes in each
    shard."""
    manifest = json.loads((folder / "manifest.json").read_text())
    shards = [read_shard(folder / shard["file"]) for shard in manifest["shards"]]
    tensors, wrong = {}, []
    for tensor in manifest["tensors"]:
        if tensor["dtype"] != "f32":
            continue
        shape = tensor["shape"]
        strides = [1] * len(shape)
        for d in range(len(shape) - 1, 0, -1):
            strides[d - 1] = strides[d] * shape[d]
        count = strides[0] * shape[0] if shape else 1
        whole = array.array("f", [float("nan")] * count)
        filled = 0
        for block in tensor["blocks"]:
            begin, extent = block["start"], block["extent"]
            name = tensor["name"]
            if extent != shape:
                name += "[" + ",".join(f"{b}:{b + e}" for b, e in zip(begin, extent)) + "]"
            values = array.array("f")
            values.frombytes(shards[block["shard"]][name])
            filled += len(values)
            for k, value in enumerate(values):
                at = 0
                for d in range(len(shape) - 1, -1, -1):
                    at += (begin[d] + k % extent[d]) * strides[d]
                    k //= extent[d]
                whole[at] = value
        if filled != count or any(v != v for v in whole):
            wrong.append(tensor["name"])
        tensors[tensor["input"]] = whole
    expect(wrong == [], f"{folder.parent.name}: each element is there once", wrong)
    return tensors, [sum(map(len, shard.values())) for shard in shards]
