"""The unit for systemd, judged by systemd itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from threedimo_server.cli import build_parser

UNIT = Path(__file__).parents[2] / "server" / "deploy" / "threedimo.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit_as_it_stands(tmp_path):
    program = "%h/threedimo/.venv/bin/threedimo"
    unit = UNIT.read_text()
    assert program in unit
    # systemd looks for the program: any that is there will do
    (tmp_path / "threedimo.service").write_text(unit.replace(program, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(tmp_path / "threedimo.service")],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_its_command_is_one_of_ours():
    (line,) = (line for line in UNIT.read_text().splitlines() if line.startswith("ExecStart="))
    build_parser().parse_args(line.split()[1:])
