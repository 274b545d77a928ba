#!/usr/bin/env python3
"""What `alpa` says to bad input: usage: bad_input_test.py build/alpa [NAME...] (only cases whose names contain a NAME)

Every case must end with exit status 2, one clear message on stderr that holds given words, no sign of a crash, nothing
on stdout, and not a byte written, changed or lost in its working folder. With ALPA_SHOW=1 the messages are printed.
"""
import hashlib
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
BAD = os.path.join(MODELS, "bad")
MLP = os.path.join(MODELS, "mlp_tiny_sgd.mlirbc")  # f32[64,64] and f32[64,32] are its batch
GPT = os.path.join(MODELS, "gpt_tiny.mlirbc")  # s32[16,32] tokens and labels
ALPA = ""


# ---------------------------------------------------------------- files

def write(path, data):
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


def model(name):
    return os.path.join(MODELS, name)


def bad(name):
    return os.path.join(BAD, name)


def npy(dtype, shape, item=4):
    """An array of zeros as a .npy file."""
    count = 1
    for d in shape:
        count *= d
    dims = "".join(f"{d}, " for d in shape)
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({dims}), }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(count * item)


def npz(path, **arrays):
    with zipfile.ZipFile(path, "w") as z:
        for name, data in arrays.items():
            z.writestr(zipfile.ZipInfo(name.replace("__", "/") + ".npy"), data)
    return path


def flip(path, at):
    data = bytearray(read(path))
    data[at] ^= 0x10
    write(path, bytes(data))


def tree(folder):
    """All that lies in a folder: path -> hash of the content."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(base, name), folder)] = "folder"
        for name in files:
            path = os.path.join(base, name)
            found[os.path.relpath(path, folder)] = hashlib.sha256(read(path)).hexdigest()
    return found


# ---------------------------------------------------------------- running cases

CRASH_WORDS = ["traceback", "stack trace", "terminate called", "check failed:", "internal error", "assertion",
               "ret_check", "segmentation", "core dumped", "e0000", "f0000", "std::", "[json.exception"]


def alpa(folder, args, **kwargs):
    return subprocess.run([ALPA, *args], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, timeout=300, **kwargs)


def complaints(folder, args, words, allowed=(), env=None, speaks=False):
    """Runs one case; what is wrong with the outcome. `speaks`: progress on stdout is fine (demo)."""
    before = tree(folder)
    done = alpa(folder, args, env=dict(os.environ, **(env or {})))
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    wrong = []
    if done.returncode != 2:
        wrong.append(f"exit status {done.returncode}")
    if out and not speaks:
        wrong.append(f"stdout: {out[:300]!r}")
    for word in words:
        if word.lower() not in err.lower():
            wrong.append(f"lacks {word!r}")
    for word in CRASH_WORDS:
        if word in err.lower() and word not in allowed:
            wrong.append(f"has {word!r}")
    if err.count("alpa: ") > 1:
        wrong.append("more than one message")
    if len(err) > 2500:
        wrong.append(f"{len(err)} characters long")
    after = tree(folder)
    for path in sorted(set(before) | set(after)):
        if before.get(path) != after.get(path):
            what = "appeared" if path not in before else "is gone" if path not in after else "changed"
            wrong.append(f"{path} {what}")
    if wrong or os.environ.get("ALPA_SHOW"):
        wrong_text = "".join(f"\n    {w}" for w in wrong)
        print(f"  $ alpa {' '.join(args)}{wrong_text}")
        print("".join(f"    | {line}\n" for line in err.splitlines()), end="")
    return wrong


CASES = []


def case(name, words, *args, prepare=None, todo=None, **kwargs):
    """prepare(folder) puts files into the case's working folder first. `todo`: known to be wrong, and why."""
    CASES.append((name, words, args, prepare, todo, kwargs))


def run_cases(only):
    failed = 0
    ran = 0
    for name, words, args, prepare, todo, kwargs in CASES:
        if only and not any(o in name for o in only):
            continue
        with tempfile.TemporaryDirectory(prefix="alpa-bad-") as folder:
            for old in ("m.jsonl", "l.svg"):  # results of an earlier run
                write(os.path.join(folder, old), "old")
            if prepare:
                prepare(folder)
            wrong = complaints(folder, list(args), words, **kwargs)
        if todo:
            wrong = not wrong  # whoever mends it takes the mark away
            print(f"{'FAILED' if wrong else 'todo':7}{name}: {'works now, todo is out of date: ' * wrong}{todo}", flush=True)
        else:
            print(f"{'FAILED' if wrong else 'ok':7}{name}", flush=True)
        failed += bool(wrong)
        ran += 1
    print(f"{ran} cases, {failed} failed")
    return failed == 0 and ran > 0


