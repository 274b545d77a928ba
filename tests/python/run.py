#!/usr/bin/env python3
"""Runs tests of the Python package in a Python that has JAX: run.py build/alpa FILE [TEST...]

The Python is a virtual environment in alpa's cache, which is made when it is not there: the one of ./dev bench, or for
files that use further libraries (REQUIRES in the file) one of its own. Ends with 77, "skipped", where there is no
package index to make it from.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = 77

sys.path.insert(0, os.path.join(ROOT, "tools"))
from python_venv import python_with  # noqa: E402


def main():
    program, file = os.path.abspath(sys.argv[1]), os.path.join(HERE, sys.argv[2])
    with open(file) as f:
        requires = re.search(r"^REQUIRES = \[(.*)\]", f.read(), re.M)
    libraries = re.findall(r'"([^"]+)"', requires.group(1)) if requires else []
    python = python_with(libraries, remember_failure=True)
    if python is None:
        print("skipped: there is no JAX, and no package index to install it from")
        sys.exit(SKIPPED)
    folders = [os.path.join(ROOT, "python"), HERE, os.path.join(ROOT, "examples", "models")]
    env = dict(os.environ, JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8",
               ALPA_PROGRAM=program, PYTHONPATH=os.pathsep.join(folders))
    sys.exit(subprocess.run([python, file, *sys.argv[3:]], env=env, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
