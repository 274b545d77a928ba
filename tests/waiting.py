"""What the tests that kill runs share: waiting for something, and for the end of a process."""
import time
from pathlib import Path


def until(process, condition):
    """Waits for the condition; False when the process ends before."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(0.0002)
    return True


def gone(pid):
    """Whether the process has ended, also if nobody has asked for its status yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except FileNotFoundError:
        return True