# ---------------------------------------------------------------- the cases

def put(name, data):
    return lambda folder: write(os.path.join(folder, name), data)


def models():
    """Files that are no step, or one that cannot be run; `inspect` and `run` find the same."""
    text = ["expected StableHLO text or bytecode"]
    refused = {
        "empty.mlir": ["is empty"],
        "empty.mlirbc": ["is empty"],
        "empty_module.mlir": ["no function main", "@main"],
        "no_main.mlir": ["no function main", "@main"],
        "syntax_error.mlir": ["line 3, column 29", "expected ','", *text],
        "type_error.mlir": ["line 3", "contracting dimension sizes must match"],
        "undefined_value.mlir": ["line 3", "undeclared", "%elsewhere"],
        "not_stablehlo.mlir": ["line 4", "arith.addf", "not StableHLO"],
        "unknown_op.mlir": ["line 3", "stablehlo.frobnicate", "not StableHLO"],
        "unknown_dialect.mlir": ["line 3", "foo.bar", "not StableHLO"],
        "dynamic_shape.mlir": ["dynamic shape", "concrete shapes"],
        "symbolic_batch.mlirbc": ["dynamic shape", "concrete shapes"],
        "outfeed.mlir": ["outfeed", "outfeed.mlir:4"],
        "token_input.mlir": ["token", "input 0"],
        "tuple_input.mlir": ["tuple", "input 0"],
        "recursion.mlir": ["crashed", "calls itself"],
        "alias_range.mlir": ["donated to output 7", "does not exist"],
        "alias_twice.mlir": ["inputs 0 and 1 are both donated to output 0"],
        "truncated.mlirbc": ["damaged or truncated"],
        "header_only.mlirbc": ["damaged or truncated"],
        "corrupt.mlirbc": ["damaged or truncated"],
        "garbage.bin": ["neither StableHLO nor HLO", *text],
        "truncated.mlir.gz": ["gzip", "truncated or damaged"],
        "corrupt.mlir.gz": ["gzip", "truncated or damaged"],
        "not_gzip.mlir.gz": ["line 2", "not valid StableHLO"],
    }
    for name, words in refused.items():
        extra = {"allowed": ["segmentation"]} if name == "recursion.mlir" else {}
        case(f"inspect bad/{name}", [name, *words], "inspect", bad(name), **extra)
    for name in ["truncated.mlirbc", "recursion.mlir", "outfeed.mlir", "empty.mlir"]:
        extra = {"allowed": ["segmentation"]} if name == "recursion.mlir" else {}
        case(f"run bad/{name}", [name, *refused[name]], "run", bad(name), "-n", "2", "--metrics", "m.jsonl", "--save-plan",
             "p.json", "--checkpoint", "ck", **extra)
    case("ambiguous roles", ["not clear", "input 0", "input 1", "f32[4]", "--batch-args"], "run", bad("alias_shape.mlir"),
         "--save-plan", "p.json", "--checkpoint", "ck")
    # What XLA knows but no device here can do is found when it is compiled.
    for name, words in {"custom_call.mlir": ["my_gpu_kernel", "custom_call.mlir:4"],
                        "callback.mlir": ["xla_ffi_python_cpu_callback", "callback.mlir:7"],
                        "lapack.mlirbc": ["lapack_sgeev_ffi", "eig"]}.items():
        case(f"run bad/{name}", words, "run", bad(name), "--steps", "1", "--metrics", "m.jsonl", "--loss-curve", "l.svg",
             "--checkpoint", "ck")
    case("infeed", ["infeed", "in.hlo", "model.py:12"], "inspect", "in.hlo",
         prepare=put("in.hlo", "HloModule m\nENTRY main {\n t = token[] after-all()\n ROOT i = (f32[2], token[]) infeed(t),"
                               ' metadata={source_file="model.py" source_line=12}\n}'))
    case("HLO text with an error", ["in.hlo", "not valid HLO text", "line 3"], "inspect", "in.hlo",
         prepare=put("in.hlo", "HloModule m\nENTRY main {\n ROOT s = f32[2] frobnicate(x)\n}"))
    case("HLO that contradicts itself", ["in.hlo", "f32[3]"], "inspect", "in.hlo",
         prepare=put("in.hlo", "HloModule m\nENTRY main {\n w = f32[2] parameter(0)\n ROOT s = f32[3] add(w, w)\n}"))
    case("model is missing", ["nowhere.mlirbc", "no such file"], "inspect", "nowhere.mlirbc")
    case("model is a folder", ["folder"], "inspect", ".")
    case("model is C", ["step.c", "not StableHLO"], "inspect", "step.c", prepare=put("step.c", "int main() { return 0; }"))
    case("model is JSON", ["not StableHLO"], "inspect", bad("not_json.json"))
    case("model is npz", ["neither StableHLO nor HLO"], "inspect", model("mlp_tiny_sgd.npz"))
    for part in [1, 4, 50, 1000, 3000]:
        case(f"model cut at {part}", ["cut.mlirbc"], "inspect", "cut.mlirbc", prepare=put("cut.mlirbc", read(MLP)[:part]))


