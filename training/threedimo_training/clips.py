"""View-rich samples: the same motion done by two people in two places, seen by two cameras.

A sample is what the paper's data section asks for: driving frames, target frames of the same motion (perhaps
from another side or a moving camera), and the words and hints of the target's camera. The reference image is
the target's first frame. Everything follows from the random generator that is handed in; which people and
motions are kept for evaluation follows from `bodies.is_held_out`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.camera import MOVES, CameraPath, View, camera_hints, describe
from threedimo.errors import InvalidRequest
from threedimo_training.bodies import Body, is_held_out, make_body, pose_body
from threedimo_training.motions import Motion, make_motion
from threedimo_training.rendering import Rendered, render
from threedimo_training.scenes import Scene, make_scene
from threedimo_training.skeleton import JOINT, NUM_BONES, NUM_JOINTS, Posed

ROLES = ("same_view", "cross_view", "moving_camera")
HAND_CROP_SIZE = 32

_MIN_CAMERA_HEIGHT_M = 0.25
_HAND_MARGIN = 1.35
_MIN_HAND_COVER = 0.05  # of its box: less is a hand behind the body or an edge-on sliver
_FRAMES_PER_PERSON = 4
_HEAD_TOP_M = 0.23
_STILL = ("static", "static", "handheld_static")
# How a move's amount is drawn, and how much further away it starts so that the person stays in the picture.
_AMOUNTS: dict[str, tuple[float, float]] = {
    "handheld_static": (0.5, 1.5), "forward": (0.12, 0.4), "back": (0.15, 0.7), "zoom_in": (1.2, 1.7),
    "zoom_out": (1.2, 1.8), "rapid_zoom_in": (1.5, 2.0), "rapid_zoom_out": (1.5, 2.0),
    "handheld_zoom_in": (1.2, 1.7), "aerial_pull_out": (0.5, 1.0), "vertigo_in": (0.15, 0.45),
    "vertigo_out": (0.2, 0.8), "dynamic_zoom_swing": (15.0, 60.0),
}  # fmt: skip
_START_DISTANCE = {
    "forward": 1.15, "back": 0.8, "zoom_in": 1.25, "zoom_out": 0.8, "rapid_zoom_in": 1.35,
    "rapid_zoom_out": 0.75, "handheld_zoom_in": 1.25, "aerial_pull_out": 0.7, "dynamic_zoom_swing": 1.2,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Clip:
    """One training sample; F frames, pictures of S x S (target) and D x D (driving) pixels.

    Attributes:
        role: One of `ROLES`.
        driving_frames: (F, D, D, 3) uint8 RGB, the motion done by another person elsewhere.
        target_frames: (F, S, S, 3) uint8 RGB; its first frame is the reference image.
        path: The target's camera.
        driving_path: The driving camera.
        text: `describe(path)`.
        hints: (F, NUM_HINTS) float32, `camera_hints(path)`.
        rotations: (F, 24, 3, 3) local joint rotations; the pelvis's is global.
        hand_curls: (F, 2, 4) thumb, index, middle, ring block of the left and the right hand, 0 to 1.
        body_joints: (F, 24, 3) metres from the pelvis in the pelvis's own axes, of the driving person.
        driving_camera_joints: (F, 24, 3) metres from the pelvis in the driving camera's axes.
        driving_joints_world: (F, 24, 3) metres.
        target_joints_world: (F, 24, 3) metres.
        driving_silhouette: (F, D, D) uint8, 255 where the person covers the whole pixel.
        target_silhouette: (F, S, S) uint8.
        hand_boxes: (F, 2, 4) float32 left, top, right, bottom in pixels of the driving frames, left hand
            first; zero where the hand is behind the camera.
        hand_crops: (F, 2, 32, 32, 3) uint8, the driving hands at the crop's own resolution, as crops of
            larger footage are; black where not visible.
        hand_visible: (F, 2) bool.
        motion_seed: Seed of the motion.
        identity_seeds: Seeds of the driving and of the target person.
    """

    role: str
    driving_frames: np.ndarray
    target_frames: np.ndarray
    path: CameraPath
    driving_path: CameraPath
    text: str
    hints: np.ndarray
    rotations: np.ndarray
    hand_curls: np.ndarray
    body_joints: np.ndarray
    driving_camera_joints: np.ndarray
    driving_joints_world: np.ndarray
    target_joints_world: np.ndarray
    driving_silhouette: np.ndarray
    target_silhouette: np.ndarray
    hand_boxes: np.ndarray
    hand_crops: np.ndarray
    hand_visible: np.ndarray
    motion_seed: int
    identity_seeds: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Frames:
    """Unrelated single frames for the encoder's warm-up; N frames, fields as in `Clip` without time."""

    frames: np.ndarray
    rotations: np.ndarray
    hand_curls: np.ndarray
    body_joints: np.ndarray
    camera_joints: np.ndarray
    hand_crops: np.ndarray
    hand_visible: np.ndarray


