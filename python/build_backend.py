"""Builds the Python package (PEP 517), with nothing but Python and ./dev: `pip install .`, `pip wheel .`.

A wheel holds python/alpa and, in alpa/_bin, the program with all libraries that a plain Debian has not: ours, XLA's
(850 MB unpacked), fmt, toml++. It depends on no file of the checkout or of the build cache. Python 3.11 or newer builds
it, 3.10 or newer runs it.

  ALPA_WHEEL_BUILT=1    pack what lies in build/ instead of calling ./dev build first
"""
from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = os.path.join(ROOT, "python", "alpa")
# Libraries that are packed; what else there is belongs to the system: the C and C++ libraries, zlib, and MPI, which has
# to be the one of the mpirun that starts us.
PACKED = re.compile(r"^lib(tensorflow_cc|tensorflow_framework|fmt|tomlplusplus)\.so")
PROGRAM = ["alpa", "libalpa_xla.so", "libalpa_mpi.so"]  # the last where there is MPI
TAG = "py3-none-linux_x86_64"


def project() -> dict:
    """The fields of pyproject.toml that go into a wheel's metadata."""
    import tomllib
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as f:
        return tomllib.load(f)["project"]


def metadata(about: dict) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {about['name']}", f"Version: {about['version']}",
             f"Summary: {about['description']}", f"Requires-Python: {about['requires-python']}"]
    lines += [f"Requires-Dist: {d}" for d in about["dependencies"]]
    lines += [f"Classifier: {c}" for c in about["classifiers"]]
    with open(os.path.join(ROOT, about["readme"]), encoding="utf-8") as f:
        return "\n".join(lines) + "\nDescription-Content-Type: text/markdown\n\n" + f.read()


def info_folder(about: dict) -> str:
    return f"{about['name']}-{about['version']}.dist-info"


def info_files(about: dict) -> dict[str, str]:
    folder = info_folder(about)
    scripts = "".join(f"{name} = {target}\n" for name, target in about["scripts"].items())
    return {
        f"{folder}/METADATA": metadata(about),
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nGenerator: alpa\nRoot-Is-Purelib: false\nTag: {TAG}\n",
        f"{folder}/entry_points.txt": f"[console_scripts]\n{scripts}",
    }


def call(*command: str, **options) -> str:
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options).stdout


def only_beside(program: bytes) -> bytes:
    """The program with its way to libraries cut behind its own folder ("$ORIGIN:/the/cache" is how it was built)."""
    return re.sub(rb"\0\$ORIGIN:[^\0]*\0", lambda m: b"\0$ORIGIN" + bytes(len(m[0]) - 8), program)


def stage(folder: str) -> None:
    """Puts the program and its libraries into `folder`."""
    if not os.environ.get("ALPA_WHEEL_BUILT"):
        subprocess.run(["./dev", "build", "release", "alpa", "alpa_mpi"], check=True, cwd=ROOT, stdout=sys.stderr)
    program = [file for file in PROGRAM if os.path.exists(os.path.join(ROOT, "build", file))]
    if program[:2] != PROGRAM[:2]:
        raise RuntimeError("build/ has no program: ./dev build")
    for file in program:
        with open(os.path.join(ROOT, "build", file), "rb") as f:
            data = only_beside(f.read())
        with open(os.path.join(folder, file), "wb") as f:
            f.write(data)
        shutil.copymode(os.path.join(ROOT, "build", file), os.path.join(folder, file))
    with open(os.path.join(ROOT, "build", "CMakeCache.txt")) as f:
        cache = re.search(r"^ALPA_DEPS:PATH=(.*)$", f.read(), re.M).group(1)
    for file in program:
        # As the build finds them: the copies have lost the way to the cache.
        linked = call("ldd", os.path.join(ROOT, "build", file))
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", linked, re.M):
            target = os.path.join(folder, name)
            if PACKED.match(name) and not os.path.exists(target):
                try:
                    os.link(os.path.realpath(path), target)  # XLA's is large
                except OSError:
                    shutil.copy2(os.path.realpath(path), target)
    for notices in sorted(os.listdir(cache)):
        source = os.path.join(cache, notices, "THIRD_PARTY_NOTICES.txt")
        if notices.startswith("xla-") and os.path.exists(source):
            shutil.copy2(source, os.path.join(folder, "THIRD_PARTY_NOTICES.txt"))
    missing = [line for file in sorted(os.listdir(folder)) if os.access(os.path.join(folder, file), os.X_OK)
               for line in call("ldd", os.path.join(folder, file)).splitlines()
               if "not found" in line and "libmpi" not in line]
    if missing:
        raise RuntimeError("libraries of the wheel are not found: " + "; ".join(missing))


