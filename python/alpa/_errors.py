"""Errors of alpa as Python exceptions."""
from __future__ import annotations

import linecache
import re

# How options of the program, which its hints name, are called here.
_OPTIONS = [
    (r"--per-microbatch\b", "per_microbatch=True"),
    (r"--batch-args (\d[\d,]*)", r"batch_args=[\1]"),
    (r"--batch-args\b", "batch_args"),
    (r"--batch-dim\b", "batch_dim"),
    (r"--microbatches\b", "microbatches"),
    (r"--memory\b", "memory"),
    (r"--cluster\b", "cluster"),
    (r"--mesh\b", "mesh"),
    (r"--pin\b", "pins"),
    (r"--(stages|schedule|method|layers)\b", r"\1"),
    (r"--devices\b", "devices"),
]
_MOST_LINES = 4


class AlpaError(Exception):
    """What alpa cannot do, and why.

    Attributes:
      message: what happened, and where.
      hint: what can be done about it; may be empty.
      sources: the lines of the user's source that the message names, as (file, line).
    """

    def __init__(self, message: str, hint: str = "") -> None:
        for option, name in _OPTIONS:
            hint = re.sub(option, name, hint)
        self.message = message
        self.hint = hint
        self.sources: list[tuple[str, int]] = []
        for file, line in re.findall(r"(\S+\.py):(\d+)", message):
            place = (file.strip("'\"("), int(line))
            if place not in self.sources:
                self.sources.append(place)
        super().__init__(message)

    def __str__(self) -> str:
        text = self.message
        for file, number in self.sources[:_MOST_LINES]:
            line = linecache.getline(file, number).strip()
            if line:
                text += f"\n  {file}:{number}:  {line}"
        return text + (f"\n  hint: {self.hint}" if self.hint else "")


def from_stderr(text: str) -> AlpaError:
    """The error in what the program wrote: "alpa: MESSAGE", its further lines, and the hint, which is indented."""
    start = max(text.rfind("\nalpa: "), 0 if text.startswith("alpa: ") else -1)
    if start < 0:
        words = f"; its last words:\n{text[-2000:]}" if text.strip() else ""
        return AlpaError("alpa ended without saying why" + words)
    lines = text[start:].strip().removeprefix("alpa: ").splitlines()
    hint = lines.pop().strip() if len(lines) > 1 and lines[-1].startswith("  ") else ""
    return AlpaError("\n".join(lines), hint)