def arguments():
    for value in ["99", "-1", "0,99"]:
        case(f"--batch-args {value}", ["--batch-args", value.split(",")[-1]], "inspect", MLP, f"--batch-args={value}")
    case("--batch-args abc", ["--batch-args"], "inspect", MLP, "--batch-args", "abc")
    case("--batch-args of a parameter", ["--batch-args", "input 8"], "run", MLP, "--batch-args", "0")
    case("--batch-dim 7", ["batch", "7"], "inspect", MLP, "--batch-dim", "7")
    case("-n 5", ["5", "64", "1, 2, 4, 8, 16, 32, 64"], "run", MLP, "-n", "5", "--save-plan", "p.json")
    for n in ["0", "-1", "513", "100000"]:
        case(f"-n {n}", ["--devices", n, "512"], "run", MLP, f"--devices={n}")
    for n in ["abc", "1.5", "99999999999999999999", ""]:
        case(f"-n '{n}'", ["--devices"], "run", MLP, f"--devices={n}")
    for m in ["0", "-2", "abc"]:
        case(f"--microbatches {m}", ["--microbatches"], "run", MLP, f"--microbatches={m}", "--save-plan", "p.json")
    case("--microbatches 5", ["5 microbatches", "at most 64"], "run", MLP, "--microbatches=5", "--save-plan", "p.json")
    case("--microbatches 64 -n 2", ["64 microbatches", "2 devices"], "run", MLP, "--microbatches=64", "-n", "2", "--save-plan",
         "p.json")
    case("--microbatches 2 of a missing plan", ["p.json: no such file"], "run", MLP, "--microbatches=2", "--plan", "p.json",
         "--metrics", "m")
    case("--microbatches of batch norm", ["wresnet", "models.py:201", "--per-microbatch"], "run",
         model("wresnet_tiny_sgd.mlirbc"), "--microbatches=2", "--save-plan", "p.json")
    case("--steps -3", ["--steps"], "run", MLP, "--steps=-3")
    case("--steps abc", ["--steps"], "run", MLP, "--steps=abc")
    case("--tolerance 0", ["--tolerance"], "run", MLP, "--tolerance=0")
    case("--keep 0", ["--keep"], "run", MLP, "--keep=0")
    case("unknown option", ["--frobnicate"], "run", MLP, "--frobnicate")
    case("unknown command", ["subcommand"], "frobnicate")
    case("no command", ["subcommand"])
    case("no model", ["MODEL"], "run")
    case("--stop-after nothing", ["--stop-after"], "inspect", MLP, "--stop-after", "lunch")
    case("--resume alone", ["--resume", "--checkpoint"], "run", MLP, "--resume")
    case("--checkpoint-every alone", ["--checkpoint-every", "--checkpoint"], "run", MLP, "--checkpoint-every", "1")
    case("--check-report alone", ["--check-report", "--check"], "run", MLP, "--check-report", "r.json")
    case("--check and --data", ["--check", "--data"], "run", MLP, "--check", model("mlp_tiny_sgd.npz"), "--data", ".")
    case("demo -n 0", ["0"], "demo", "-n", "0", "--out", "demo", "--steps", "1")
    case("demo --data missing", ["nowhere.txt"], "demo", "--data", "nowhere.txt", "--out", "demo", "--steps", "1",
         speaks=True)


