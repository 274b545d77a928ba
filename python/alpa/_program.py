"""The program `alpa`: where it is, and how it is run."""
from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import sys
import threading
from typing import Any

from ._errors import AlpaError, from_stderr

# XLA's remarks about itself.
_NOISE = re.compile(r"WARNING: All log messages before absl|[IW]\d{4} \d\d")

_HERE = os.path.dirname(os.path.abspath(__file__))


def find_program() -> str:
    """What ALPA_PROGRAM says, else the one of this package, of the checkout that it lies in, or on the PATH."""
    given = os.environ.get("ALPA_PROGRAM")
    if given:
        return given
    beside = os.path.join(_HERE, "_bin", "alpa")
    checkout = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "build", "alpa")
    for candidate in beside, checkout:
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    found = shutil.which("alpa")
    if found is None:
        raise AlpaError(f"the program alpa is not there: looked at {beside}, {checkout} and the PATH",
                        "install the package with pip, build the checkout with ./dev build, or set ALPA_PROGRAM")
    return found


class Forwarder(threading.Thread):
    """Passes on what a process writes to standard error, and remembers the end of it."""

    def __init__(self, stream: Any, show: bool) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._show = show
        self._error = False
        self._last: collections.deque[str] = collections.deque(maxlen=200)
        self.start()

    def run(self) -> None:
        for line in self._stream:
            if _NOISE.match(line):
                continue
            self._last.append(line)
            if self._show and line.strip() and not self._in_error(line):
                sys.stderr.write(line)
                sys.stderr.flush()
        self._stream.close()

    def _in_error(self, line: str) -> bool:
        """Errors are not shown here: they are raised."""
        self._error = self._error or line.startswith("alpa: ")
        return self._error

    def text(self) -> str:
        """All there was, once the process has ended."""
        self.join(timeout=5)
        return "".join(self._last)


def run(arguments: list[str], progress: bool = False) -> str:
    """Runs `alpa ARGUMENTS` and returns what it prints.

    progress: its progress is passed on to standard error. Raises AlpaError with its message when it fails.
    """
    with subprocess.Popen([find_program(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace") as process:
        said = Forwarder(process.stderr, progress)
        assert process.stdout is not None
        try:
            out = process.stdout.read()
            status = process.wait()
        except BaseException:
            process.kill()
            raise
    if status == 0:
        return out
    error = from_stderr(said.text())
    if status < 0:
        error = AlpaError(f"alpa {arguments[0]} was ended by signal {-status}: {error.message}", error.hint)
    raise error


def main() -> None:
    """The command `alpa` of the package: the program itself."""
    try:
        program = find_program()
    except AlpaError as error:
        sys.exit(f"alpa: {error}")
    os.execv(program, [program, *sys.argv[1:]])


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"alpa: {text}\n")
    sys.stderr.flush()
