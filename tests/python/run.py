#!/usr/bin/env python3
"""Runs tests of the Python package in a Python that has JAX: run.py build/alpa FILE [TEST...]

The Python is a virtual environment in alpa's cache, which is made when it is not there: the one of ./dev bench, or for
files that use further libraries (REQUIRES in the file) one of its own. Ends with 77, "skipped", where there is no
package index to make it from.
"""
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
JAX = "0.10.0"  # as in bench/run
VERSIONS = {"flax": "0.12.8", "optax": "0.2.8", "equinox": "0.13.8"}
TRY_AGAIN_S = 1800
SKIPPED = 77


def cache():
    if os.environ.get("ALPA_CACHE"):
        return os.path.abspath(os.environ["ALPA_CACHE"])
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "alpa")


def python_with(libraries):
    """The python of a virtual environment with JAX and these; None when it cannot be made."""
    import fcntl
    folder = os.path.join(cache(), "python-venv" if libraries else "jax-venv")
    python = os.path.join(folder, "bin", "python")
    imports = ", ".join(["jax", "numpy", *libraries])
    probe = [python, "-c", f"import {imports}; assert jax.__version__ == '{JAX}'"]
    os.makedirs(cache(), exist_ok=True)
    with open(os.path.join(cache(), "python-venv.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run beside each other
        if os.path.exists(python) and subprocess.run(probe, capture_output=True).returncode == 0:
            return python
        # Where there is no index each try takes its time; the next tests of this run need not try again.
        failed = folder + ".failed"
        if os.path.exists(failed) and time.time() - os.path.getmtime(failed) < TRY_AGAIN_S:
            return None
        print(f"installing jax {JAX} {' '.join(libraries)} into {folder}", file=sys.stderr)
        # Made beside it: an old one stays until there is a new one.
        new = folder + ".new"
        shutil.rmtree(new, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "--python", os.path.join(new, "bin", "python"), "install", "--quiet",
               "--retries", "1", f"jax=={JAX}", f"jaxlib=={JAX}", "numpy",
               *(f"{library}=={VERSIONS[library]}" for library in libraries)]
        made = (subprocess.run([sys.executable, "-m", "venv", "--without-pip", new]).returncode == 0
                and subprocess.run(pip).returncode == 0)
        if made:
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(new, folder)
        shutil.rmtree(new, ignore_errors=True)
        if made:
            if os.path.exists(failed):
                os.remove(failed)
        else:
            open(failed, "w").close()
        return python if made and subprocess.run(probe).returncode == 0 else None


def main():
    program, file = os.path.abspath(sys.argv[1]), os.path.join(HERE, sys.argv[2])
    with open(file) as f:
        requires = re.search(r"^REQUIRES = \[(.*)\]", f.read(), re.M)
    python = python_with(re.findall(r'"([^"]+)"', requires.group(1)) if requires else [])
    if python is None:
        print("skipped: there is no JAX, and no package index to install it from")
        sys.exit(SKIPPED)
    folders = [os.path.join(ROOT, "python"), HERE, os.path.join(ROOT, "examples", "models")]
    env = dict(os.environ, JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_force_host_platform_device_count=8",
               ALPA_PROGRAM=program, PYTHONPATH=os.pathsep.join(folders))
    sys.exit(subprocess.run([python, file, *sys.argv[3:]], env=env, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
