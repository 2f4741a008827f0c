"""Draws view-rich samples: one motion performed by two synthetic people in two places under two cameras.

Everything follows from the random generator that is handed in. Which people and motions are kept for
evaluation follows from `motion.held_out.is_held_out` and never from chance at run time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.camera import MOVES, CameraPath, describe
from threedimo.errors import InvalidRequest
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.planting import place
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.motion.skeleton import Posed
from threedimo_training.motion.smpl_labels import smpl_pose
from threedimo_training.people.baked import is_held_out_person
from threedimo_training.people.looks import make_person
from threedimo_training.people.person import Person
from threedimo_training.renderers.renderer import Rendered, Renderer
from threedimo_training.renderers.scene import Scene, make_scene
from threedimo_training.samples.cameras import MOVING, STILL, draw_camera, framed_share
from threedimo_training.samples.hands import film_hands, hand_boxes
from threedimo_training.samples.sample import ROLES, FilmedClip, Sample

_UPPER_BODY_SHARE = 0.22
_MOVING_DRIVER_SHARE = 0.5
_OUTLINE_POINTS = 200
# A person of 20 pixels was seen to teach nothing: who would stay small does something else.
_SMALLEST_SHARE = 0.4
_TRIES = 8


@dataclass(frozen=True, eq=False)
class _Performance:
    """A person who performs a motion in a place."""

    person: Person
    posed: Posed
    scene: Scene


@dataclass(frozen=True, eq=False)
class _Shot:
    """Driver and target before their cameras; `smallest_share` says how large the smaller one is."""

    driving: _Performance
    driving_path: CameraPath
    target: _Performance
    path: CameraPath
    smallest_share: float


def draw_sample(
    rng: np.random.Generator,
    renderer: Renderer,
    *,
    sample_id: str,
    seed: int,
    size: int,
    num_frames: int,
    fps: float,
    role: str,
    held_out: bool = False,
    same_person: bool = False,
) -> Sample:
    """Draw one sample of the view-rich data (data section of the paper).

    Args:
        rng: Decides everything: the same state gives the same sample.
        renderer: Makes the pictures.
        sample_id: Its name.
        seed: Recorded in the sample.
        size: Width and height of both clips in pixels.
        num_frames: Frames of both clips.
        fps: Frames per second of both clips.
        role: "same_view": one still camera films both. "cross_view": two still cameras at unrelated sides.
            "moving_camera": the target's camera makes a move of the vocabulary; the driving one is anywhere,
            and moves in half of the samples.
        held_out: Draw people and motions that training never sees, instead of those it sees.
        same_person: Let one person in one place be both driver and target.

    Raises:
        InvalidRequest: The role is unknown.
    """
    if role not in ROLES:
        raise InvalidRequest("unknown role of a sample", given=role, allowed=", ".join(ROLES))
    tries = 0
    while True:
        motion = _draw_motion(rng, num_frames, fps, held_out)
        shot = _stage(rng, *_cast(rng, motion, held_out, same_person), role, size, fps)
        tries += 1
        if shot.smallest_share >= _SMALLEST_SHARE or tries == _TRIES:
            break
    return _filmed(renderer, shot, motion, sample_id=sample_id, seed=seed, role=role, held_out=held_out)


def _stage(
    rng: np.random.Generator,
    driving: _Performance,
    target: _Performance,
    role: str,
    size: int,
    fps: float,
) -> _Shot:
    """Put up the cameras of a role."""
    target_points, driving_points = _outline(rng, target), _outline(rng, driving)
    facing = _facing(target.posed)
    if role == "same_view":
        # one camera must frame whoever performs: the pixels of driver and target correspond
        both = np.concatenate([target_points, driving_points], axis=1)
        path = driving_path = draw_camera(rng, both, facing, moves=STILL, size=size, fps=fps)
    else:
        moves = MOVING if role == "moving_camera" else STILL
        path = draw_camera(rng, target_points, facing, moves=moves, size=size, fps=fps)
        moves = list(MOVES) if role == "moving_camera" and rng.random() < _MOVING_DRIVER_SHARE else STILL
        facing = _facing(driving.posed)
        driving_path = draw_camera(rng, driving_points, facing, moves=moves, size=size, fps=fps)
    share = min(framed_share(path, target_points), framed_share(driving_path, driving_points))
    return _Shot(driving, driving_path, target, path, share)


def _draw_motion(rng: np.random.Generator, num_frames: int, fps: float, held_out: bool) -> Motion:
    while True:
        seed = int(rng.integers(2**31))
        if is_held_out("motion", f"procedural-{seed}") == held_out:
            return procedural_motion(seed, num_frames, fps)


def _cast(
    rng: np.random.Generator, motion: Motion, held_out: bool, same_person: bool
) -> tuple[_Performance, _Performance]:
    """The driver's and the target's performance."""
    performances = []
    for _ in range(1 if same_person else 2):
        person = make_person(_draw_person_seed(rng, held_out))
        scene = make_scene(int(rng.integers(2**31)))
        performances.append(_Performance(person, place(motion, person), scene))
    return performances[0], performances[-1]


def _draw_person_seed(rng: np.random.Generator, held_out: bool) -> int:
    while True:
        seed = int(rng.integers(2**31))
        if is_held_out_person(seed) == held_out:
            return seed


def _outline(rng: np.random.Generator, performance: _Performance) -> np.ndarray:
    """(F, N, 3) points of the person that the camera should see: all of the body, or from the hips up."""
    person = performance.person
    height = person.vertices[:, 2]
    above = person.rest_joints[0, 2] if rng.random() < _UPPER_BODY_SHARE else -1.0
    chosen = np.flatnonzero(height > above)
    chosen = chosen[:: max(1, len(chosen) // _OUTLINE_POINTS)]
    return person.skinned(performance.posed, chosen)


def _facing(posed: Posed) -> np.ndarray:
    """(3,) unit and horizontal: where the pelvis faces in the first frame."""
    forward = -posed.rotations[0, 0, :2, 1]
    return np.array([*(forward / max(np.linalg.norm(forward), 1e-6)), 0.0])


def _filmed(renderer: Renderer, shot: _Shot, motion: Motion, **facts) -> Sample:
    driving, target = shot.driving, shot.target
    driving_pictures = _film(renderer, driving, shot.driving_path)
    target_pictures = _film(renderer, target, shot.path)
    hands = film_hands(
        renderer, driving.person, driving.posed, driving.scene, shot.driving_path, driving_pictures.hand_cover
    )
    target_boxes = hand_boxes(target.person, target.posed, shot.path, target_pictures.hand_cover)
    return Sample(
        driving=_clip(driving, shot.driving_path, driving_pictures, hands.boxes),
        target=_clip(target, shot.path, target_pictures, target_boxes),
        fps=motion.fps,
        motion_id=motion.motion_id,
        source="synthetic",
        hand_crops=hands.crops,
        **facts,
    )


def _film(renderer: Renderer, performance: _Performance, path: CameraPath) -> Rendered:
    return renderer.render(
        performance.person, performance.posed, performance.scene,
        path.world_from_camera, path.intrinsics, path.width, path.height,
    )  # fmt: skip


def _clip(performance: _Performance, path: CameraPath, pictures: Rendered, boxes: np.ndarray) -> FilmedClip:
    body_pose, hand_pose = smpl_pose(performance.posed)
    return FilmedClip(
        frames=pictures.frames,
        person_id=performance.person.identity,
        text=describe(path),
        path=path,
        silhouette=pictures.silhouettes,
        joints_world=performance.posed.positions.astype(np.float32),
        hand_boxes=boxes,
        smpl_pose=body_pose,
        mano_pose=hand_pose,
    )
