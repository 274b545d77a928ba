#!/usr/bin/env python3
"""Checkpoints of `alpa run` in several processes: checkpoint_test.py PROGRAM MPIRUN...

Each process writes a part of the state, each element once, and together they hold the golden numbers; such a checkpoint is gone
on from by other plans and numbers of processes, to the golden losses; what goes wrong in one process is said once; a signal
saves."""
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from several import *  # pylint: disable=wildcard-import,unused-wildcard-import

NAME = "gpt_tiny_sgd"
MODEL = MODELS / f"{NAME}.mlirbc"
STEPS = 5  # those of the golden file


def compare_state(folder, step):
    """The state in a checkpoint with the golden one behind that step. Returns the bytes in each shard."""
    tensors, bytes_ = read_checkpoint(folder)
    worst = max(apart(values, golden(NAME, f"out{step}/{i:04}")) for i, values in tensors.items())
    expect(len(tensors) > 50 and worst < 1e-5, f"{folder.parent.name}: {len(bytes_)} shards hold the golden state", worst)
    expect(sum(bytes_) == sum(4 * len(v) for v in tensors.values()), f"{folder.parent.name}: nothing twice", bytes_)
    return bytes_


def go_on(folder, source, what, processes, steps, *arguments):
    """A copy of the checkpoints in `source` is gone on from, to the golden losses."""
    target, numbers = folder / what.replace(" ", "-"), folder / f"{what.replace(' ', '-')}.jsonl"
    shutil.copytree(source, target)
    run = alpa(processes, "run", MODEL, *arguments, "--steps", steps, "-q", "--metrics", numbers, "--checkpoint", target, "--resume")
    expect(run.returncode == 0, f"{what}: goes on", run.stdout + run.stderr)
    got = metrics(numbers)
    want = golden_losses(NAME)
    expect(got and apart([loss for _, loss in got], [want[step - 1] for step, _ in got]) < 1e-4, f"{what}: the golden losses", got)
    return target


def writes_and_restores(folder):
    want = golden_losses(NAME)
    two = make_plan(MODEL, "local:2x2", folder / "two.json", "--stages", 2, "--microbatches", 4, "--schedule", "1f1b")
    four = make_plan(MODEL, "local:4x2", folder / "four.json", "--stages", 2, "--microbatches", 4, "--schedule", "gpipe")
    mesh = folder / "mesh.json"
    alpa(1, "plan", MODEL, "--mesh", "2x2", "-o", mesh, "-q")

    first = folder / "first"
    run = alpa(2, "run", MODEL, "--plan", two, "--steps", 1, "-q", "--metrics", folder / "first.jsonl", "--checkpoint", first)
    expect(run.returncode == 0 and apart(losses(folder / "first.jsonl"), want[:1]) < 1e-4, "two stages save", run.stderr)
    parts = compare_state(first / "step-00000001", 1)
    expect(len(parts) == 2 and min(parts) > 0.2 * sum(parts), "each process writes its stage", parts)

    one = go_on(folder, first, "one device", 1, STEPS)
    expect(len(compare_state(one / f"step-{STEPS:08}", STEPS)) == 1, "one process writes one shard")
    # Stages that span two processes each; from there one mesh over two processes.
    spanning = go_on(folder, first, "four processes", 4, 3, "--plan", four)
    parts = read_checkpoint(spanning / "step-00000003")[1]
    expect(len(parts) == 4 and min(parts) > 0.1 * sum(parts), "each of four processes writes a part", parts)
    meshed = go_on(folder, spanning, "one mesh", 2, STEPS, "--plan", mesh)
    parts = compare_state(meshed / f"step-{STEPS:08}", STEPS)
    expect(len(parts) == 2 and min(parts) > 0.3 * sum(parts), "both processes of a mesh write", parts)
    # Data parallelism: all is replicated, and still written once.
    copies = go_on(folder, first, "copies", 2, STEPS, "--devices", 4)
    parts = compare_state(copies / f"step-{STEPS:08}", STEPS)
    expect(len(parts) == 2 and min(parts) > 0.2 * sum(parts), "copies are shared out", parts)
    return two


def keeps_stacked_parameters_whole(folder):
    """gpt_scan has its layers' parameters in one array; a plan of stages takes them apart."""
    model = MODELS / "gpt_scan.mlirbc"
    plan = make_plan(model, "local:2x1", folder / "scan.json", "--stages", 2, "--microbatches", 2)
    checkpoints, numbers = folder / "scan", folder / "scan.jsonl"
    common = ["run", model, "-q", "--metrics", numbers, "--checkpoint", checkpoints]
    run = alpa(2, *common, "--plan", plan, "--steps", 2)
    expect(run.returncode == 0, "stacked parameters are saved", run.stderr)
    run = alpa(1, *common, "--steps", 5, "--resume")
    want = golden_losses("gpt_scan")
    expect(run.returncode == 0 and apart(losses(numbers), want) < 1e-4, "and go on on one device", (run.stderr, losses(numbers), want))


