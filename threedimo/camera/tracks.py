"""The shapes that camera moves are made of: progress over time, straight travel, orbits, a hand's tremor."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from threedimo.camera.checks import check_count, check_fps
from threedimo.camera.path import CameraPath
from threedimo.camera.rotations import Floats, rotations_from_vectors, turns_about_z
from threedimo.camera.view import View
from threedimo.errors import InvalidCameraPath

Easing = Literal["smooth", "linear"]

# A hand's tremor: a few hertz, well below the half of any usual frame rate. Root mean squares at strength 1.
SHAKE_HZ = (2.0, 5.0)
SHAKE_WAVES = 4
SHAKE_TURN_DEG = 0.4
SHAKE_SHIFT = 0.003


def eased(share: Floats, easing: str) -> Floats:
    """Bend an even progress in [0, 1] into one that starts and ends at rest, or leave it even."""
    if easing not in get_args(Easing):
        raise InvalidCameraPath("unknown easing", given=easing, allowed=" or ".join(get_args(Easing)))
    return share * share * (3 - 2 * share) if easing == "smooth" else share


def progress(num_frames: int, fps: float, easing: str, within_s: float | None = None) -> Floats:
    """From 0 in the first frame to 1 in the last, or at `within_s` where that is sooner."""
    if check_count(num_frames) < 2:
        raise InvalidCameraPath("a move needs time", given=f"{num_frames} frame", allowed="2 frames or more")
    check_fps(fps)
    end_s = (num_frames - 1) / fps
    if within_s is not None:
        end_s = min(end_s, within_s)
    return eased(np.minimum(np.arange(num_frames) / fps / end_s, 1.0), easing)


def path_from(view: View, positions: Floats, rotations: Floats, focals_px: Floats, fps: float) -> CameraPath:
    """Assemble positions `(F, 3)`, rotations `(F, 3, 3)`, focal lengths `(F,)` and the view's subject."""
    poses = np.zeros((len(positions), 4, 4))
    poses[:, :3, :3], poses[:, :3, 3], poses[:, 3, 3] = rotations, positions, 1.0
    return CameraPath(
        poses,
        view.intrinsics_at(focals_px),
        view.width,
        view.height,
        fps,
        view.subject_position,
        view.subject_forward,
    )


def travel(view: View, steps: Floats, fps: float, zoom: Floats | None = None) -> CameraPath:
    """Translate without turning; `steps` are `(F, 3)` world offsets in distances, `zoom` a factor a frame."""
    count = len(steps)
    focals = np.full(count, view.focal_px) * (1.0 if zoom is None else zoom)
    return path_from(
        view,
        view.position + steps * view.distance_m,
        np.broadcast_to(view.rotation, (count, 3, 3)),
        focals,
        fps,
    )


def orbit(view: View, turns_rad: Floats, fps: float, zoom: Floats | None = None) -> CameraPath:
    """Carry the whole camera around the vertical through the pivot."""
    turns = turns_about_z(turns_rad)
    positions = view.pivot + turns @ (view.position - view.pivot)
    focals = np.full(len(turns), view.focal_px) * (1.0 if zoom is None else zoom)
    return path_from(view, positions, turns @ view.rotation, focals, fps)


def shaken(view: View, path: CameraPath, strength: float, seed: int) -> CameraPath:
    """Add a hand's tremor in all six directions; the first frame stays where it is."""
    random = np.random.default_rng(seed)
    hertz = random.uniform(*SHAKE_HZ, (SHAKE_WAVES, 6))
    phase = random.uniform(0, 2 * np.pi, (SHAKE_WAVES, 6))
    times = np.arange(path.num_frames)[:, None, None] / path.fps
    waves = np.sin(2 * np.pi * hertz * times + phase).sum(axis=1) * np.sqrt(2 / SHAKE_WAVES) * strength
    waves -= waves[0]
    poses = path.world_from_camera.copy()
    shifts = waves[:, :3, None] * SHAKE_SHIFT * view.distance_m
    poses[:, :3, 3] += (path.rotations @ shifts)[..., 0]
    poses[:, :3, :3] = path.rotations @ rotations_from_vectors(waves[:, 3:] * np.radians(SHAKE_TURN_DEG))
    return replace(path, world_from_camera=poses)
