#!/usr/bin/env python3
"""alpa doctor from outside: doctor_test.py ALPA."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

ALPA = os.path.abspath(sys.argv[1])


def doctor(*words, **environment):
    env = {k: v for k, v in {**os.environ, **environment}.items() if v is not None}
    return subprocess.run([ALPA, "doctor", *map(str, words)], capture_output=True, text=True, env=env)


def findings(done):
    return {f["what"]: f for f in json.loads(done.stdout)}


class Doctor(unittest.TestCase):
    def test_a_good_machine(self):
        done = doctor()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for text in ("processor", "memory", "XLA        loads in", "8 virtual CPU devices compute, and sum up", "MPI", "cache",
                     "This machine can plan and train."):
            self.assertIn(text, done.stdout)

    def test_no_engine(self):
        done = doctor("--json", ALPA_XLA_LIBRARY="/nowhere/libalpa_xla.so")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(findings(done)["XLA"]["verdict"], "wrong")
        self.assertIn("./dev build", findings(done)["XLA"]["todo"])
        self.assertIn("alpa: XLA: the XLA engine /nowhere/libalpa_xla.so is missing", done.stderr)

    def test_what_is_missing_is_named_with_what_to_do(self):
        with tempfile.TemporaryDirectory() as empty:
            done = doctor("--json", "-n", 2, PATH=empty, HOME=None, XDG_CACHE_HOME=None)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = findings(done)
            self.assertEqual((found["MPI"]["verdict"], found["MPI"]["found"]), ("note", "there is no mpirun"))
            self.assertIn("openmpi-bin", found["MPI"]["todo"])
            self.assertEqual(found["cache"]["verdict"], "note")
            self.assertIn("2 virtual CPU devices", found["devices"]["found"])
        found = findings(doctor("--json", "-n", 1, ALPA_MPI_LIBRARY="/nowhere/libalpa_mpi.so"))
        self.assertIn("/nowhere/libalpa_mpi.so is missing", found["MPI"]["found"])

    def test_a_plugin_that_is_none(self):
        done = doctor("--json", "-n", 1, "--backend", __file__)
        self.assertEqual(done.returncode, 2)
        self.assertEqual(findings(done)["plugin"]["verdict"], "wrong")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
