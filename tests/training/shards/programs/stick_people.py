"""Small whole samples without a renderer: stick people with fingers, filmed by real camera paths.

Everything that a sample can hold is there and true: the joints lie in the picture, the silhouette is what is
painted, the boxes hold the fingers. A module of its own, so that spawned processes can import it.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from threedimo.camera import MOVES, CameraPath, View, describe
from threedimo_training.motion.skeleton import (
    BODY_JOINTS,
    HAND_JOINTS,
    JOINT,
    NUM_JOINTS,
    PARENTS,
    axis_angle_matrices,
    forward_kinematics,
)
from threedimo_training.samples.sample import FilmedClip, Sample
from threedimo_training.shards.overlay import joint_pixels
from threedimo_training.shards.render_options import RenderOptions

CROP_SIZE = 16
_FINE = 4
_LEFT = {
    "hip": (0.1, 0, -0.08), "knee": (0, 0, -0.42), "ankle": (0, 0, -0.42), "foot": (0, -0.13, -0.05),
    "collar": (0.08, 0, 0.12), "shoulder": (0.12, 0, 0.0), "elbow": (0.27, 0, 0), "wrist": (0.26, 0, 0),
    "hand": (0.08, 0, 0),
}  # fmt: skip
_MIDDLE = {"spine1": 0.1, "spine2": 0.13, "spine3": 0.07, "neck": 0.22, "head": 0.12}


def _rest_joints() -> np.ndarray:
    offsets = np.zeros((NUM_JOINTS, 3))
    offsets[0, 2] = 0.97
    for name, height in _MIDDLE.items():
        offsets[JOINT[name], 2] = height
    for name, offset in _LEFT.items():
        offsets[JOINT[f"left_{name}"]] = offset
        offsets[JOINT[f"right_{name}"]] = offset * np.array([-1, 1, 1])
    for side, joints in zip((1, -1), HAND_JOINTS, strict=True):
        for number, joint in enumerate(range(joints.start, joints.stop)):
            finger, link = divmod(number, 3)
            offsets[joint] = (0.09, 0.02 * (finger - 2), 0) if link == 0 else (0.03, 0, 0)
            offsets[joint, 0] *= side
    positions = offsets.copy()
    for joint, parent in enumerate(PARENTS[1:], start=1):
        positions[joint] += positions[parent]
    return positions


def _swing(rng: np.random.Generator, num_frames: int) -> np.ndarray:
    """(F, 54, 3) axis-angle of somebody who swings arms and legs."""
    angles = np.zeros((num_frames, NUM_JOINTS, 3))
    phase = np.linspace(0, 2 * np.pi, num_frames) + rng.uniform(0, 6)
    for side, sign in (("left", 1), ("right", -1)):
        angles[:, JOINT[f"{side}_shoulder"], 1] = sign * (0.6 + 0.5 * np.sin(phase))
        angles[:, JOINT[f"{side}_elbow"], 2] = -sign * (0.6 + 0.4 * np.cos(phase))
        angles[:, JOINT[f"{side}_hip"], 0] = 0.5 * sign * np.sin(phase)
        angles[:, JOINT[f"{side}_knee"], 0] = 0.4 + 0.3 * np.cos(phase)
    angles[:, 0, 2] = rng.uniform(-3, 3)
    return angles


def _camera(rng: np.random.Generator, move: str, size: int, num_frames: int, fps: float) -> CameraPath:
    around = rng.uniform(0, 2 * np.pi)
    place = 3.2 * np.array([np.cos(around), np.sin(around), rng.uniform(-0.1, 0.4)])
    centre = np.array([0, 0, 0.95])
    view = View(place + centre, centre, 1.25 * size, size, size, centre, np.array([0.0, -1.0, 0.0]))
    return MOVES[move](view, num_frames, fps)


def _paint(rng: np.random.Generator, path: CameraPath, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = path.width
    pixels = joint_pixels(path, joints) * _FINE
    clothes = rng.integers(40, 230, (NUM_JOINTS, 3))
    sky, floor = rng.integers(60, 200, (2, 3))
    share = np.linspace(0, 1, size * _FINE)[:, None, None]
    ground = np.broadcast_to(sky * (1 - share) + floor * share, (size * _FINE, size * _FINE, 3))
    frames, masks = [], []
    for points in pixels:
        picture = Image.fromarray(ground.astype(np.uint8))
        mask = Image.new("L", picture.size)
        for joint, parent in enumerate(PARENTS[1:], start=1):
            ends = [tuple(points[parent]), tuple(points[joint])]
            width = size * _FINE // (22 if joint < len(BODY_JOINTS) else 60)
            for draw, colour in ((picture, tuple(map(int, clothes[joint]))), (mask, 255)):
                ImageDraw.Draw(draw).line(ends, colour, width)
        frames.append(np.asarray(picture.reduce(_FINE)))
        masks.append(np.asarray(mask.reduce(_FINE)) >= 128)
    return np.stack(frames), np.stack(masks)


def _film(rng: np.random.Generator, path: CameraPath, joints: np.ndarray, person_id: str) -> FilmedClip:
    frames, silhouette = _paint(rng, path, joints)
    pixels = joint_pixels(path, joints)
    hands = [pixels[:, joints] for joints in HAND_JOINTS]
    boxes = np.stack([np.concatenate([hand.min(1) - 1, hand.max(1) + 1], -1) for hand in hands], axis=1)
    boxes = boxes.astype(np.float32)
    boxes[::5, 1] = np.nan
    return FilmedClip(frames, person_id, describe(path), path, silhouette, joints.astype(np.float32), boxes)


def _crops(clip: FilmedClip) -> np.ndarray:
    assert clip.hand_boxes is not None
    crops = np.zeros((len(clip.frames), 2, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    for frame, side in np.argwhere(np.isfinite(clip.hand_boxes).all(-1)):
        box = tuple(map(float, clip.hand_boxes[frame, side]))
        picture = Image.fromarray(clip.frames[frame])
        crops[frame, side] = picture.resize((CROP_SIZE, CROP_SIZE), box=_inside(box, clip.frames.shape[1]))
    return crops


def _inside(box: tuple[float, ...], size: int) -> tuple[float, float, float, float]:
    left, top, right, bottom = np.clip(box, 0, size)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def draw(seed: int, shard_index: int, sample_index: int, options: RenderOptions) -> Sample:
    """One sample; follows from the arguments alone."""
    rng = np.random.default_rng([seed, shard_index, sample_index])
    role = options.roles[sample_index % len(options.roles)]
    angles = _swing(rng, options.num_frames)
    posed = forward_kinematics(
        _rest_joints(), axis_angle_matrices(angles), np.tile([0, 0, 0.97], (options.num_frames, 1))
    )
    moves = list(MOVES) if role == "moving_camera" else ["static"]
    people = [f"stick-{number}" for number in rng.integers(100, size=2)]
    clips = [
        _film(
            rng,
            _camera(rng, str(rng.choice(choice)), options.size, options.num_frames, options.fps),
            posed.positions,
            person,
        )
        for person, choice in zip(people, (["static"], moves), strict=True)
    ]
    pose = {
        "smpl_pose": angles[:, : len(BODY_JOINTS)].astype(np.float32),
        "mano_pose": angles[:, HAND_JOINTS[0].start :].reshape(-1, 2, 15, 3).astype(np.float32),
    }
    clips = [replace(clip, **pose) for clip in clips]
    return Sample(
        sample_id=f"s{seed}-{shard_index:05d}-{sample_index:03d}",
        role=role,
        driving=clips[0],
        target=clips[1],
        fps=options.fps,
        motion_id=f"swing-{seed}-{shard_index}-{sample_index}",
        held_out=options.held_out,
        seed=seed,
        source="synthetic",
        hand_crops=_crops(clips[0]),
    )


def draw_slowly(seed: int, shard_index: int, sample_index: int, options: RenderOptions) -> Sample:
    """The same, at the pace of a renderer."""
    return draw_paused(seed, shard_index, sample_index, options, pause_s=0.15)


def draw_paused(
    seed: int, shard_index: int, sample_index: int, options: RenderOptions, *, pause_s: float
) -> Sample:
    """The same, after a pause."""
    time.sleep(pause_s)
    return draw(seed, shard_index, sample_index, options)


def draw_and_die(seed: int, shard_index: int, sample_index: int, options: RenderOptions) -> Sample:
    """Ends the process in shard 1, as running out of memory does."""
    if shard_index == 1:
        os._exit(9)
    return draw(seed, shard_index, sample_index, options)


def draw_nonsense(seed: int, shard_index: int, sample_index: int, options: RenderOptions) -> Sample:
    """A sample of no known role."""
    return replace(draw(seed, shard_index, sample_index, options), role="sideways")