class Wheel:
    """A wheel that is being written."""

    def __init__(self, path: str) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._record: list[tuple[str, str, int]] = []

    def add(self, name: str, source: str) -> None:
        """The file `source`, executable if it is."""
        info = zipfile.ZipInfo(name)
        info.external_attr = (0o100755 if os.access(source, os.X_OK) else 0o100644) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        info.file_size = os.path.getsize(source)
        digest, size = hashlib.sha256(), 0
        with open(source, "rb") as f, self._zip.open(info, "w") as out:
            while block := f.read(1 << 20):
                digest.update(block)
                size += len(block)
                out.write(block)
        self._note(name, digest.digest(), size)

    def add_text(self, name: str, text: str) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o100644 << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        data = text.encode()
        self._zip.writestr(info, data)
        self._note(name, hashlib.sha256(data).digest(), len(data))

    def _note(self, name: str, digest: bytes, size: int) -> None:
        self._record.append((name, "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), size))

    def close(self, folder: str) -> None:
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerows(self._record)
        rows.writerow((f"{folder}/RECORD", "", ""))
        self._zip.writestr(f"{folder}/RECORD", out.getvalue())
        self._zip.close()


def sources() -> list[str]:
    return sorted(f for f in os.listdir(PACKAGE) if f.endswith(".py") or f == "py.typed")


# ---- what pip calls

def build_wheel(wheel_directory: str, config_settings=None, metadata_directory=None) -> str:
    about = project()
    name = f"{about['name']}-{about['version']}-{TAG}.whl"
    with tempfile.TemporaryDirectory(dir=wheel_directory) as folder:
        stage(folder)
        wheel = Wheel(os.path.join(wheel_directory, name))
        for file in sources():
            wheel.add(f"alpa/{file}", os.path.join(PACKAGE, file))
        for file in sorted(os.listdir(folder)):
            wheel.add(f"alpa/_bin/{file}", os.path.join(folder, file))
        for path, text in info_files(about).items():
            wheel.add_text(path, text)
        wheel.close(info_folder(about))
    return name


def build_editable(wheel_directory: str, config_settings=None, metadata_directory=None) -> str:
    """`pip install -e .`: the checkout's files; the program is the one in build/."""
    about = project()
    name = f"{about['name']}-{about['version']}-{TAG}.whl"
    if not os.environ.get("ALPA_WHEEL_BUILT"):
        subprocess.run(["./dev", "build", "release", "alpa", "alpa_mpi"], check=True, cwd=ROOT, stdout=sys.stderr)
    wheel = Wheel(os.path.join(wheel_directory, name))
    wheel.add_text("alpa.pth", os.path.join(ROOT, "python") + "\n")
    for path, text in info_files(about).items():
        wheel.add_text(path, text)
    wheel.close(info_folder(about))
    return name


def build_sdist(sdist_directory: str, config_settings=None) -> str:
    about = project()
    base = f"{about['name']}-{about['version']}"
    files = call("git", "ls-files", "-z").split("\0")
    with tarfile.open(os.path.join(sdist_directory, base + ".tar.gz"), "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for file in filter(None, files):
            tar.add(os.path.join(ROOT, file), f"{base}/{file}")
        data = metadata(about).encode()
        entry = tarfile.TarInfo(f"{base}/PKG-INFO")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return base + ".tar.gz"


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings=None) -> str:
    about = project()
    for path, text in info_files(about).items():
        target = os.path.join(metadata_directory, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as f:
            f.write(text)
    return info_folder(about)


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel
