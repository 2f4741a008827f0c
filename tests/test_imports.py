"""What an import brings along, seen in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "diffusers", "transformers", "bpy", "av", "PIL"}


@pytest.mark.parametrize(
    "module",
    [
        "threedimo",
        "threedimo.errors",
        "threedimo.camera",
        "threedimo.wire",
        "threedimo.wire.client",
        "threedimo.model_info",
        "threedimo.applications",
        "threedimo_server.cli",
        "threedimo_server.front",
    ],
)
def test_light_modules_stay_light(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_public_names_of_the_library_load_on_demand():
    code = "import sys, threedimo; threedimo.CameraPath; print(*sys.modules); print(*dir(threedimo))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules, names = done.stdout.splitlines()
    assert "torch" not in modules.split()
    assert "MotionTransferPipeline" in names.split()
