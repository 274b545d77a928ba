#!/usr/bin/env python3
"""Clients behind a plugin, in several processes: plugin_test.py ALPA TALKING_PLUGIN MPIRUN..."""
import subprocess
import sys
from pathlib import Path

PROGRAM, PLUGIN, MPIRUN = sys.argv[1], sys.argv[2], sys.argv[3:]
MODEL = Path(__file__).resolve().parent.parent / "models" / "mlp_tiny.mlirbc"
failed = False

for processes, says in ((1, "alone, without a key-value store"), (2, "node of 2 heard name 0, name 1"),
                        (3, "node of 3 heard name 0, name 1, name 2")):
    command = [*([*MPIRUN, str(processes)] if processes > 1 else []), PROGRAM, "run", str(MODEL), "--backend", PLUGIN, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    good = done.returncode != 0 and done.stderr.count("alpa: ") == 1 and says in done.stderr
    print(f"{'ok  ' if good else 'FAIL'} {processes} processes: {says}" + ("" if good else f"\n{done.stdout}{done.stderr}"), flush=True)
    failed = failed or not good
sys.exit(failed)