def sample_clip(
    rng: np.random.Generator,
    *,
    size: int,
    num_frames: int,
    fps: float,
    role: str,
    driving_size: int | None = None,
    held_out: bool = False,
) -> Clip:
    """Draw one sample of the view-rich data (data section of the paper).

    Args:
        rng: Decides everything: the same state gives the same sample.
        size: Width and height of the target in pixels.
        num_frames: Frames of both clips.
        fps: Frames per second of both clips.
        role: "same_view": one still camera films both. "cross_view": two still cameras at unrelated sides.
            "moving_camera": the target's camera makes a move of the vocabulary; the driving one is
            anywhere, and moves in half of the samples.
        driving_size: Width and height of the driving frames; the target's size unless given.
        held_out: Draw people and motions that training never sees, instead of those it sees.

    Raises:
        InvalidRequest: The role is unknown.
    """
    if role not in ROLES:
        raise InvalidRequest("unknown role of a training clip", given=role, allowed=", ".join(ROLES))
    motion = make_motion(_draw_seed(rng, "motion", held_out), num_frames, fps)
    bodies = [make_body(_draw_seed(rng, "identity", held_out)) for _ in range(2)]
    scenes = [make_scene(int(rng.integers(2**31))) for _ in range(2)]
    posed = [_act(body, motion) for body in bodies]
    moves = list(MOVES) if role == "moving_camera" else _STILL
    path = _draw_path(rng, posed if role == "same_view" else posed[1:], moves, size, num_frames, fps)
    if role == "same_view":
        driving_path = path
    else:
        driving_moves = list(MOVES) if role == "moving_camera" and rng.random() < 0.5 else _STILL
        driving_path = _draw_path(rng, posed[:1], driving_moves, size, num_frames, fps)
    driving_path = driving_path.for_size(driving_size or size, driving_size or size)
    driving = _film(bodies[0], posed[0], scenes[0], driving_path)
    target = _film(bodies[1], posed[1], scenes[1], path)
    boxes, crops, visible = _hand_crops(bodies[0], posed[0], scenes[0], driving_path, driving)
    return Clip(
        role=role,
        driving_frames=driving.frames,
        target_frames=target.frames,
        path=path,
        driving_path=driving_path,
        text=describe(path),
        hints=camera_hints(path),
        rotations=motion.joint_rotations,
        hand_curls=motion.hand_curls,
        body_joints=posed[0].pelvis_joints(),
        driving_camera_joints=_camera_joints(posed[0], driving_path),
        driving_joints_world=posed[0].joints_world,
        target_joints_world=posed[1].joints_world,
        driving_silhouette=driving.silhouettes,
        target_silhouette=target.silhouettes,
        hand_boxes=boxes,
        hand_crops=crops,
        hand_visible=visible,
        motion_seed=motion.seed,
        identity_seeds=(bodies[0].seed, bodies[1].seed),
    )


