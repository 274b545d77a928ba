#!/usr/bin/env python3
"""`alpa run` started by mpirun: run_test.py PROGRAM MPIRUN...

One mesh over 2 and 4 processes trains to the losses of one process; only the first process prints; errors are told once;
checkpoints of sharded state can be gone on from with another number of processes; a killed process ends all."""
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from several import *  # pylint: disable=wildcard-import,unused-wildcard-import

MODEL = str(MODELS / "gpt_tiny_sgd.mlirbc")


def trains_to_the_same_losses(folder):
    plan = folder / "plan.json"
    alpa(1, "plan", MODEL, "--mesh", "2x2", "-o", plan, "-q")
    # Weights split over the mesh, so that gathering the state takes messages.
    text = json.loads(plan.read_text())
    expect(any("x" in json.dumps(spec) or "y" in json.dumps(spec) for spec in text["inputs"]), "the plan splits something")
    for name, arguments in (("data-parallel", ["--devices", 4]), ("plan", ["--plan", plan])):
        want = None
        for processes in ((1, 4) if name == "data-parallel" else (1, 2, 4)):
            metrics, checkpoints = folder / f"{name}{processes}.json", folder / f"{name}{processes}"
            run = alpa(processes, "run", MODEL, *arguments, "--steps", 3, "-q", "--metrics", metrics, "--checkpoint", checkpoints)
            what = f"{name}, {processes} processes"
            expect(run.returncode == 0, f"{what}: succeeds", run.stderr)
            if run.returncode != 0:
                return
            got = losses(metrics)
            want = want or got
            expect(apart(got, want) < 1e-4, f"{what}: the losses of one process", f"{got}, expected {want}")
            expect(run.stdout.count("steps 1-3: loss") == 1 and run.stderr == "", f"{what}: only one prints", run.stdout + run.stderr)
        more, whole = folder / f"{name}-more.json", folder / f"{name}-whole.json"
        run = alpa(2, "run", MODEL, *arguments, "--steps", 5, "-q", "--metrics", more, "--checkpoint", folder / f"{name}4", "--resume")
        expect(run.returncode == 0, f"{name}: 2 processes go on from the checkpoint of 4", run.stderr)
        alpa(1, "run", MODEL, *arguments, "--steps", 5, "-q", "--metrics", whole)
        expect(apart(losses(more), losses(whole)[3:]) < 1e-4, f"{name}: to the same losses", f"{losses(more)}, {losses(whole)}")


def checks_golden_numbers():
    golden = MODELS / "gpt_tiny_sgd.npz"
    run = alpa(2, "run", MODEL, "--devices", 4, "--check", golden, "-q")
    expect(run.returncode == 0, "--check passes over 2 processes", run.stdout + run.stderr)


def tells_errors_once(folder):
    def once(what, processes, text, *arguments):
        run = alpa(processes, "run", *arguments)
        said = ours(run.stderr)
        expect(run.returncode == 2 and len(said) == 1 and text in said[0], what, f"{run.returncode}, {run.stderr}")

    once("a missing model", 2, "no-such-model", folder / "no-such-model")
    once("devices that do not fall on the processes alike", 3, "4 devices do not fall on 3 processes", MODEL, "--devices", 4)
    run = subprocess.run([*MPIRUN, "1", PROGRAM, "run", MODEL, "--devices", "4", "--steps", "3", ":", "-n", "1", PROGRAM, "run",
                          MODEL, "--devices", "4", "--steps", "4"], capture_output=True, text=True, timeout=100)
    expect(run.returncode == 2 and run.stderr.count("process 1 has another number of steps") == 1, "arguments that differ", run.stderr)


