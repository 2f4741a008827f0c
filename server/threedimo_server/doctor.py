"""`threedimo doctor`: what is there, what is not, and the command that mends it.

Notable: every check survives the absence of what it checks, so a broken installation is described in full.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass

from threedimo.errors import ServerUnreachable, ThreeDimoError
from threedimo.model_info import EMBEDDED, read_model_info
from threedimo.version import VERSION
from threedimo.wire.connection import connection_path, home_folder, read_connection

INSTALL = "pip install 'threedimo[server]'"
MIN_FREE_BYTES = 5 * 1024**3
CODECS = ("libx264", "h264", "hevc", "vp9", "av1", "prores")
"""The encoder that results are written with, and the decoders that footage is likely to need."""

_DEVICE_LIMIT_S = 120.0
# In a process of its own: a broken driver may end the process that asks, and this one must not load torch.
_ASK_TORCH = """
import torch
print("cpu:", torch.get_num_threads(), "threads")
for i in range(torch.cuda.device_count()):
    found = torch.cuda.get_device_properties(i)
    print(f"cuda:{i}: {found.name}, {found.total_memory / 1024**3:.0f} GiB")
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        ok: Whether it is as it must be.
        found: What was found.
        remedy: The command or step that mends it, if it is not ok.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Look at everything; takes some seconds, most of them to ask torch for devices."""
    return [
        Check("threedimo", True, f"{VERSION} on Python {platform.python_version()}, {platform.platform()}"),
        *_packages(),
        _devices(),
        _model(),
        _server(),
        _keys(),
        _home(),
        *_codecs(),
    ]


def report_lines(checks: list[Check]) -> list[str]:
    """The checks for a person."""
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    for check in checks:
        lines.append(f"{'ok     ' if check.ok else 'PROBLEM'}  {check.name:{width}}  {check.found}")
        if not check.ok:
            lines.append(f"{'':{width + 11}}mend it with: {check.remedy}")
    problems = sum(not check.ok for check in checks)
    lines.append("all is well" if problems == 0 else f"{problems} problem{'s' if problems > 1 else ''}")
    return lines


def report_json(checks: list[Check]) -> str:
    """The checks for a program: a JSON object with `ok` and `checks`."""
    return json.dumps(
        {"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}, indent=2
    )


def _packages() -> list[Check]:
    requirements = importlib.metadata.requires("threedimo") or []
    wanted = [line for line in requirements if "extra ==" not in line or "'server'" in line.replace('"', "'")]
    return [_package(re.split(r"[^A-Za-z0-9_.\-]", line)[0]) for line in wanted]


def _package(name: str) -> Check:
    try:
        return Check(f"package {name}", True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(f"package {name}", False, "not installed", INSTALL)


def _devices() -> Check:
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH],
            capture_output=True,
            text=True,
            timeout=_DEVICE_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check(
            "devices", False, "torch does not answer", "restart the machine, then update its GPU driver"
        )
    if asked.returncode != 0:
        last_line = asked.stderr.strip().rpartition("\n")[2]
        return Check("devices", False, f"torch cannot be used: {last_line}", INSTALL)
    return Check("devices", True, "; ".join(asked.stdout.split("\n")[:-1]))


def _model() -> Check:
    try:
        info = read_model_info(EMBEDDED)
    except ThreeDimoError as error:
        return Check("embedded model", False, str(error), f"{INSTALL} --force-reinstall")
    found = f"{info.id}, {info.num_frames} frames of {info.width}x{info.height} at {info.fps:g} fps"
    if not info.trained:
        return Check(
            "embedded model",
            False,
            f"{found}, not trained",
            "threedimo serve --model FOLDER_OF_A_TRAINED_ONE",
        )
    return Check("embedded model", True, f"{found}, trained")


def _server() -> Check:
    if not connection_path().exists():
        return Check("server", True, "not running; start it with `threedimo serve`")
    try:
        from threedimo_server.job_run import connected_client
        from threedimo_server.workers import FAILED_MARK

        with connected_client(read_connection()) as client:
            capabilities = client.capabilities
    except ServerUnreachable as error:
        return Check("server", False, str(error), f"rm {connection_path()} && threedimo serve")
    except (ThreeDimoError, ImportError) as error:
        return Check("server", False, str(error), "end the server and start it again: threedimo serve")
    assert capabilities is not None  # a welcomed client has them
    models = ", ".join(model.id for model in capabilities.models) or "no model yet"
    found = f"{capabilities.server_version} runs {models} on {', '.join(capabilities.devices)}"
    if any(FAILED_MARK in device for device in capabilities.devices):
        remedy = "start the server again with a model and a device that work: threedimo serve"
        return Check("server", False, found, remedy)
    return Check("server", True, found)


def _keys() -> Check:
    try:
        from threedimo_server.key_commands import known_keys

        found = known_keys()
    except ImportError as error:
        return Check("keys", False, f"keys cannot be read: {error}", INSTALL)
    except ThreeDimoError as error:
        return Check(
            "keys", False, error.problem + f": {error.given}", error.remedy or "threedimo keys --help"
        )
    return Check("keys", True, found or "none; only this computer reaches the server")


def _home() -> Check:
    home = home_folder()
    existing = next(folder for folder in (home, *home.parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    found = f"{home}, {free / 1024**3:.1f} GiB free"
    if not os.access(existing, os.W_OK):
        return Check(
            "home folder", False, f"{found}, not writable", "export THREEDIMO_HOME=A_WRITABLE_FOLDER"
        )
    if free < MIN_FREE_BYTES:
        wanted = f"at least {MIN_FREE_BYTES // 1024**3} GiB are wanted"
        return Check(
            "home folder", False, f"{found}; {wanted}", "export THREEDIMO_HOME=A_FOLDER_ON_A_LARGER_DISK"
        )
    return Check("home folder", True, found)


def _codecs() -> list[Check]:
    try:
        import av
    except ImportError as error:
        return [Check("video codecs", False, f"PyAV cannot be used: {error}", INSTALL)]
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    return [_codec_check(name, library) for name in CODECS]


def _codec_check(name: str, library: str) -> Check:
    from av import codecs_available

    if name in codecs_available:
        return Check(f"codec {name}", True, f"libavcodec {library}")
    remedy = "pip install --force-reinstall --only-binary av av"
    return Check(f"codec {name}", False, f"missing in libavcodec {library}", remedy)
