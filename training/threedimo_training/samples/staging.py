"""Who performs what before which cameras: everything about a sample but its pictures.

All of it follows from the random generator that is handed in. Which people and motions are kept for
evaluation follows from `motion.held_out.is_held_out` and never from chance at run time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.camera import MOVES, CameraPath, describe
from threedimo.errors import InvalidRequest
from threedimo_training.motion.planting import place
from threedimo_training.motion.skeleton import Posed
from threedimo_training.motion.smpl_labels import smpl_pose
from threedimo_training.people.baked import is_held_out_person
from threedimo_training.people.looks import make_person
from threedimo_training.people.person import Person
from threedimo_training.renderers.renderer import Shot
from threedimo_training.renderers.scene import Scene, make_scene
from threedimo_training.samples.cameras import MOVING, STILL, draw_camera, framed_share
from threedimo_training.samples.motions import MotionSource
from threedimo_training.samples.sample import ROLES, FilmedClip

_UPPER_BODY_SHARE = 0.22
_MOVING_DRIVER_SHARE = 0.5
_OUTLINE_POINTS = 200
# A person of 20 pixels was seen to teach nothing: who would stay small does something else.
_SMALLEST_SHARE = 0.4
_TRIES = 8


@dataclass(frozen=True, eq=False)
class StagedClip:
    """A person who performs in a place before a camera."""

    person: Person
    posed: Posed
    scene: Scene
    path: CameraPath

    def shot(self) -> Shot:
        """What a renderer films."""
        return Shot(self.person, self.posed, self.scene, self.path.world_from_camera, self.path.intrinsics)

    def filmed(self, frames: np.ndarray, silhouette: np.ndarray | None, hand_boxes: np.ndarray) -> FilmedClip:
        """The clip with its pictures, and with all labels."""
        body_pose, hand_pose = smpl_pose(self.posed)
        return FilmedClip(
            frames=frames,
            person_id=self.person.identity,
            text=describe(self.path),
            path=self.path,
            silhouette=silhouette,
            joints_world=self.posed.positions.astype(np.float32),
            hand_boxes=hand_boxes,
            smpl_pose=body_pose,
            mano_pose=hand_pose,
        )


@dataclass(frozen=True, eq=False)
class StagedSample:
    """Driver and target before their cameras; see `samples.sample.Sample`."""

    role: str
    motion_id: str
    held_out: bool
    driving: StagedClip
    target: StagedClip


@dataclass(frozen=True, eq=False)
class _Performance:
    """A person who performs a motion in a place."""

    person: Person
    posed: Posed
    scene: Scene


def stage_sample(
    rng: np.random.Generator,
    motions: MotionSource,
    *,
    size: int,
    num_frames: int,
    fps: float,
    role: str,
    held_out: bool = False,
    same_person: bool = False,
    plain: bool = False,
) -> StagedSample:
    """Draw a sample without filming it; see `sampler.draw_sample`.

    Raises:
        InvalidRequest: The role is unknown.
        InvalidMotion: A recorded motion cannot be used.
    """
    if role not in ROLES:
        raise InvalidRequest("unknown role of a sample", given=role, allowed=", ".join(ROLES))
    tries = 0
    while True:
        motion = motions.draw(rng, num_frames, fps, held_out)
        performers = []
        for _ in range(1 if same_person else 2):
            person = make_person(_draw_person_seed(rng, held_out), plain=plain)
            scene = make_scene(int(rng.integers(2**31)), plain=plain)
            performers.append(_Performance(person, place(motion, person), scene))
        driving, target, share = _stage(rng, performers[0], performers[-1], role, size, fps)
        tries += 1
        if share >= _SMALLEST_SHARE or tries == _TRIES:
            return StagedSample(role, motion.motion_id, held_out, driving, target)


def _stage(
    rng: np.random.Generator,
    driving: _Performance,
    target: _Performance,
    role: str,
    size: int,
    fps: float,
) -> tuple[StagedClip, StagedClip, float]:
    """Put up the cameras of a role; also says how large the smaller of both people is seen."""
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
    staged = [
        StagedClip(performance.person, performance.posed, performance.scene, camera)
        for performance, camera in ((driving, driving_path), (target, path))
    ]
    return staged[0], staged[1], share


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