def errors_are_said_once(folder, plan):
    # From some time on process 1 may write no file of more than a kilobyte: its disk is full, for all that it can tell.
    checkpoints = folder / "full"
    arguments = ["run", MODEL, "--plan", plan, "--steps", 1000000, "-q", "--checkpoint", checkpoints, "--checkpoint-every", 2]
    run = subprocess.Popen([*MPIRUN, "2", "bash", "-c", 'trap "" XFSZ; exec "$@"', "bash", PROGRAM, *map(str, arguments)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.time() + 100
    while not list(checkpoints.glob("step-*")) and run.poll() is None and time.time() < end:
        time.sleep(0.05)
    processes = pids(run)
    expect(len(processes) == 2, "two processes save", processes)
    if len(processes) == 2:
        resource.prlimit(processes[1], resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))
    _, err = run.communicate(timeout=60)
    expect(run.returncode == 2 and len(ours(err)) == 1, "a full disk of one process ends all", err)
    expect("process 1: " in err and "shard-00001-of-00002.safetensors: cannot write: File too large" in err and
           "the newest checkpoint is " in err, "its message says which, and what is left", err)
    left = [f.name for f in checkpoints.iterdir() if not f.name.startswith("step-")]
    expect(left == [], "nothing half-written stays", left)
    # A damaged shard: one warning, and the checkpoint before.
    checkpoints = folder / "damaged"
    run = alpa(2, "run", MODEL, "--plan", plan, "--steps", 3, "-q", "--checkpoint", checkpoints, "--checkpoint-every", 2)
    shard = checkpoints / "step-00000003" / "shard-00001-of-00002.safetensors"
    damaged = bytearray(shard.read_bytes())
    damaged[-1] ^= 1
    shard.write_bytes(damaged)
    run = alpa(2, "run", MODEL, "--plan", plan, "--steps", 4, "-q", "--checkpoint", checkpoints, "--resume")
    expect(run.returncode == 0 and run.stderr.count("warning: ") == 1 and "going on from" in run.stderr and
           "step-00000002" in run.stderr, "a damaged shard that another process has checked", run.stderr)


def a_signal_saves(folder, plan):
    # mpirun passes SIGUSR1 on; SIGINT and SIGTERM it turns into SIGTERM, after as long as it then waits with SIGKILL.
    for kind, to_one in ((signal.SIGUSR1, False), (signal.SIGTERM, False), (signal.SIGINT, False), (signal.SIGTERM, True)):
        what = f"{kind.name} to {'one process' if to_one else 'mpirun'}"
        checkpoints, numbers = folder / what.replace(" ", "-"), folder / f"{what.replace(' ', '-')}.jsonl"
        common = ["run", MODEL, "--plan", plan, "-q", "--metrics", numbers, "--checkpoint", checkpoints]
        run = start(2, *common, "--steps", 1000000, OMPI_MCA_odls_base_sigkill_timeout="3")
        end = time.time() + 100
        while len(metrics(numbers)) < 3 and run.poll() is None and time.time() < end:
            time.sleep(0.05)
        processes = pids(run)
        expect(len(processes) == 2, f"{what}: two processes run", processes)
        if len(processes) != 2:
            run.kill()
            return
        os.kill(processes[1] if to_one else run.pid, kind)
        _, err = run.communicate(timeout=60)
        done = len(metrics(numbers))
        # mpirun that has been told to end says 1, whatever its processes say.
        ended_by_mpirun = not to_one and kind != signal.SIGUSR1
        expect(run.returncode == (1 if ended_by_mpirun else 3), f"{what}: exit status", run.returncode)
        name = "SIGTERM" if ended_by_mpirun else kind.name
        expect(len(ours(err)) == 1 and f"{name}: {done} of 1000000 steps done, saved as {checkpoints}/step-{done:08}" in err,
               f"{what}: one message says what is saved", err)
        expect([f.name for f in checkpoints.iterdir()] == [f"step-{done:08}"], f"{what}: it is there", list(checkpoints.iterdir()))
        if kind == signal.SIGTERM and not to_one:
            run = alpa(2, *common, "--steps", done + 3, "--resume")
            expect(run.returncode == 0 and [s for s, _ in metrics(numbers)] == list(range(1, done + 4)), f"{what}: and gone on from",
                   run.stderr)
            whole = folder / "whole.jsonl"
            alpa(1, "run", MODEL, "--plan", plan, "--steps", done + 3, "-q", "--metrics", whole)
            expect(losses(numbers) == losses(whole), f"{what}: to the same losses", losses(numbers))


with tempfile.TemporaryDirectory() as name:
    plan_of_two = writes_and_restores(Path(name))
    keeps_stacked_parameters_whole(Path(name))
    errors_are_said_once(Path(name), plan_of_two)
    a_signal_saves(Path(name), plan_of_two)
finish()
