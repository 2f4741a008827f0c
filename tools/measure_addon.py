"""Measure what the Blender extension costs: reading a camera, its overlay, what the panel asks, a tick.

Run with the Python of a Blender environment, after `make extension`:

    .venv-blender/5.0/bin/python tools/measure_addon.py

Times are of the processor, so that other programs that run beside it count little.
"""

from __future__ import annotations

import importlib
import math
import os
import runpy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NUM_FRAMES = 120
REPEATS = 31


def main() -> None:
    """Install the zip into an empty user folder, measure, and print a line a figure."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BLENDER_USER_RESOURCES"] = folder
        os.environ["THREEDIMO_HOME"] = str(Path(folder) / "home")
        # The library comes out of the zip, as in a user's Blender.
        sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
        bpy = importlib.import_module("bpy")
        version = runpy.run_path(str(ROOT / "threedimo" / "version.py"))["VERSION"]
        bpy.ops.extensions.package_install_files(
            filepath=str(ROOT / "dist" / f"threedimo-{version}.zip"),
            repo="user_default",
            enable_on_install=True,
        )
        measure(bpy, lambda name: importlib.import_module(f"bl_ext.user_default.threedimo.{name}"))
        sys.stdout.flush()
        os._exit(0)  # bpy 4.2 crashes in its own end if any operator in Python is registered


def measure(bpy, addon) -> None:
    """Measure in a light and in a heavy scene.

    Args:
        bpy: Blender.
        addon: Gives a module of the add-on by its name.
    """
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, NUM_FRAMES
    camera = make_rig(bpy, scene)
    say(f"Blender {bpy.app.version_string}, {REPEATS} runs each, milliseconds of processor time")
    sample = addon("scene_camera").sample_camera
    report(f"read {NUM_FRAMES} frames of a camera", lambda: sample(scene, camera))
    add_heavy_object(bpy, scene)
    report("the same in a scene of 1.3 million faces", lambda: sample(scene, camera))
    start = time.process_time()
    scene.frame_set(2)
    say(f"  (one change of frame in that scene: {1000 * (time.process_time() - start):.0f} ms)")
    shot = addon("shots").single_shot(scene)
    path = addon("shots").read_camera(shot)
    report("make the overlay's lines", lambda: addon("camera_overlay").hold(shot, path))
    plane = addon("image_plane").make_plane(scene, camera, "Plane")
    mapping = addon("timeline").FrameMapping(1, NUM_FRAMES, 24.0, 49)
    for place in ("SUBJECT", "UPRIGHT"):
        report(
            f"fit a plane, {place.lower()}",
            lambda place=place: addon("image_plane").fit_plane(plane, scene, camera, path, mapping, place),
        )
    bpy.ops.threedimo.read_camera()
    report("ask whether the words still hold", lambda: addon("camera_reading").is_stale(scene))
    addon("runtime").tick()
    report("a tick without a server", addon("runtime").tick)


def make_rig(bpy, scene):
    """A camera on a moving parent that looks at a target, with an animated lens."""
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    dolly, target = (bpy.data.objects.new(name, None) for name in ("Dolly", "Target"))
    for item in (camera, dolly, target):
        scene.collection.objects.link(item)
    scene.camera, camera.parent, camera.location = camera, dolly, (0.5, -4.0, 0.8)
    camera.constraints.new("TRACK_TO").target = target
    for frame, x, lens in ((1, -2.0, 24.0), (NUM_FRAMES, 3.0, 70.0)):
        dolly.location.x, camera.data.lens = x, lens
        dolly.keyframe_insert("location", frame=frame)
        camera.data.keyframe_insert("lens", frame=frame)
    return camera


def add_heavy_object(bpy, scene) -> None:
    """A mesh that takes Blender long to evaluate in every frame."""
    side = 72
    points = [(x / side, y / side, math.sin(x * y)) for x in range(side) for y in range(side)]
    corners = [x * side + y for x in range(side - 1) for y in range(side - 1)]
    mesh = bpy.data.meshes.new("Heavy")
    mesh.from_pydata(points, [], [(i, i + 1, i + side + 1, i + side) for i in corners])
    heavy = bpy.data.objects.new("Heavy", mesh)
    scene.collection.objects.link(heavy)
    heavy.modifiers.new("Subdivide", "SUBSURF").levels = 4
    heavy.modifiers.new("Wave", "WAVE")


def report(what: str, call: Callable[[], object]) -> None:
    """Call again and again, and print the median and the longest."""
    call()
    took_ms = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        took_ms.append(1000 * (time.process_time() - start))
    say(f"{what}: median {statistics.median(took_ms):.2f}, longest {max(took_ms):.2f}")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