def data():
    x, y = npy("<f4", (64, 64)), npy("<f4", (64, 32))
    def arrays(**entries):
        return lambda folder: npz(os.path.join(folder, "d.npz"), **entries)
    run = ["run", MLP, "--steps", "1", "--data", "d.npz", "--metrics", "m.jsonl"]
    case("data of wrong shape", ["d.npz", "f32[64,63]", "f32[examples,64]"], *run, prepare=arrays(x=npy("<f4", (64, 63)), y=y))
    case("data of wrong rank", ["d.npz"], *run, prepare=arrays(x=npy("<f4", (64, 64, 1)), y=y))
    case("data of wrong type", ["d.npz", "f64"], *run, prepare=arrays(x=npy("<f8", (64, 64), 8), y=y))
    case("data with a missing array", ["d.npz", "input 9", "there are: x"], *run, prepare=arrays(x=x))
    case("data with too few examples", ["d.npz", "64"], *run,
         prepare=arrays(x=npy("<f4", (3, 64)), y=npy("<f4", (3, 32))))
    case("data arrays of different lengths", ["d.npz", "128"], *run,
         prepare=arrays(x=npy("<f4", (128, 64)), y=y))
    case("data with a strange name", ["d.npz"], *run, prepare=arrays(teapot=x, kettle=y))
    case("data is an empty npz", ["d.npz"], *run, prepare=arrays())
    case("data is no npz", ["d.npz"], *run, prepare=put("d.npz", "hello"))
    case("data is text, model takes floats", ["text data needs", "integer", ".npz"], "run", MLP, "--data", "d.txt", prepare=put("d.txt", "hello " * 999))
    case("data is missing", ["nowhere"], "run", GPT, "--data", "nowhere")
    case("text is empty", ["d.txt", "no text"], "run", GPT, "--data", "d.txt", prepare=put("d.txt", ""))
    case("text is too short", ["d.txt"], "run", GPT, "--data", "d.txt", prepare=put("d.txt", "too short"))
    case("data folder is empty", ["texts"], "run", GPT, "--data", "texts",
         prepare=lambda folder: os.mkdir(os.path.join(folder, "texts")))
    for name in ["truncated.npz", "corrupt.npz", "not_npy.npz", "missing_entry.npz", "wrong_shape.npz", "wrong_type.npz"]:
        case(f"--check bad/{name}", [name], "run", MLP, "-q", "--check", bad(name), "--metrics", "m.jsonl")
        case(f"--data bad/{name}", [name], "run", MLP, "-q", "--data", bad(name), "--metrics", "m.jsonl")
    for name in ["truncated.npz", "corrupt.npz", "wrong_shape.npz", "wrong_type.npz", "truncated.json", "not_json.json",
                 "no_args.json", "fewer_args.json", "wrong_shape.json", "wrong_dtype.json", "unknown_init.json",
                 "unknown_role.json", "duplicate_index.json"]:
        todo = {"unknown_role.json": "roles of init rules are not read", "duplicate_index.json": "nor are indices"}.get(name)
        case(f"--init bad/{name}", [name], "run", MLP, "-q", "--steps", "1", "--init", bad(name), "--checkpoint", "ck",
             todo=todo)
    case("golden of another model", ["mlp_tiny_sgd.npz"], "run", GPT, "--check", model("mlp_tiny_sgd.npz"))
    case("golden is missing", ["nowhere.npz", "no such file"], "run", MLP, "--check", "nowhere.npz")
    case("init is missing", ["nowhere.npz"], "run", MLP, "--init", "nowhere.npz")
    case("init of another model", ["gpt_tiny.npz"], "run", MLP, "--init", model("gpt_tiny.npz"))
    case("init rules of another model", ["gpt_tiny.json"], "run", MLP, "--init", model("gpt_tiny.json"))
    case("init random:abc", ["random:"], "run", MLP, "--init", "random:abc")
    case("init of an unknown kind", ["init.txt"], "run", MLP, "--init", "init.txt", prepare=put("init.txt", "hello"))
    case("golden flipped by a bit", ["g.npz"], "run", MLP, "--check", "g.npz",
         prepare=lambda folder: (write(f"{folder}/g.npz", read(model("mlp_tiny_sgd.npz"))), flip(f"{folder}/g.npz", 5000)))


