#!/usr/bin/env python3
"""Two hosts on a slow network: slow_network_test.py PROGRAM MPIRUN...

Each host is a network namespace of its own, with a host name of its own; between them is one link of limited bandwidth.
A pipeline and a mesh that spans the hosts train to the golden numbers; what a pipeline sends per step is what its plan
says; and a step takes as long as the link needs for that. Exit status 77 (skipped) where namespaces cannot be made."""
import atexit
import json
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from several import *  # pylint: disable=wildcard-import,unused-wildcard-import

MODEL = MODELS / "gpt_tiny.mlirbc"
GOLDEN = MODELS / "gpt_tiny.npz"
HOSTS = {f"alpa{os.getpid()}a": "10.213.7.1", f"alpa{os.getpid()}b": "10.213.7.2"}
SKIPPED = 77


def system(*words):
    subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)


def inside(host, *words):
    return ["ip", "netns", "exec", host, *map(str, words)]


def make_hosts():
    first, second = HOSTS
    for host in HOSTS:
        system("ip", "netns", "add", host)
        atexit.register(subprocess.run, ["ip", "netns", "del", host], capture_output=True)
    system("ip", "link", "add", "eth", "netns", first, "type", "veth", "peer", "name", "eth", "netns", second)
    for host, address in HOSTS.items():
        system(*inside(host, "ip", "addr", "add", f"{address}/24", "dev", "eth"))
        for device in ("eth", "lo"):
            system(*inside(host, "ip", "link", "set", device, "up"))


def limit(megabits):
    for host in HOSTS:
        system(*inside(host, "tc", "qdisc", "replace", "dev", "eth", "root", "tbf", "rate", f"{megabits}mbit", "burst",
                       "32kb", "latency", "2s"))


def sent():
    """Bytes over the link so far, both ways."""
    return sum(int(subprocess.run(inside(host, "cat", "/sys/class/net/eth/statistics/tx_bytes"), capture_output=True,
                                  text=True, check=True).stdout) for host in HOSTS)


def remote_shell(folder):
    """What mpirun starts its daemon on the other host by: SHELL ADDRESS COMMAND."""
    path = folder / "shell"
    cases = "".join(f"  {address}) host={host} ;;\n" for host, address in HOSTS.items())
    path.write_text(f"#!/bin/sh\ncase $1 in\n{cases}esac\nshift\n"
                    'exec ip netns exec $host unshare --uts sh -c "hostname $host; $*"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def on_both(folder, *arguments):
    first = next(iter(HOSTS))
    words = [*MPIRUN, "2", "--host", ",".join(HOSTS.values()), "--mca", "plm_rsh_agent", remote_shell(folder), "--mca", "btl",
             "tcp,self", "--mca", "btl_tcp_if_include", "10.213.7.0/24", "--mca", "oob_tcp_if_include", "10.213.7.0/24",
             PROGRAM, *arguments]
    return subprocess.run(inside(first, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', first, *words),
                          capture_output=True, text=True, timeout=280)


def seconds_of_steps(metrics):
    """Without the first, which is not warm yet; the median."""
    times = sorted(json.loads(line)["seconds"] for line in metrics.read_text().splitlines()[1:])
    return times[len(times) // 2]


def planned_bytes(plan):
    """Between stages in one step: activations and cotangents of each microbatch, and what goes once."""
    text = json.loads(plan.read_text())
    each = sum(edge["activation_bytes"] + edge["cotangent_bytes"] for edge in text["edges"])
    return text["microbatches"] * each + sum(edge["bytes"] for edge in text.get("step_edges", []))


def run_for(folder, plan, steps, name):
    before, metrics = sent(), folder / name
    run = on_both(folder, "run", MODEL, "--plan", plan, "--steps", steps, "-q", "--metrics", metrics)
    expect(run.returncode == 0, f"{name}: {steps} steps", run.stderr)
    return sent() - before, metrics


def pipelines(folder):
    plan = make_plan(MODEL, "local:2x2", folder / "plan.json", "--stages", 2, "--microbatches", 4)
    limit(1000)
    run = on_both(folder, "run", MODEL, "--plan", plan, "--check", GOLDEN, "-q")
    expect(run.returncode == 0, "a pipeline over two hosts has the golden numbers", run.stdout + run.stderr)
    few, _ = run_for(folder, plan, 3, "few.json")
    many, fast = run_for(folder, plan, 23, "fast.json")
    each, want = (many - few) / 20, planned_bytes(plan)
    expect(0.98 * want < each < 1.15 * want + 4096, "a step sends what the plan says, and headers",
           f"{each:.0f} bytes per step, {want} planned")
    megabits = 2
    limit(megabits)
    _, slow = run_for(folder, plan, 8, "slow.json")
    # Either direction has the whole rate.
    least = want / 2 * 8 / (megabits * 1e6)
    took = seconds_of_steps(slow)
    expect(0.6 * least < took < 4 * least + seconds_of_steps(fast), f"a step at {megabits} Mbit/s takes what the link needs",
           f"{took:.3f} s, the link needs {least:.3f} s, without a limit {seconds_of_steps(fast):.3f} s")
    print(f"     {each:.0f} bytes per step ({want} planned); {seconds_of_steps(fast):.3f} s a step, {took:.3f} s at {megabits} Mbit/s")


def meshes(folder):
    limit(100)
    run = on_both(folder, "run", MODEL, "--devices", 4, "--check", GOLDEN, "-q")
    expect(run.returncode == 0, "a mesh over two hosts has the golden numbers", run.stdout + run.stderr)


def main():
    try:
        for tool in ("ip", "tc", "unshare"):
            if shutil.which(tool) is None:
                raise OSError(f"there is no {tool}")
        make_hosts()
        limit(1000)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: no network namespaces here: {getattr(error, 'stderr', '') or error}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        pipelines(Path(folder))
        meshes(Path(folder))
    return finish()


if __name__ == "__main__":
    sys.exit(main())
