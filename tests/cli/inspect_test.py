#!/usr/bin/env python3
"""`alpa inspect --json` against what the exporter wrote down about each model: inspect_test.py PROGRAM [FOLDER]

Parameters and FLOPs (within 1 % of JAX's own count), which input is the batch, which output is the next value of which
input, and which output is the loss. Prints a line per model; exit status 1 if anything differs."""
import glob, json, os, subprocess, sys

PROGRAM = sys.argv[1]
FOLDER = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../models")
# JAX counts what it traces, alpa what is left to do.
FLOPS_DIFFER = {"rnn_scan": "the gradient of the initial state is nobody's input",
                "topk_sort": "two of its matrix products are equal"}
# Both readings of `ambiguous` are right.
ROLES_DIFFER = {"ambiguous"}


def problems(info, got):
    out = []
    for key in ("fwd_flops_dot_conv", "step_flops_dot_conv"):
        expected = info.get(key)
        if expected and abs(got[key] - expected) > 0.01 * expected:
            out.append(f"{key} is {got[key]:.6g}, JAX counts {expected:.6g}")
    for arg, found in zip(info["args"], got["inputs"]):
        if arg["role"] in ("param", "opt_state", "batch") and (arg["role"] == "batch") != (found["role"] == "batch"):
            out.append(f"input {arg['index']} {arg['name']} is {found['role']}, should be {arg['role']}")
    for output, arg in enumerate(o.get("state_arg", o.get("alias_arg")) for o in info["outputs"]):
        if arg is not None and got["inputs"][arg]["updated_by"] != output:
            out.append(f"input {arg} is updated by {got['inputs'][arg]['updated_by']}, should be by {output}")
    return out


def main():
    failed = checked = 0
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        name = os.path.basename(path)[: -len(".json")]
        model = os.path.join(FOLDER, name + ".mlirbc")
        info = json.load(open(path))
        if not os.path.exists(model) or "args" not in info:
            continue
        run = subprocess.run([PROGRAM, "inspect", model, "--json"], capture_output=True, text=True)
        wrong = [run.stderr.strip()] if run.returncode else problems(info, json.loads(run.stdout))
        if name in FLOPS_DIFFER:
            wrong = [w for w in wrong if not w.startswith("step_flops")]
        if name in ROLES_DIFFER:
            wrong = [w for w in wrong if not w.startswith("input")]
        checked += 1
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {name} {'; '.join(wrong[:4])}", flush=True)
    print(f"{checked - failed} passed, {failed} failed")
    return 1 if failed or not checked else 0


sys.exit(main())
