"""Runs the examples of examples/python."""
import glob
import os
import subprocess
import sys
import unittest

REQUIRES = ["flax", "optax", "equinox"]
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Examples(unittest.TestCase):
    def test_all_run(self):
        examples = sorted(glob.glob(os.path.join(ROOT, "examples", "python", "*.py")))
        self.assertGreaterEqual(len(examples), 5)
        env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}  # they say how many devices they want
        for example in examples:
            with self.subTest(os.path.basename(example)):
                done = subprocess.run([sys.executable, example], env=env, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr[-3000:])


if __name__ == "__main__":
    unittest.main()