def sample_frames(rng: np.random.Generator, n: int, size: int, *, held_out: bool = False) -> Frames:
    """Draw single frames: four moments of each person, one second apart, each from another side.

    Args:
        rng: Decides everything.
        n: How many frames.
        size: Width and height in pixels.
        held_out: Draw people and motions that training never sees, instead of those it sees.
    """
    columns: list[tuple[np.ndarray, ...]] = []
    for start in range(0, n, _FRAMES_PER_PERSON):
        count = min(_FRAMES_PER_PERSON, n - start)
        motion = make_motion(_draw_seed(rng, "motion", held_out), count, 1.0)
        body, scene = make_body(_draw_seed(rng, "identity", held_out)), make_scene(int(rng.integers(2**31)))
        posed = pose_body(body, motion.joint_rotations, motion.hand_curls, motion.lift_m, travel=0.0)
        moments = [Posed(posed.rotations[[i]], posed.positions[[i]]) for i in range(count)]
        paths = [_draw_path(rng, [moment], ("static",), size, 1, 1.0) for moment in moments]
        path = CameraPath(
            np.concatenate([path.world_from_camera for path in paths]),
            np.concatenate([path.intrinsics for path in paths]),
            size,
            size,
            1.0,
        )
        filmed = _film(body, posed, scene, path)
        _, crops, visible = _hand_crops(body, posed, scene, path, filmed)
        joints = posed.pelvis_joints(), _camera_joints(posed, path)
        columns.append((filmed.frames, motion.joint_rotations, motion.hand_curls, *joints, crops, visible))
    return Frames(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _draw_seed(rng: np.random.Generator, kind: str, held_out: bool) -> int:
    while True:
        seed = int(rng.integers(2**31))
        if is_held_out(kind, seed) == held_out:
            return seed


def _act(body: Body, motion: Motion) -> Posed:
    return pose_body(body, motion.joint_rotations, motion.hand_curls, motion.lift_m, motion.travel)


def _film(body: Body, posed: Posed, scene: Scene, path: CameraPath) -> Rendered:
    return render(body, posed, scene, path.world_from_camera, path.intrinsics, path.width)


def _camera_joints(posed: Posed, path: CameraPath) -> np.ndarray:
    """(F, 24, 3) metres from the pelvis in the camera's axes."""
    relative = posed.joints_world - posed.joints_world[:, :1]
    return np.einsum("fji,fkj->fki", path.rotations, relative)


def _draw_path(
    rng: np.random.Generator, people: list[Posed], moves, size: int, num_frames: int, fps: float
) -> CameraPath:
    """A camera that frames these people (the last one is the subject), still or moving by one of `moves`."""
    subject = people[-1].positions[:, 0].mean(axis=0)
    facing = -people[-1].rotations[0, 0, :2, 1]
    forward = np.array([*(facing / np.linalg.norm(facing)), 0.0])
    name = str(rng.choice(moves))
    fov = np.deg2rad(rng.uniform(28, 55))
    upper = rng.random() < 0.22
    points = np.concatenate([_outline(posed, upper) for posed in people])
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    azimuth = rng.uniform(-np.pi, np.pi) + np.arctan2(forward[1], forward[0])
    elevation = np.deg2rad(rng.triangular(-10, 6, 35))
    towards = _direction(azimuth, elevation)
    distance = _fitting_distance(points - centre, towards, np.tan(fov / 2) * rng.uniform(0.88, 1.04))
    distance *= _START_DISTANCE.get(name, 1.0)
    lowest = np.arcsin(np.clip((_MIN_CAMERA_HEIGHT_M - centre[2]) / distance, -1, 1))
    towards = _direction(azimuth, max(elevation, lowest))
    focal = size / 2 / np.tan(fov / 2)
    view = View(centre + distance * towards, centre, focal, size, size, subject, forward)
    if name == "down" and view.position[2] - 0.1 * view.distance_m < _MIN_CAMERA_HEIGHT_M:
        name = "up"  # there is no room to descend
    return _move(rng, name, view, fov, num_frames, fps)


def _move(
    rng: np.random.Generator, name: str, view: View, fov: float, num_frames: int, fps: float
) -> CameraPath:
    move = MOVES[name]
    amount = None
    if name in ("left", "right", "up", "down"):
        # as far as the person can drift towards the picture's edge
        amount = rng.uniform(0.1, max(0.12, 0.75 * np.tan(fov / 2)))
        if name == "down":
            room = (view.position[2] - _MIN_CAMERA_HEIGHT_M) / view.distance_m
            amount = min(amount, max(room, 0.1))
    elif name in ("arc_left", "arc_right"):
        amount = float(rng.choice([30.0, 45.0, 90.0])) if rng.random() < 0.6 else rng.uniform(15, 120)
    elif name in _AMOUNTS:
        amount = rng.uniform(*_AMOUNTS[name])
    easing = "smooth" if rng.random() < 0.6 else "linear"
    return move(view, num_frames, fps, amount, easing=easing, seed=int(rng.integers(2**31)))


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    level = np.cos(elevation)
    return np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])


