"""Pythons that have the pinned JAX: virtual environments in alpa's cache, for tests and benchmarks."""
import fcntl
import os
import shutil
import subprocess
import sys
import time

JAX = "0.10.0"
VERSIONS = {"flax": "0.12.8", "optax": "0.2.8", "equinox": "0.13.8"}
TRY_AGAIN_S = 1800


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.abspath(os.environ.get("ALPA_CACHE") or os.path.join(home, "alpa"))


def python_with(libraries, remember_failure=False):
    """The python of an environment with JAX and these, made when it is not there; None when it cannot be made.

    remember_failure: do not try again for a while. Where there is no package index each try takes its time.
    """
    folder = os.path.join(cache(), "python-venv" if libraries else "jax-venv")
    python = os.path.join(folder, "bin", "python")
    imports = ", ".join(["jax", "numpy", *libraries])
    probe = [python, "-c", f"import {imports}; assert jax.__version__ == '{JAX}'"]
    failed = folder + ".failed"
    os.makedirs(cache(), exist_ok=True)
    with open(os.path.join(cache(), "python-venv.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run beside each other
        if os.path.exists(python) and subprocess.run(probe, capture_output=True).returncode == 0:
            return python
        if remember_failure and os.path.exists(failed) and time.time() - os.path.getmtime(failed) < TRY_AGAIN_S:
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
            if os.path.exists(failed):
                os.remove(failed)
        else:
            open(failed, "w").close()
        shutil.rmtree(new, ignore_errors=True)
        return python if made and subprocess.run(probe).returncode == 0 else None
