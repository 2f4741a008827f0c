"""Fetch the real video and the real picture that the product test uses, out of pinned packages of PyPI.

They go to `.cache/test-media` and are never committed: `demo.mp4` (a person walking, from sports2d, BSD-3)
and `astronaut.png` (a portrait in the public domain, from scikit-image).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

DEFAULT_FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "test-media"


@dataclass(frozen=True)
class Member:
    """A file inside the wheel of a package."""

    requirement: str
    path: str
    sha256: str


MEMBERS = (
    Member(
        "sports2d==0.8.34",
        "Sports2D/Demo/demo.mp4",
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
    ),
    Member(
        "scikit-image==0.25.2",
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    ),
)


def fetch(member: Member, folder: Path) -> Path:
    """Bring one file into the folder, unless it is there already."""
    target = folder / Path(member.path).name
    if target.is_file() and _hash(target.read_bytes()) == member.sha256:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
        # Wheels of another machine do as well: only their data is wanted.
        command += ["--platform", "manylinux2014_x86_64", "--dest", scratch, member.requirement]
        subprocess.run(command, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(member.path)
    if _hash(content) != member.sha256:
        raise SystemExit(f"{member.path} of {member.requirement} is not the file that the tests know")
    target.write_bytes(content)
    return target


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch the media that the product test uses.")
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT_FOLDER, help="(default: %(default)s)")
    into = parser.parse_args().folder
    for wanted in MEMBERS:
        sys.stdout.write(f"{fetch(wanted, into)}\n")