def ends_when_one_is_killed(folder):
    checkpoints = folder / "killed"
    run = start(4, "run", MODEL, "--devices", 4, "--steps", 1000000, "-q", "--checkpoint", checkpoints, "--checkpoint-every", 5)
    end = time.time() + 60
    while not list(checkpoints.glob("step-*")) and time.time() < end and run.poll() is None:
        time.sleep(0.1)
    processes = pids(run)
    expect(len(processes) == 4, "four processes run", processes)
    if len(processes) != 4:
        run.kill()
        return
    begin = time.time()
    os.kill(processes[1], signal.SIGKILL)
    out, err = run.communicate(timeout=60)
    took = time.time() - begin
    expect(took < 10 and run.returncode != 0, "a killed process ends all within 10 s", f"{took} s, {run.returncode}")
    said = ours(err)
    expect(len(said) == 1 and "process 1 (" in said[0] and "step " in said[0], "one message says who and where", err)
    left = [f.name for f in checkpoints.iterdir() if not f.name.startswith("step-")]
    expect(left == [], "no half-written checkpoint stays", left)


def stages_on_different_hosts(folder):
    """Each process has the stages of its host; a stage over two hosts is a mesh that spans two processes."""
    model, golden = MODELS / "gpt_tiny.mlirbc", MODELS / "gpt_tiny.npz"
    for cluster, processes, options in (("local:2x2", 2, ["--schedule", "1f1b"]), ("local:4x2", 4, ["--schedule", "gpipe"]),
                                        ("local:2x1", 2, ["--schedule", "zb-h1"])):
        plan = folder / f"{cluster.replace(':', '-')}.json"
        made = alpa(1, "plan", model, "--cluster", cluster, "--stages", 2, "--microbatches", 4, *options, "-o", plan, "-q")
        expect(made.returncode == 0, f"{cluster}: a plan of two stages", made.stderr)
        run = alpa(processes, "run", model, "--plan", plan, "--check", golden, "-q")
        expect(run.returncode == 0, f"{cluster}: {processes} processes give the golden numbers", run.stdout + run.stderr)
    # Side by side: each stage has one device of each host.
    columns = json.loads((folder / "local-2x2.json").read_text())
    for column, stage in enumerate(columns["stages"]):
        stage["placement"].update(first_host=0, hosts=2, first_device=column, devices=1)
    (folder / "columns.json").write_text(json.dumps(columns))
    run = alpa(2, "run", model, "--plan", folder / "columns.json", "--check", golden, "-q")
    expect(run.returncode == 0, "stages side by side on two hosts give the golden numbers", run.stdout + run.stderr)
    tied, plan = MODELS / "gpt_tiny_tied_gather", folder / "tied.json"
    alpa(1, "plan", f"{tied}.mlirbc", "--cluster", "local:2x1", "--stages", 2, "--microbatches", 2, "-o", plan, "-q")
    run = alpa(2, "run", f"{tied}.mlirbc", "--plan", plan, "--check", f"{tied}.npz", "-q")
    expect(run.returncode == 0, "tied embeddings on two processes", run.stdout + run.stderr)
    run = alpa(3, "run", model, "--plan", folder / "local-4x2.json", "--steps", 1, "-q")
    expect(run.returncode == 2 and "4 hosts, 3 processes" in run.stderr, "fewer processes than hosts", run.stderr)
    # A checkpoint of two processes is gone on from by one.
    plan, checkpoints = folder / "local-2x2.json", folder / "staged"
    whole, first, rest = folder / "w.json", folder / "f.json", folder / "r.json"
    alpa(1, "run", model, "--plan", plan, "--steps", 5, "-q", "--metrics", whole)
    run = alpa(2, "run", model, "--plan", plan, "--steps", 3, "-q", "--metrics", first, "--checkpoint", checkpoints)
    expect(run.returncode == 0, "two stages save", run.stderr)
    run = alpa(1, "run", model, "--steps", 5, "-q", "--metrics", rest, "--checkpoint", checkpoints, "--resume")
    expect(run.returncode == 0 and apart(losses(first) + losses(rest), losses(whole)) < 1e-4,
           "one device goes on from the checkpoint of two stages", run.stderr)


with tempfile.TemporaryDirectory() as name:
    stages_on_different_hosts(Path(name))
    trains_to_the_same_losses(Path(name))
    checks_golden_numbers()
    tells_errors_once(Path(name))
    ends_when_one_is_killed(Path(name))
finish()
