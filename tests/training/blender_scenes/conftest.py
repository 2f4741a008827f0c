"""A file's content without a Blender, and a Blender for those tests that film."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from threedimo_training.blender_scenes.bone_names import BoneMap
from threedimo_training.blender_scenes.inspection import Action, Character, Inspection
from threedimo_training.motion.skeleton import JOINT_NAMES

ROOT = Path(__file__).resolve().parents[3]
BUILD_SCENE = Path(__file__).with_name("programs") / "build_scene.py"


def inspection(actions: dict[str, dict[str, tuple[float, float]]], stem: str = "cast") -> Inspection:
    """A file at 24 frames a second in which people (keys) perform actions between two frames."""
    everything = BoneMap("SMPL", {name: name for name in JOINT_NAMES}, ())
    people = {
        person: Character(person, everything, {name: Action(name, *ends) for name, ends in performed.items()})
        for person, performed in actions.items()
    }
    return Inspection(Path(f"{stem}.blend"), people, 24.0, 7, False)


@pytest.fixture
def standing() -> np.ndarray:
    """(54, 3) joints of somebody who stands, faces -y and spreads the arms; metres."""
    joints = np.zeros((len(JOINT_NAMES), 3))
    centre = {"pelvis": 0.95, "spine1": 1.05, "spine2": 1.15, "spine3": 1.3, "neck": 1.45, "head": 1.55}
    sided = {
        "hip": (0.1, 0.9),
        "knee": (0.1, 0.5),
        "ankle": (0.1, 0.08),
        "foot": (0.1, 0.03),
        "collar": (0.05, 1.4),
        "shoulder": (0.18, 1.42),
        "elbow": (0.45, 1.42),
        "wrist": (0.7, 1.42),
        "hand": (0.78, 1.42),
    }
    for index, name in enumerate(JOINT_NAMES):
        side, _, part = name.partition("_")
        if name in centre:
            joints[index, 2] = centre[name]
        else:
            x, z = sided.get(part, (0.75 + 0.03 * int(part[-1]) if part[-1].isdigit() else 0, 1.42))
            y = (
                -0.02 * ("index", "middle", "ring", "pinky", "thumb").index(part[:-1])
                if part[-1].isdigit()
                else 0
            )
            joints[index] = x if side == "left" else -x, y, z
    return joints


@pytest.fixture(scope="session")
def blender_python() -> Path:
    """A Python with the module bpy."""
    python = ROOT / ".venv-blender" / "5.0" / "bin" / "python"
    assert python.is_file(), f"{python} is not there: make setup-blender makes it"
    return python


@pytest.fixture(scope="session")
def build(blender_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a .blend with `programs/build_scene.py`, once for each choice of variants."""
    folder = tmp_path_factory.mktemp("blends")

    def built(*variants: str) -> Path:
        file = folder / f"{'-'.join(['cast', *sorted(variants)])}.blend"
        if not file.exists():
            command = [str(blender_python), str(BUILD_SCENE), str(file), *variants]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        return file

    return built
