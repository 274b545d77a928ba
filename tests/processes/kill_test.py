#!/usr/bin/env python3
"""Kills, stops and fails one of several processes and looks at how the others end.

    kill_test.py build/tests/alpa_watched MPIRUN...

MPIRUN... is the command that starts N processes, up to and without N.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from waiting import gone  # pylint: disable=wrong-import-position

PROGRAM = sys.argv[1]
MPIRUN = sys.argv[2:]


class Kill(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)

    def start(self, n, *arguments, flags=()):
        self.n = n
        command = [*MPIRUN, str(n), *flags, PROGRAM, self.folder.name, *arguments]
        self.run_ = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pids = {}
        end = time.time() + 30
        while len(self.pids) < n and time.time() < end:
            for r in range(n):
                file = self.path / f"pid-{r}"
                if file.exists() and file.read_text().endswith("\n"):
                    self.pids[r] = int(file.read_text())
            time.sleep(0.05)
        self.assertEqual(len(self.pids), n, "the processes did not start")
        self.addCleanup(self.end_all)
        time.sleep(1)
        self.since = time.time()

    def end_all(self):
        for pid in self.pids.values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.run_.poll() is None:
            self.run_.kill()
            self.run_.communicate()

    # Waits until all processes but those in `stopped` are gone; returns what was printed.
    def ended(self, within, stopped=()):
        while any(not gone(pid) for r, pid in self.pids.items() if r not in stopped):
            self.assertLess(time.time() - self.since, within, "the others still run")
            time.sleep(0.05)
        print(f"{self.id().split('.')[-1]}: ended after {time.time() - self.since:.1f} s", file=sys.stderr)
        for r in stopped:
            try:
                os.kill(self.pids[r], signal.SIGKILL)
            except ProcessLookupError:
                pass
        out, err = self.run_.communicate(timeout=20)
        self.assertNotEqual(self.run_.returncode, 0)
        left = [f.name for f in self.path.glob("half-written-*") if int(f.name.split("-")[-1]) not in stopped]
        return out + err, left

    def ours(self, text):
        return [line for line in text.splitlines() if line.startswith("alpa: ")]

    def test_a_killed_process_ends_the_others_with_a_message(self):
        self.start(3)
        os.kill(self.pids[1], signal.SIGKILL)
        text, left = self.ended(within=10)
        self.assertEqual(len(self.ours(text)), 1, text)
        self.assertIn("process 1 (", self.ours(text)[0])
        self.assertIn("step ", self.ours(text)[0])
        self.assertEqual(left, ["half-written-1"])  # that of the killed one

    def test_the_first_process_may_be_the_killed_one(self):
        self.start(3)
        os.kill(self.pids[0], signal.SIGKILL)
        text, left = self.ended(within=10)
        self.assertEqual(len(self.ours(text)), 1, text)
        self.assertIn("process 0 (", self.ours(text)[0])
        self.assertEqual(left, ["half-written-0"])

    def test_over_tcp(self):
        self.start(3, flags=["--mca", "btl", "tcp,self"])
        os.kill(self.pids[2], signal.SIGKILL)
        text, _ = self.ended(within=10)
        # MPI's own troubles with a lost connection may keep the others from hearing each other, too.
        self.assertGreaterEqual(len(self.ours(text)), 1, text)
        self.assertIn("process 2 (", text)

    def test_a_stopped_process_ends_the_others_with_a_message(self):
        self.start(3)
        os.kill(self.pids[2], signal.SIGSTOP)
        text, left = self.ended(within=10, stopped=[2])
        self.assertEqual(len(self.ours(text)), 1, text)
        self.assertIn("process 2 (", self.ours(text)[0])
        self.assertIn("step ", self.ours(text)[0])
        self.assertEqual(left, [])

    def test_a_hanging_process_is_named(self):
        self.start(3, "2")
        (self.path / "hang-1").touch()
        text, left = self.ended(within=10)
        self.assertEqual(len(self.ours(text)), 1, text)
        self.assertIn("nothing has moved for 2.00 s; these hold the others up:", text)
        self.assertIn("process 1 (", text)
        self.assertNotIn("process 0 (", text)
        self.assertEqual(left, [])

    def test_an_error_of_one_process_ends_all(self):
        self.start(3)
        (self.path / "fail-2").touch()
        text, left = self.ended(within=5)
        self.assertEqual(len(self.ours(text)), 1, text)
        self.assertIn("the disk is full", self.ours(text)[0])
        self.assertEqual(left, [])

    def test_sigterm_to_all_is_no_death(self):
        self.start(2)
        self.run_.terminate()
        text, left = self.ended(within=5)
        self.assertEqual(self.ours(text), ["alpa: ended by SIGTERM"], text)
        self.assertEqual(left, [])

    def test_sigterm_may_be_a_wish(self):
        (self.path / "heed").touch()
        self.start(2)
        self.run_.terminate()  # mpirun passes it on after a second
        self.ended(within=5)
        heeded = sorted(f.name for f in self.path.glob("heeded-*"))
        self.assertEqual(heeded, ["heeded-0", "heeded-1"])

    def test_a_wish_reaches_all_from_one(self):
        (self.path / "heed").touch()
        self.start(2)
        os.kill(self.pids[1], signal.SIGTERM)
        self.ended(within=5)
        heeded = {f.name: f.read_text() for f in self.path.glob("heeded-*")}
        self.assertEqual(set(heeded), {"heeded-0", "heeded-1"})
        self.assertEqual(heeded["heeded-0"], heeded["heeded-1"], "at the same step")
        self.assertEqual(self.run_.returncode, 3)

    def test_a_death_is_no_wish(self):
        (self.path / "heed").touch()
        self.start(3)
        os.kill(self.pids[1], signal.SIGKILL)
        text, _ = self.ended(within=10)
        self.assertEqual(len(self.ours(text)), 1, text)
        self.assertIn("process 1 (", self.ours(text)[0])
        self.assertEqual(list(self.path.glob("heeded-*")), [])

    def test_a_finished_run_says_nothing(self):
        self.start(3)
        (self.path / "finish").touch()
        out, err = self.run_.communicate(timeout=10)
        self.assertEqual((self.run_.returncode, out + err), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
