"""What renderers refuse, and that importing them compiles nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from threedimo.errors import InvalidBody, InvalidCameraPath, InvalidMotion, UnsupportedSize
from threedimo_training.motion.skeleton import Posed
from threedimo_training.renderers.compiled import forget_outdated
from threedimo_training.renderers.scene import make_scene


@pytest.fixture
def shot(studio, person):
    """Arguments of a call that works."""
    return {
        "person": person,
        "posed": studio.stand(person, 2),
        "scene": make_scene(0),
        "world_from_camera": studio.around(2),
        "intrinsics": studio.lens(2, 16, 16),
        "width": 16,
        "height": 16,
    }


def test_sizes_out_of_range_are_refused(renderer, shot):
    for width in (0, -3, 5000):
        with pytest.raises(UnsupportedSize, match="1 to 4096"):
            renderer.render(**shot | {"width": width})


def test_cameras_without_a_lens_each_are_refused(renderer, shot):
    with pytest.raises(InvalidCameraPath, match="one matrix per frame"):
        renderer.render(**shot | {"intrinsics": shot["intrinsics"][:1]})
    with pytest.raises(InvalidCameraPath, match="one matrix per frame"):
        renderer.render(**shot | {"world_from_camera": shot["world_from_camera"][:, :3]})
    with pytest.raises(InvalidCameraPath, match="at least one frame"):
        renderer.render(**shot | {name: shot[name][:0] for name in ("world_from_camera", "intrinsics")})


@pytest.mark.parametrize(
    ("place", "value", "words"), [((0, 2, 3), np.nan, "finite"), ((1, 2, 3), -0.2, "under the floor")]
)
def test_impossible_cameras_are_refused(renderer, shot, place, value, words):
    cameras = shot["world_from_camera"].copy()
    cameras[place] = value
    with pytest.raises(InvalidCameraPath, match=words):
        renderer.render(**shot | {"world_from_camera": cameras})


def test_lenses_that_mirror_are_refused(renderer, shot):
    with pytest.raises(InvalidCameraPath, match="positive"):
        renderer.render(**shot | {"intrinsics": -shot["intrinsics"]})


def test_poses_that_do_not_fit_are_refused(renderer, shot):
    posed = shot["posed"]
    with pytest.raises(InvalidMotion, match="one pose for each camera frame"):
        renderer.render(**shot | {"posed": Posed(posed.rotations[:1], posed.positions[:1])})
    with pytest.raises(InvalidMotion, match="not finite"):
        renderer.render(**shot | {"posed": Posed(posed.rotations, np.full_like(posed.positions, np.inf))})


@pytest.mark.parametrize("name", ["normals", "weights", "materials", "tints", "hands", "along"])
def test_arrays_of_another_length_are_refused(renderer, shot, name):
    person = shot["person"]
    with pytest.raises(InvalidBody, match=f"contradict each other.*{name}"):
        renderer.render(**shot | {"person": replace(person, **{name: getattr(person, name)[1:]})})


@pytest.mark.parametrize(
    ("name", "value"), [("faces", 10**6), ("faces", -1), ("bones", 54), ("materials", 5)]
)
def test_numbers_that_point_nowhere_are_refused(renderer, shot, name, value):
    array = getattr(shot["person"], name).copy().astype(np.int32)
    array[0] = value
    with pytest.raises(InvalidBody, match=f"{name} of capsules point outside"):
        renderer.render(**shot | {"person": replace(shot["person"], **{name: array})})


def test_importing_compiles_nothing():
    code = (
        "from threedimo_training.renderers import cpu_person, cpu_raster, cpu_surroundings as around\n"
        "kernels = [cpu_person.shade_person, cpu_raster.draw, cpu_raster.skin, around.shade_surroundings]\n"
        "assert all(not kernel.signatures for kernel in kernels)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_compiled_loops_of_other_sources_are_forgotten(tmp_path):
    source, cache = tmp_path / "kernels.py", tmp_path / "cache"
    source.write_text("GAIN = 1")
    cache.mkdir()
    forget_outdated(cache, [source])
    index = cache / "kernels.draw.nbi"
    index.touch()
    forget_outdated(cache, [source])
    assert index.exists()
    source.write_text("GAIN = 2")
    forget_outdated(cache, [source])
    assert not index.exists()
