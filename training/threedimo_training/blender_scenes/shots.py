"""From two performances to two shots: role, cameras, rooms, and where hands will be."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from threedimo.camera import MOVES, CameraPath, describe
from threedimo.errors import InvalidRequest
from threedimo_training.blender_scenes.staging import Performance, given_camera, hand_boxes, make_room
from threedimo_training.samples.cameras import MOVING, STILL, draw_camera
from threedimo_training.samples.sample import ROLES

ENGINES = ("workbench", "eevee", "cycles")
_UPPER_BODY_SHARE = 0.22
_MOVING_DRIVER_SHARE = 0.5


@dataclass(frozen=True, eq=False)
class FilmOptions:
    """How clips are filmed.

    Attributes:
        size: Width and height in pixels, 16 to 2048.
        num_frames: Frames of both clips of a sample.
        fps: Their frames per second; the scene is sampled between its own frames where needed.
        roles: Which roles to draw from; see `samples.sample.ROLES`.
        camera: The target's camera in the scene's coordinates, or None for random ones. One that stays films
            "same_view" and "cross_view", one that moves "moving_camera".
        engine: One of `ENGINES`.
        still: Let people without an action stay in the pose that the file was saved in.
        held_out: Film only what is kept for evaluation, only what is not, or (None) both.
    """

    size: int
    num_frames: int
    fps: float
    roles: tuple[str, ...] = ROLES
    camera: CameraPath | None = None
    engine: str = "workbench"
    still: bool = False
    held_out: bool | None = None

    def __post_init__(self):
        if self.engine not in ENGINES:
            raise InvalidRequest("unknown engine", given=self.engine, allowed=", ".join(ENGINES))
        if not 16 <= self.size <= 2048:
            raise InvalidRequest("size out of range", given=self.size, allowed="16 to 2048 pixels")
        if self.num_frames < 1 or not self.fps > 0:
            given = f"{self.num_frames} frames at {self.fps:g} fps"
            raise InvalidRequest("a clip needs frames", given=given, allowed="1 or more, above 0 fps")
        if not self.roles or set(self.roles) - set(ROLES):
            given = ", ".join(self.roles) or "none"
            raise InvalidRequest("unknown roles of a sample", given=given, allowed=", ".join(ROLES))
        if not self.possible_roles:
            raise InvalidRequest(
                "the given camera cannot film these roles",
                given=", ".join(self.roles),
                allowed="same_view and cross_view for a camera that stays, moving_camera for one that moves",
            )

    @property
    def possible_roles(self) -> tuple[str, ...]:
        """The roles that the camera can film."""
        if self.camera is None:
            return self.roles
        stays = describe(self.camera.resampled(self.num_frames, self.fps)).endswith("camera remains static.")
        return tuple(role for role in self.roles if (role != "moving_camera") == stays)


@dataclass(frozen=True, eq=False)
class Shot:
    """One side of a clip, ready to be filmed.

    Attributes:
        performance: What is filmed.
        path: By which camera, in the performance's world.
        boxes: (F, 2, 4) where the hands will be, or None for a rig without fingers.
        room: What is put around the person, or None where the file has surroundings.
    """

    performance: Performance
    path: CameraPath
    boxes: np.ndarray | None
    room: dict | None


def draw_shots(
    rng: np.random.Generator,
    driving: Performance,
    target: Performance,
    options: FilmOptions,
    *,
    furnished: bool,
) -> tuple[str, Shot, Shot]:
    """Choose the role, both cameras and both rooms, as `samples.sampler` does for synthetic people.

    Raises:
        InvalidScene: A given camera does not see the person.
        InvalidCameraPath: A given camera's path is shorter than the clip.
    """
    role = str(rng.choice(options.possible_roles))
    if options.camera is not None:
        path = given_camera(options.camera, target, options.num_frames, options.fps, options.size)
    else:
        people = [target, driving] if role == "same_view" else [target]
        path = _random_camera(rng, people, MOVING if role == "moving_camera" else STILL, options)
    if role != "same_view":
        moves = tuple(MOVES) if role == "moving_camera" and rng.random() < _MOVING_DRIVER_SHARE else STILL
        driving_path = _random_camera(rng, [driving], moves, options)
    elif options.camera is not None:
        driving_path = given_camera(options.camera, driving, options.num_frames, options.fps, options.size)
    else:
        driving_path = path
    if furnished:
        rooms = [None, None]
    elif driving.take == target.take:
        rooms = [make_room(rng, target, [path, driving_path])] * 2
    else:
        rooms = [make_room(rng, driving, [driving_path]), make_room(rng, target, [path])]
    return (
        role,
        Shot(driving, driving_path, hand_boxes(driving, driving_path), rooms[0]),
        Shot(target, path, hand_boxes(target, path), rooms[1]),
    )


def _random_camera(
    rng: np.random.Generator, people: list[Performance], moves: tuple[str, ...], options: FilmOptions
) -> CameraPath:
    """A camera that frames all of these people; the first is its subject."""
    upper = rng.random() < _UPPER_BODY_SHARE
    points = np.concatenate([person.upper_outline if upper else person.outline for person in people], axis=1)
    forward = people[0].forward
    # Nobody's front can be told from somebody who lies: the text then leaves it out.
    assumed = np.array([0.0, -1.0, 0.0]) if forward is None else forward
    path = draw_camera(rng, points, assumed, moves=moves, size=options.size, fps=options.fps)
    return path if forward is not None else replace(path, subject_forward=None)
