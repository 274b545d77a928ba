"""The wheel of the package: built from what is built, installed, and used without the checkout."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

USE = """
import jax, jax.numpy as jnp, alpa
assert alpa.__file__.startswith({folder!r}), alpa.__file__
def step(w, x):
    value, grad = jax.value_and_grad(lambda w: jnp.mean((x @ w) ** 2))(w)
    return w - 0.1 * grad, value
args = jnp.ones((8, 8)), jnp.ones((16, 8))
train = alpa.parallelize(step, mesh="2")
w, value = train(*args)
w, value = train(w, args[1])
print("loss", float(value), float(jax.jit(step)(jax.jit(step)(*args)[0], args[1])[1]))
"""


class Wheel(unittest.TestCase):
    def test_built_installed_used(self):
        sys.path.insert(0, os.path.join(ROOT, "python"))
        import build_backend
        os.environ["ALPA_WHEEL_BUILT"] = "1"
        with tempfile.TemporaryDirectory() as folder:
            name = build_backend.build_wheel(folder)
            self.assertRegex(name, r"^alpa-[\d.]+-py3-none-linux_x86_64\.whl$")
            site = os.path.join(folder, "site")
            # As pip would, which a virtual environment without an index may not have.
            subprocess.run([sys.executable, "-m", "zipfile", "-e", os.path.join(folder, name), site], check=True)
            os.unlink(os.path.join(folder, name))
            programs = os.path.join(site, "alpa", "_bin")
            os.chmod(os.path.join(programs, "alpa"), 0o755)  # zipfile keeps no modes; pip does
            for file in glob.glob(os.path.join(programs, "*")):
                self.check_libraries(file, programs)
            env = {k: v for k, v in os.environ.items() if not k.startswith("ALPA_")}
            env.update(PYTHONPATH=site, XDG_CACHE_HOME=os.path.join(folder, "cache"))
            done = subprocess.run([sys.executable, "-c", USE.format(folder=site)], env=env, cwd=folder,
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            ours, theirs = map(float, done.stdout.split()[1:])
            self.assertAlmostEqual(ours, theirs, places=4)

    def check_libraries(self, file, programs):
        """All of them lie beside it or belong to the system."""
        done = subprocess.run(["ldd", file], capture_output=True, text=True)
        for name, path in re.findall(r"^\s*(\S+) => (\S+)", done.stdout, re.M):
            beside = os.path.dirname(path) == programs
            self.assertTrue(beside or path.startswith(("/lib", "/usr/lib")) or "mpi" in name,
                            f"{os.path.basename(file)} needs {name}, found at {path}")
        text = subprocess.run(["readelf", "-d", file], capture_output=True, text=True).stdout
        if re.search(r"libalpa|/alpa$", file):
            self.assertIn("[$ORIGIN]", text)


if __name__ == "__main__":
    unittest.main()