def outputs():
    def locked(folder):
        write(os.path.join(folder, "file"), "mine")
        os.mkdir(os.path.join(folder, "folder"))
    for option in ["--metrics", "--loss-curve", "--save-plan"]:
        case(f"{option} into a missing folder", ["no/such/out"], "run", MLP, option, "no/such/out", prepare=locked)
        case(f"{option} below a file", ["file/out"], "run", MLP, option, "file/out", prepare=locked)
        case(f"{option} is a folder", ["folder"], "run", MLP, option, "folder", prepare=locked)
        if os.geteuid() != 0:  # root writes anywhere
            case(f"{option} is read-only", ["locked/out"], "run", MLP, option, "locked/out",
                 prepare=lambda folder: os.mkdir(os.path.join(folder, "locked"), 0o555))
        case(f"{option} on a full disk", ["/dev/full", "no space"], "run", MLP, option, "/dev/full", prepare=locked,
             speaks=option == "--loss-curve")
    for where in ["file", "file/ck"]:
        case(f"--checkpoint {where}", [where], "run", MLP, "--steps", "1", "--checkpoint", where, "--metrics", "m.jsonl",
             prepare=locked)
    case("--dump-dir is a file", ["file"], "inspect", MLP, "--dump-dir", "file", prepare=locked)
    case("--dump-dir is nowhere", ["/proc/dump"], "inspect", MLP, "--dump-dir", "/proc/dump", prepare=locked)
    case("demo --out is a file", ["file"], "demo", "--steps", "1", "--out", "file", "-n", "1", prepare=locked,
         speaks=True)


def plugins():
    case("plugin is missing", ["nowhere.so", "no such file"], "run", MLP, "--backend", "nowhere.so")
    case("plugin is no library", ["p.so", "does not load"], "run", MLP, "--backend", "p.so", prepare=put("p.so", "hello"))
    case("plugin is a folder", ["plugin"], "run", MLP, "--backend", ".")
    library = next((line.split()[-1] for line in open("/proc/self/maps") if "/libc.so" in line or "/libc-" in line), None)
    case("plugin without GetPjrtApi", [library, "GetPjrtApi"], "run", MLP, "--backend", library)
    case("engine is missing", ["nowhere.so", "missing"], "inspect", MLP, env={"ALPA_XLA_LIBRARY": "nowhere.so"})
    case("engine is no library", ["e.so", "does not load"], "inspect", MLP, env={"ALPA_XLA_LIBRARY": "./e.so"},
         prepare=put("e.so", "hello"))
    case("engine is another library", [library, "alpa_xla_engine"], "inspect", MLP, env={"ALPA_XLA_LIBRARY": library})


def plans():
    def saved(edit=lambda text: text, of=MLP, devices="2"):
        def prepare(folder):
            done = alpa(folder, ["run", of, "-n", devices, "--save-plan", "p.json", "--stop-after", "plan"])
            assert done.returncode == 0, done.stderr
            text = read(f"{folder}/p.json").decode()
            changed = edit(text)
            write(f"{folder}/p.json", changed)
        return prepare
    run = ["run", MLP, "--plan", "p.json", "--metrics", "m.jsonl"]
    case("plan is missing", ["p.json", "no such file"], *run)
    case("plan is garbage", ["p.json", "JSON"], *run, prepare=put("p.json", "hello"))
    case("plan is empty", ["p.json"], *run, prepare=put("p.json", ""))
    case("plan is other JSON", ["p.json"], *run, prepare=put("p.json", '{"a": 1}'))
    case("plan is truncated", ["p.json"], *run, prepare=saved(lambda t: t[:200]))
    case("plan of another model", ["p.json"], *run, prepare=saved(of=model("mlp_b24.mlirbc")))
    case("plan for other devices", ["p.json", "2 devices", "4"], *run, "-n", "4", prepare=saved())
    case("plan with a bad layout", ["p.json", "teapot"], *run, prepare=saved(lambda t: t.replace("[x,]", "[teapot,]")))
    case("plan with a bad mesh", ["p.json"], *run, prepare=saved(lambda t: t.replace("   2\n", "   -2\n")))
    case("plan with a huge mesh", ["p.json"], *run, prepare=saved(lambda t: t.replace("   2\n", "   4294967296\n")))
    case("plan with too few inputs", ["p.json"], *run, prepare=saved(lambda t: t.replace('  "[]",\n', "", 1)))
    case("plan of a later version", ["p.json"], *run, prepare=saved(lambda t: t.replace('"alpa_plan": 2', '"alpa_plan": 99')))


