#!/usr/bin/env python3
"""`alpa solve` from the outside: solve_test.py PROGRAM

Its answers are evaluated here again; the same seed and work give the same bytes; Ctrl-C gives an answer; bad input ends
with exit status 2, one clear message, and nothing written."""
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM = os.path.abspath(sys.argv[1])
PROBLEMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "solver", "problems")
CHAIN = os.path.join(PROBLEMS, "chain.json")
FAILED = []


def alpa(*args, cwd=None):
    return subprocess.run([PROGRAM, "solve", *args], capture_output=True, text=True, cwd=cwd, timeout=120)


def expect(condition, what):
    print(f"{'ok  ' if condition else 'FAIL'} {what}", flush=True)
    if not condition:
        FAILED.append(what)


def evaluate(problem, choice):
    nodes, edges = problem["nodes"], problem["edges"]
    cost = sum(costs[i] for costs, i in zip(nodes["costs"], choice))
    for (a, b), costs in zip(edges["nodes"], edges["costs"]):
        cost += costs[choice[a] * len(nodes["costs"][b]) + choice[b]]
    times = range(max(end for _, end in nodes["intervals"]))
    peak = max(sum(u[i] for (b, e), u, i in zip(nodes["intervals"], nodes["usages"], choice) if b <= t < e) for t in times)
    return cost, peak


def answers(folder):
    problem = json.load(open(CHAIN))["problem"]
    out = os.path.join(folder, "out.json")
    done = alpa(CHAIN, "-o", out)
    expect(done.returncode == 0 and "proven" in done.stdout, "chain: a page")
    answer = json.load(open(out))
    cost, peak = evaluate(problem, answer["assignment"])
    expect(answer["status"] == "optimal" and answer["cost"] == answer["bound"] == cost and answer["gap"] == 0,
           "chain: proven, with the cost it says")
    expect(peak == answer["peak"]["usage"] <= problem["usage_limit"], "chain: fits")
    packed = os.path.join(folder, "chain.json.gz")
    with gzip.open(packed, "wb") as f:
        f.write(open(CHAIN, "rb").read())
    expect(json.loads(alpa(packed, "--json").stdout)["cost"] == cost, "chain: gzipped")
    done = alpa(os.path.join(PROBLEMS, "too_tight.json"), "--json")
    answer = json.loads(done.stdout)
    expect(done.returncode == 0 and answer["status"] == "infeasible" and answer["bound"] is None, "too_tight: infeasible")
    expect(answer["peak"]["usage"] >= answer["least_peak_bound"] > answer["usage_limit"], "too_tight: least memory")
    page = alpa(os.path.join(PROBLEMS, "too_tight.json")).stdout
    expect("nothing fits (proven)" in page and "at time" in page, "too_tight: a page")


def hard(folder):
    """A problem that is not solved in a minute."""
    r = random.Random(1)
    n = 400
    pairs = [[u, v] for v in range(1, n) for u in {r.randrange(v) for _ in range(6)}]
    problem = {"nodes": {"costs": [[r.randrange(9) for _ in range(8)] for _ in range(n)],
                         "usages": [[r.randrange(99) for _ in range(8)] for _ in range(n)], "intervals": [[0, 9]] * n},
               "edges": {"nodes": pairs, "costs": [[r.randrange(99) for _ in range(64)] for _ in pairs]},
               "usage_limit": n * 30}
    path = os.path.join(folder, "hard.json")
    json.dump({"problem": problem}, open(path, "w"))
    return path


def stopping(folder):
    path = hard(folder)
    start = time.monotonic()
    done = alpa(path, "--json", "--time-limit", "3")
    took = time.monotonic() - start
    answer = json.loads(done.stdout)
    expect(answer["status"] == "feasible" and 0 < answer["bound"] < answer["cost"], "hard: an answer and a bound in time")
    expect(took < 4.5, f"hard: stopped after {took:.1f} s of 3")
    expect("cost" in done.stderr and "bound" in done.stderr and "\r" not in done.stderr, "hard: progress in a log")
    process = subprocess.Popen([PROGRAM, "solve", path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    expect(process.returncode == 0 and json.loads(out)["status"] == "feasible", "hard: Ctrl-C gives the best so far")
    seen = set()
    for threads in "1", "2":
        answer = json.loads(alpa(path, "--json", "--work-limit", "600000000", "--threads", threads).stdout)
        seen.add((tuple(answer["assignment"]), answer["bound"], answer["work"]))
    expect(len(seen) == 1, "hard: the same work gives the same answer with one and two threads")


def bad_input(folder):
    text = open(CHAIN).read()

    def case(name, words, data, *args):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            if data is not None:
                with open(os.path.join(place, "p.json"), "wb") as f:
                    f.write(data if isinstance(data, bytes) else data.encode())
            before = sorted(os.listdir(place))
            done = alpa("p.json", *(args or ("-o", "out.json")), cwd=place)
            fine = (done.returncode == 2 and not done.stdout and sorted(os.listdir(place)) == before
                    and all(w.lower() in done.stderr.lower() for w in words) and done.stderr.count("alpa: ") <= 1
                    and len(done.stderr) < 1000 and "std::" not in done.stderr)
            expect(fine, f"bad: {name}" + ("" if fine else f": {done.returncode} {done.stderr!r}"))

    case("missing file", ["p.json", "no such file"], None)
    case("empty file", ["p.json", "empty"], "")
    case("no JSON", ["p.json", "must be an object", "byte 0"], "hello")
    case("truncated", ["p.json", "not valid JSON", "truncated"], text[:2000])
    case("truncated gzip", ["p.json", "gzip", "truncated"], gzip.compress(text.encode())[:500])
    case("other JSON", ["p.json", "nodes", "iopddl"], '{"a": [1, 2]}')
    case("negative cost", ["node 0", "-5"], text.replace('"costs": [[', '"costs": [[-5, ', 1))
    case("wrong type", ["nodes.costs[0]", "numbers"], text.replace('"costs": [[', '"costs": [["x", ', 1))
    problem = json.loads(text)
    problem["problem"]["edges"]["costs"][3].append(1)
    case("wrong table size", ["edge 3", "needs 16", "17"], json.dumps(problem))
    case("binary", ["p.json"], os.urandom(1000))
    case("unknown option", ["--frobnicate"], text, "--frobnicate")
    case("time limit 0", ["--time-limit", "0"], text, "--time-limit", "0")
    case("time limit of text", ["--time-limit"], text, "--time-limit", "soon")
    case("negative threads", ["--threads"], text, "--threads=-1")
    case("gap above 1", ["--gap"], text, "--gap", "2")
    case("out in a missing folder", ["no/such/out"], text, "-o", "no/such/out")
    case("out is a folder", ["/tmp"], text, "-o", "/tmp")
    case("out on a full disk", ["/dev/full", "no space"], text, "-q", "-o", "/dev/full")


def main():
    with tempfile.TemporaryDirectory(prefix="alpa-solve-") as folder:
        answers(folder)
        stopping(folder)
        bad_input(folder)
    print(f"{len(FAILED)} failed")
    sys.exit(1 if FAILED else 0)


main()
