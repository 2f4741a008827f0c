"""By what, on what and from what figures were made."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from threedimo.errors import InvalidModel
from threedimo.version import VERSION

_CPU_FACTS = Path("/proc/cpuinfo")
_CHUNK_BYTES = 1 << 20


def versions() -> dict[str, str]:
    """Versions of everything that may change a figure."""
    packages = ("torch", "diffusers", "transformers", "numpy", "scikit-image", "scipy")
    return {"threedimo": VERSION, "python": platform.python_version()} | {
        name: version(name) for name in packages
    }


def hardware(device: torch.device) -> str:
    """One line about the machine: "2 threads of Intel Xeon ...", or the GPU's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} of {os.cpu_count()} threads of {_processor()}"


def command() -> str:
    """The command line as it was typed, without the folder of the program."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def content_hash(path: Path) -> str:
    """BLAKE2b-128 of a file, or of a folder's files and their names.

    Raises:
        InvalidModel: There are no files.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise InvalidModel("there are no files to name a model by", given=path)
    digest = hashlib.blake2b(digest_size=16)
    for file in files:
        digest.update(file.relative_to(path).as_posix().encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _processor() -> str:
    if _CPU_FACTS.exists():
        for line in _CPU_FACTS.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
