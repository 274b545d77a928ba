#!/usr/bin/env python3
"""The golden models on the GPUs of this machine, through a PJRT plugin: gpu_test.py ALPA PLUGIN [--only REGEX].

Every model on 1 GPU, whole and in 4 microbatches, and on 2, 4 and 8 GPUs where there are that many and they divide the
batch, by the tolerances of `alpa run --check`; then `alpa profile`. Prints a table; exit status 1 when anything differs or
fails, 77 (skipped) where there is no GPU or no plugin.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODELS = os.path.join(ROOT, "tests", "models")
SKIPPED = 77
# Batch norm over few values under Adam: two implementations part after one step, whatever they do.
CHAOTIC = re.compile(r"^wresnet_(tiny|mini|small)$")


def gpus():
    """Names of the GPUs."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    except OSError:
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def run(alpa, plugin, model, options, report):
    """-> what there is to say, and whether it is right."""
    path = os.path.join(MODELS, model)
    done = subprocess.run([alpa, "run", path + ".mlirbc", "--backend", plugin, "--check", path + ".npz", "--check-report",
                           report, "-q", *map(str, options)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 0:
        return "equal", True
    if done.returncode == 1:
        with open(report) as f:
            beyond = [t["name"] for t in json.load(f)["tensors"] if not t["ok"]]
        return f"{len(beyond)} tensors differ, e.g. {beyond[0]}" if beyond else "differs", bool(CHAOTIC.match(model))
    text = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[0]
    # Refused with the reason, as on any back end: the step cannot be cut.
    return text[:120], "in one piece only" in text


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("alpa")
    ap.add_argument("plugin")
    ap.add_argument("--only", default=".", help="models whose name matches")
    args = ap.parse_args()
    names = gpus()
    if not names:
        print("skipped: this machine has no GPU")
        return SKIPPED
    if not os.path.exists(args.plugin):
        print(f"skipped: no plugin {args.plugin} (./dev gpu installs it)")
        return SKIPPED
    print(f"{len(names)} GPUs: {', '.join(sorted(set(names)))}\n\n| model | GPUs | microbatches | outcome |\n|---|---|---|---|")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in sorted(os.listdir(MODELS)):
            model = file[:-len(".npz")]
            if not file.endswith(".npz") or not re.search(args.only, model):
                continue
            with open(os.path.join(MODELS, model + ".json")) as f:
                batch = [arg["shape"][0] for arg in json.load(f)["args"] if arg["role"] == "batch" and arg["shape"]]
            cases = [(1, 1), (1, 4)] + [(n, 1) for n in (2, 4, 8) if n <= len(names) and all(b % n == 0 for b in batch)]
            for devices, microbatches in cases:
                text, right = run(args.alpa, args.plugin, model, ["--devices", devices, "--microbatches", microbatches],
                                  os.path.join(folder, "report.json"))
                wrong += not right
                print(f"| {model} | {devices} | {microbatches} | {text}{'' if right else ' **wrong**'} |", flush=True)
    profile = subprocess.run([args.alpa, "profile", "--backend", args.plugin, "--memory", "16GiB", "-q"], cwd=ROOT,
                             capture_output=True, text=True)
    print(f"\n{profile.stdout or profile.stderr}\n{wrong} wrong")
    return 1 if wrong or profile.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