SHARD = "shard-00000-of-00001.safetensors"


def checkpoints():
    step = "ck/step-00000002"
    def trained(damage=lambda folder: None, of=MLP):
        def prepare(folder):
            done = alpa(folder, ["run", of, "-q", "--steps", "2", "--checkpoint", "ck"])
            assert done.returncode == 0, done.stderr
            damage(folder)
        return prepare
    def cut(name, part):
        def damage(folder):
            path = f"{folder}/{step}/{name}"
            data = read(path)
            write(path, data[:int(len(data) * part)])
        return damage
    resume = ["run", MLP, "-q", "--steps", "4", "--checkpoint", "ck", "--resume", "--metrics", "m.jsonl"]
    case("resume without a folder", ["ck"], *resume)
    case("resume from an empty folder", ["ck"], *resume, prepare=lambda folder: os.mkdir(f"{folder}/ck"))
    case("resume, state flipped by a bit", [SHARD], *resume,
         prepare=trained(lambda f: flip(f"{f}/{step}/{SHARD}", 20000)))
    case("resume, header of the state flipped", [SHARD], *resume,
         prepare=trained(lambda f: flip(f"{f}/{step}/{SHARD}", 3)))
    for at in [30, 100, 300, -20]:
        case(f"resume, manifest flipped at {at}", [step], *resume,
             prepare=trained(lambda f, at=at: flip(f"{f}/{step}/manifest.json", at)))
    for part in [0, 0.5, 0.999]:
        case(f"resume, state cut to {part}", [SHARD], *resume, prepare=trained(cut(SHARD, part)))
        case(f"resume, manifest cut to {part}", ["manifest.json"], *resume, prepare=trained(cut("manifest.json", part)))
    case("resume, state missing", [SHARD], *resume,
         prepare=trained(lambda f: os.remove(f"{f}/{step}/{SHARD}")))
    case("resume, manifest missing", [step], *resume, prepare=trained(lambda f: os.remove(f"{f}/{step}/manifest.json")))
    case("resume with another model", ["ck", "another model"], *resume, prepare=trained(of=model("mlp_b24.mlirbc")))
    case("resume with other data", ["ck", "data"], *resume, "--init", "random:7", prepare=trained())
    case("resume with another seed", ["ck", "seed"], *resume, "--seed", "7", prepare=trained())
    new = ["run", MLP, "-q", "--steps", "1", "--checkpoint", "ck", "--metrics", "m.jsonl"]
    case("checkpoints without --resume", ["ck", "already holds checkpoints", "--resume"], *new, prepare=trained())
    case("checkpoints of another model", ["ck"], *new, prepare=trained(of=model("mlp_b24.mlirbc")))
    case("checkpoints, bad model given", ["truncated.mlirbc"], "run", bad("truncated.mlirbc"), "--checkpoint", "ck",
         "--resume", prepare=trained())
    case("init from a damaged checkpoint", [SHARD], "run", MLP, "--init", f"{step}/{SHARD}",
         prepare=trained(cut(SHARD, 0.5)))


def main():
    global ALPA
    ALPA = os.path.abspath(sys.argv[1])
    for group in (models, arguments, data, outputs, plugins, plans, checkpoints):
        group()
    names = [c[0] for c in CASES]
    assert len(set(names)) == len(names), sorted(n for n in names if names.count(n) > 1)
    # Every file of the folder of bad input is used.
    used = {os.path.basename(str(a)) for c in CASES for a in c[2]}
    fine = {"make.py", "future_version.mlirbc", "no_inputs.mlir", "no_outputs.mlir", "compressed.npz", "fortran.npz"}
    unused = set(os.listdir(BAD)) - used - fine
    assert not unused, f"no case for {sorted(unused)}"
    sys.exit(0 if run_cases(sys.argv[2:]) else 1)


if __name__ == "__main__":
    main()
