"""Build the Blender extension: `dist/threedimo-<version>.zip`, self-contained for every platform.

The zip holds the add-on, pinned wheels of pyzmq and msgspec, and one more wheel, made here, with the light
part of the library (errors, version, wire, camera). A wheel rather than a copy inside the add-on, because
Blender installs wheels so that `import threedimo` works as everywhere else: one copy of the code in git, no
rewritten imports and no changes to `sys.path`.

Blender's own tool packs and validates the zip, with Blender's list of tags. Downloads are kept in
`.cache/extension-wheels`; with those at hand the build needs no network.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDON = ROOT / "blender_addon"
PINS = ROOT / "constraints-extension.txt"
WHEEL_CACHE = ROOT / ".cache" / "extension-wheels"

LIBRARY_FILES = ("threedimo/__init__.py", "threedimo/errors.py", "threedimo/version.py", "threedimo/py.typed")
LIBRARY_ROOMS = ("threedimo/wire", "threedimo/camera")

LICENSE = "SPDX:GPL-3.0-or-later"
MAX_ZIP_BYTES = 20_000_000
PYTHONS = ("3.11", "3.13")
# What pip may take for each of Blender's platforms, newest first.
PLATFORMS = {
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_10_15_x86_64", "macosx_10_13_x86_64", "macosx_10_9_x86_64"),
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_26_x86_64", "manylinux2014_x86_64"),
}
# The same source gives the same wheel: zip entries carry this date instead of today's.
_ZIP_DATE = (2020, 1, 1, 0, 0, 0)


def version() -> str:
    """The version of the library, the server and the extension."""
    return runpy.run_path(str(ROOT / "threedimo" / "version.py"))["VERSION"]


def build_library_wheel(folder: Path) -> Path:
    """Write the light part of the library as a wheel for any platform and Python 3."""
    info = f"threedimo-{version()}.dist-info"
    files = [ROOT / name for name in LIBRARY_FILES]
    files += sorted(path for room in LIBRARY_ROOMS for path in (ROOT / room).rglob("*.py"))
    contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in files}
    contents[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.4\nName: threedimo\nVersion: {version()}\nLicense-Expression: Apache-2.0\n"
        "License-File: LICENSE\nSummary: The wire protocol and the cameras of 3DiMo\n"
    ).encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: build_extension\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    contents[f"{info}/licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    rows = [f"{name},sha256={_record_hash(data)},{len(data)}" for name, data in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    wheel = folder / f"threedimo-{version()}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), data, zipfile.ZIP_DEFLATED)
    return wheel


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def pinned_wheels() -> list[Path]:
    """The wheels that `constraints-extension.txt` lists, downloaded where the cache lacks them."""
    pinned = set(re.findall(r"sha256:([0-9a-f]{64})", PINS.read_text()))
    wheels = _cached(pinned)
    if len(wheels) < len(pinned):
        _download()
        wheels = _cached(pinned)
    if len(wheels) != len(pinned):
        raise SystemExit(f"{PINS.name} lists {len(pinned)} wheels, but {len(wheels)} of them were found")
    return sorted(wheels)


def _cached(pinned: set[str]) -> list[Path]:
    WHEEL_CACHE.mkdir(parents=True, exist_ok=True)
    return [
        wheel
        for wheel in WHEEL_CACHE.glob("*.whl")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() in pinned
    ]


def _download() -> None:
    for python in PYTHONS:
        for platforms in PLATFORMS.values():
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version", python]
            command += [part for platform in platforms for part in ("--platform", platform)]
            subprocess.run([*command, "-r", str(PINS), "-d", str(WHEEL_CACHE)], check=True)


def blender_tool(blender: Path) -> tuple[Path, Path]:
    """Blender's extension tool and its list of tags, inside an environment that has the module `bpy`."""
    tools = list(blender.glob("[lL]ib/**/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    if len(tools) != 1:
        raise SystemExit(f"{blender} is not an environment with the module bpy: make blender-env makes one")
    scripts = tools[0].parents[3]
    return tools[0], scripts / "modules" / "_bpy_internal" / "extensions" / "tags.py"


def stage(folder: Path) -> None:
    """Copy the add-on, put the wheels beside it, and name them in the manifest."""
    shutil.copytree(ADDON, folder, ignore=shutil.ignore_patterns("__pycache__"))
    wheels = folder / "wheels"
    wheels.mkdir()
    names = [build_library_wheel(wheels).name]
    names += [Path(shutil.copy(wheel, wheels)).name for wheel in pinned_wheels()]
    manifest = folder / "blender_manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    check_manifest(tomllib.loads(text))
    listed = "".join(f'    "./wheels/{name}",\n' for name in names)
    # Before the first table: what comes after one belongs to it.
    head, table, rest = text.partition("[permissions]")
    manifest.write_text(f"{head}wheels = [\n{listed}]\n\n{table}{rest}", encoding="utf-8")


def check_manifest(manifest: dict[str, object]) -> None:
    """Refuse what Blender's tool lets pass: another licence, another version, wheels for other platforms."""
    for key, wanted in (("license", [LICENSE]), ("version", version()), ("platforms", list(PLATFORMS))):
        if manifest.get(key) != wanted:
            raise SystemExit(f"blender_manifest.toml: {key} is {manifest.get(key)!r} instead of {wanted!r}")


def build(blender: Path, output: Path) -> Path:
    """Build and validate the zip."""
    tool, tags = blender_tool(blender)
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"threedimo-{version()}.zip"
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "threedimo"
        stage(source)
        packed = Path(scratch) / target.name
        _run(tool, "build", f"--source-dir={source}", f"--output-filepath={packed}", f"--valid-tags={tags}")
        _run(tool, "validate", f"--valid-tags={tags}", str(packed))
        if packed.stat().st_size > MAX_ZIP_BYTES:
            raise SystemExit(f"the zip has {packed.stat().st_size} bytes, more than {MAX_ZIP_BYTES}")
        shutil.move(packed, target)
    return target


def _run(tool: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(tool), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"Blender's extension tool refused {arguments[0]}:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Build the Blender extension as one zip for all platforms.")
    parser.add_argument(
        "--blender",
        type=Path,
        default=ROOT / ".venv-blender" / "4.2",
        help="environment with the module bpy, whose extension tool packs the zip (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder (default: %(default)s)")
    options = parser.parse_args()
    target = build(options.blender.absolute(), options.output)
    sys.stdout.write(f"{target} ({target.stat().st_size / 1e6:.1f} MB)\n")


if __name__ == "__main__":
    main()
