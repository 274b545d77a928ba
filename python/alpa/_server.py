"""A process `alpa serve`, and what is said to it (src/alpa/driver/serve.h)."""
from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import threading
from typing import Any, Callable, Sequence

import ml_dtypes
import numpy as np

from . import _program
from ._errors import AlpaError, from_stderr

_TYPES = {"pred": np.bool_, "s8": np.int8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "u8": np.uint8,
          "u16": np.uint16, "u32": np.uint32, "u64": np.uint64, "f16": np.float16, "f32": np.float32, "f64": np.float64,
          "c64": np.complex64, "c128": np.complex128, "bf16": ml_dtypes.bfloat16, "s4": ml_dtypes.int4,
          "u4": ml_dtypes.uint4, "f8e5m2": ml_dtypes.float8_e5m2, "f8e4m3fn": ml_dtypes.float8_e4m3fn,
          "f8e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz, "f8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
          "f8e4m3fnuz": ml_dtypes.float8_e4m3fnuz}


_AFTER_THE_END = "the state on the devices is lost; call parallelize again, with a state that was kept"


class Array:
    """An input or output of the model, as the server says it is."""

    def __init__(self, entry: dict) -> None:
        if entry["dtype"] not in _TYPES:
            raise AlpaError(f"arrays of type {entry['dtype']} cannot be handed over to the devices")
        self.dtype = np.dtype(_TYPES[entry["dtype"]])
        self.shape = tuple(entry["shape"])
        self.name: str = entry.get("name", "")
        self.state: bool = entry["role"] != "batch" and entry["role"] != "result"
        self.partner: int = entry.get("updated_by", entry.get("updates", -1))
        self.bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


class Server:
    """The devices of a step, in a process of their own. Safe to use from several threads, one request at a time."""

    def __init__(self, arguments: Sequence[str], progress: bool = False) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: a Ctrl-C in the terminal is for Python, which decides what becomes of the server.
            self._process = subprocess.Popen(
                [_program.find_program(), "serve", *arguments, "--fd", str(theirs.fileno())], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
                pass_fds=[theirs.fileno()], start_new_session=True)
        self._socket = ours
        self._said = _program.Forwarder(self._process.stderr, progress)
        self._lock = threading.Lock()
        self._broken: str | None = None
        self._owner = os.getpid()
        try:
            with self._lock:
                greeting, _ = self._receive()
        except BaseException:
            self.close()
            raise
        self.inputs = [Array(e) for e in greeting["inputs"]]
        self.outputs = [Array(e) for e in greeting["outputs"]]
        self.loss: int = greeting["loss"]
        self.devices: int = greeting["devices"]
        self.plan: str = greeting.get("plan", "")  # that was chosen by measuring, in words

    # ---- requests

    def set_state(self, values: dict[int, np.ndarray]) -> None:
        """Puts values of state inputs onto the devices; the first time all, which compiles the step."""
        self._ask({"op": "state", "inputs": sorted(values)}, [values[i] for i in sorted(values)])

    def step(self, batch: dict[int, np.ndarray]) -> tuple[dict[int, np.ndarray], float]:
        """Runs a step on these batch inputs, the others being as before. Small results, and seconds."""
        answer, payload = self._ask({"op": "step", "inputs": sorted(batch)}, [batch[i] for i in sorted(batch)])
        return dict(zip(answer["outputs"], _split(payload, [self.outputs[o] for o in answer["outputs"]]))), \
            answer["seconds"]

    def fetch(self, inputs: Sequence[int] = (), outputs: Sequence[int] = ()) -> list[np.ndarray]:
        """Present values of state inputs, and results of the last step."""
        _, payload = self._ask({"op": "fetch", "inputs": list(inputs), "outputs": list(outputs)}, [])
        return _split(payload, [*(self.inputs[i] for i in inputs), *(self.outputs[o] for o in outputs)])

    def check(self) -> None:
        """Raises what ended the process, if it has ended."""
        if self._broken is not None:
            raise AlpaError(self._broken, _AFTER_THE_END)

    def close(self) -> None:
        """Ends the process."""
        if os.getpid() != self._owner:  # of a fork: not ours to end
            self._socket.close()
            return
        self._broken = self._broken or "the devices were closed"
        self._socket.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __del__(self) -> None:
        if hasattr(self, "_broken"):
            try:
                self.close()
            except Exception:  # the interpreter is ending
                pass

    # ---- messages

    def _ask(self, request: dict, arrays: list[np.ndarray]) -> tuple[dict, memoryview]:
        with self._lock:
            self.check()
            with _DeferInterrupt(self._give_up):
                self._send(request, arrays)
                return self._receive()

    def _give_up(self) -> None:
        self._broken = "the step was interrupted before its end"
        self._process.kill()

    def _send(self, request: dict, arrays: list[np.ndarray]) -> None:
        parts = [np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in arrays]
        text = json.dumps(request).encode()
        try:
            self._socket.sendall(struct.pack("<QQ", len(text), sum(p.size for p in parts)) + text)
            for part in parts:
                self._socket.sendall(part.data)
        except OSError:
            raise self._died() from None

    def _receive(self) -> tuple[dict, memoryview]:
        head = self._read(16)
        text_size, payload_size = struct.unpack("<QQ", head)
        answer = json.loads(bytes(self._read(text_size)))
        payload = self._read(payload_size)
        if "error" in answer:
            raise AlpaError(answer["error"]["message"], answer["error"]["hint"])
        return answer, payload

    def _read(self, size: int) -> memoryview:
        buffer = bytearray(size)
        view, done = memoryview(buffer), 0
        while done < size:
            try:
                n = self._socket.recv_into(view[done:])
            except OSError:
                n = 0
            if n == 0:
                raise self._died()
            done += n
        return view

    def _died(self) -> AlpaError:
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if self._broken is not None:
            return AlpaError(self._broken, _AFTER_THE_END)
        words = self._said.text().strip()
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        if words.startswith("alpa: ") and "\n" not in words:
            words = from_stderr(words).message
        self._broken = f"the process with the devices {how}" + (
            f"; its last words:\n{words[-2000:]}" if words else ", without a word")
        return AlpaError(self._broken, _AFTER_THE_END)


class _DeferInterrupt:
    """Within, a Ctrl-C waits until the end, so that no answer is left half read; a second one calls `give_up`."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._caught: list = []
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # only there signals are handled
            self._before = signal.getsignal(signal.SIGINT)
            if callable(self._before):
                signal.signal(signal.SIGINT, self._catch)

    def _catch(self, *signal_and_frame: Any) -> None:
        if self._caught:
            self._give_up()
        self._caught = list(signal_and_frame)

    def __exit__(self, *_: Any) -> None:
        if callable(self._before):
            signal.signal(signal.SIGINT, self._before)
            if self._caught:
                self._before(*self._caught)


def _split(payload: memoryview, arrays: list[Array]) -> list[np.ndarray]:
    out, at = [], 0
    for array in arrays:
        piece = np.frombuffer(payload[at:at + array.bytes], dtype=np.uint8)
        out.append(piece.view(array.dtype).reshape(array.shape))
        at += array.bytes
    return out