def _outline(posed: Posed, upper: bool) -> np.ndarray:
    """(N, 3) points in the world that a camera should see: all bones, or those from the hips up."""
    lower = [JOINT[f"{side}_{name}"] for side in ("left", "right") for name in ("knee", "ankle", "foot")]
    bones = [bone for bone in range(NUM_BONES) if not (upper and bone in lower)]
    head = posed.positions[:, JOINT["head"]] + _HEAD_TOP_M * posed.rotations[:, JOINT["head"], :, 2]
    points = [posed.positions[:, bones].reshape(-1, 3), head]
    if not upper:
        feet = posed.positions[:, [JOINT["left_foot"], JOINT["right_foot"]]].reshape(-1, 3)
        points += [feet - [0.0, 0.0, 0.05]]
    return np.concatenate(points)


def _fitting_distance(offsets: np.ndarray, towards: np.ndarray, slope: float) -> float:
    """How far from their centre a camera must stand to see nearly all points within `slope` of its axis."""
    right = np.array([-towards[1], towards[0], 0.0]) / np.hypot(towards[0], towards[1])
    up = np.cross(towards, right)
    reach = np.maximum(np.abs(offsets @ right), np.abs(offsets @ up)) / slope + offsets @ towards
    # a hand that leaves the picture for a moment is better than a small person
    return float(np.quantile(reach, 0.985))


def _hand_crops(
    body: Body, posed: Posed, scene: Scene, path: CameraPath, filmed: Rendered
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (F, 2, 4), crops (F, 2, 32, 32, 3) and visibility (F, 2) of the hands."""
    num_frames = path.num_frames
    digits = np.arange(NUM_JOINTS, NUM_BONES).reshape(2, -1)
    bones = np.concatenate([[[JOINT["left_wrist"]], [JOINT["right_wrist"]]], digits], axis=1)
    points = posed.positions[:, bones] - path.positions[:, None, None]
    points = np.einsum("fji,fhkj->fhki", path.rotations, points)
    depth = points[..., 2]
    ahead = depth.min(axis=-1) > 0.1
    focal = path.intrinsics[:, None, None, [0, 1], [0, 1]]
    pixels = (
        points[..., :2] / np.maximum(depth, 0.1)[..., None] * focal + path.intrinsics[:, None, None, :2, 2]
    )
    low, high = pixels.min(axis=2), pixels.max(axis=2)
    centre, side = 0.5 * (low + high), _HAND_MARGIN * (high - low).max(axis=-1)
    # digit bones end before the fingertips: add about a finger's length
    side = side + 0.06 * focal[:, :, 0, 0] / np.maximum(depth.mean(axis=-1), 0.1)
    boxes = np.concatenate([centre - 0.5 * side[..., None], centre + 0.5 * side[..., None]], axis=-1)
    inside = ((centre > 0) & (centre < path.width)).all(axis=-1)
    cover = filmed.hand_cover * path.width**2 / np.maximum(side, 1.0) ** 2
    visible = ahead & inside & (cover > _MIN_HAND_COVER)
    crops = np.zeros((num_frames, 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3), np.uint8)
    frame, hand = np.nonzero(visible)
    if len(frame):
        scale = HAND_CROP_SIZE / side[frame, hand]
        intrinsics = path.intrinsics[frame]
        intrinsics[:, :2, 2] -= boxes[frame, hand, :2]
        intrinsics[:, :2] *= scale[:, None, None]
        close = Posed(posed.rotations[frame], posed.positions[frame])
        zoomed = render(body, close, scene, path.world_from_camera[frame], intrinsics, HAND_CROP_SIZE)
        crops[frame, hand] = zoomed.frames
    return np.where(ahead[..., None], boxes, 0.0).astype(np.float32), crops, visible
