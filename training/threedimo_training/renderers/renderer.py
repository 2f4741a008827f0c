"""What every renderer takes and gives, and the checks that stand before the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from threedimo.errors import InvalidBody, InvalidCameraPath, InvalidMotion, UnsupportedSize
from threedimo_training.motion.skeleton import NUM_JOINTS, Posed
from threedimo_training.people.person import NUM_BANDS, Person
from threedimo_training.renderers.scene import Scene

MAX_SIZE_PX = 4096


@dataclass(frozen=True, eq=False)
class Rendered:
    """Frames and what the renderer knows about them.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        silhouettes: (F, H, W) bool, where the person covers at least half of the pixel.
        hand_cover: (F, 2) float, the share of the picture that each visible hand (left, right) covers.
    """

    frames: np.ndarray
    silhouettes: np.ndarray
    hand_cover: np.ndarray


class Renderer(Protocol):
    """Anything that makes pictures of a person in a scene."""

    def render(
        self,
        person: Person,
        posed: Posed,
        scene: Scene,
        world_from_camera: np.ndarray,
        intrinsics: np.ndarray,
        width: int,
        height: int,
    ) -> Rendered:
        """Make one picture for every pose.

        Args:
            person: Who is seen.
            posed: F poses of that person.
            scene: The surroundings; its free floor is widened to hold the cameras and the person.
            world_from_camera: (F, 4, 4), OpenCV camera axes, world z up, metres, above the floor z = 0.
            intrinsics: (F, 3, 3) in pixels of this width and height.
            width: Width in pixels.
            height: Height in pixels.

        Raises:
            InvalidCameraPath: Cameras or lenses are not finite, of another shape, or under the floor.
            InvalidMotion: The poses do not fit to the cameras or are not finite.
            InvalidBody: The person's arrays contradict each other.
            UnsupportedSize: Width or height is out of range.
        """
        ...


@dataclass(frozen=True, eq=False)
class Shot:
    """What is to be filmed: one person, one place, one camera path; see `Renderer.render` for the shapes."""

    person: Person
    posed: Posed
    scene: Scene
    world_from_camera: np.ndarray
    intrinsics: np.ndarray

    def __post_init__(self):
        _check_cameras(self.world_from_camera, self.intrinsics)
        _check_poses(self.posed, len(self.world_from_camera))
        _check_person(self.person)

    @property
    def num_frames(self) -> int:
        """Number of pictures."""
        return len(self.world_from_camera)

    def widened_scene(self) -> Scene:
        """The scene with enough free floor for the cameras and the person."""
        eyes = np.abs(self.world_from_camera[:, :2, 3]).max()
        body = np.abs(self.posed.positions[:, :, :2]).max()
        return self.scene.widened(float(max(eyes, body)))


def check_size(width: int, height: int) -> None:
    """Refuse pictures without pixels and pictures beyond `MAX_SIZE_PX`.

    Raises:
        UnsupportedSize: Width or height is out of range.
    """
    if not (1 <= width <= MAX_SIZE_PX and 1 <= height <= MAX_SIZE_PX):
        raise UnsupportedSize(
            "a picture of this size cannot be rendered",
            given=f"{width} x {height} pixels",
            allowed=f"1 to {MAX_SIZE_PX} pixels each way",
        )


def _check_cameras(world_from_camera: np.ndarray, intrinsics: np.ndarray) -> None:
    num_frames = len(world_from_camera)
    if world_from_camera.shape != (num_frames, 4, 4) or intrinsics.shape != (num_frames, 3, 3):
        raise InvalidCameraPath(
            "poses and lenses of the camera do not have one matrix per frame",
            given=f"world_from_camera {world_from_camera.shape}, intrinsics {intrinsics.shape}",
            allowed="(F, 4, 4) and (F, 3, 3)",
        )
    if num_frames == 0 or not (np.isfinite(world_from_camera).all() and np.isfinite(intrinsics).all()):
        raise InvalidCameraPath(
            "a camera needs at least one frame and finite numbers", given=f"{num_frames} frames"
        )
    if (intrinsics[:, [0, 1], [0, 1]] <= 0).any():
        raise InvalidCameraPath("focal lengths must be positive", given=float(intrinsics[:, 0, 0].min()))
    lowest = float(world_from_camera[:, 2, 3].min())
    if lowest <= 0:
        raise InvalidCameraPath(
            "the camera goes under the floor",
            given=f"{lowest:.3f} m",
            allowed="heights above 0 m",
            remedy="raise the camera or shorten its move",
        )


def _check_poses(posed: Posed, num_frames: int) -> None:
    wanted = (num_frames, NUM_JOINTS, 3)
    if posed.positions.shape != wanted or posed.rotations.shape != (*wanted, 3):
        raise InvalidMotion(
            "the poses do not fit to the cameras",
            given=f"positions {posed.positions.shape}, rotations {posed.rotations.shape}",
            allowed=f"{wanted} and {(*wanted, 3)}",
            remedy="give one pose for each camera frame",
        )
    if not (np.isfinite(posed.positions).all() and np.isfinite(posed.rotations).all()):
        raise InvalidMotion("a pose has numbers that are not finite")


def _check_person(person: Person) -> None:
    num_vertices, num_faces = len(person.vertices), len(person.faces)
    num_materials = len(person.cloth.colours)
    wanted = {
        "vertices": (num_vertices, 3), "normals": (num_vertices, 3), "faces": (num_faces, 3),
        "bones": (num_vertices, 4), "weights": (num_vertices, 4), "rest_joints": (NUM_JOINTS, 3),
        "materials": (num_faces,), "along": (num_vertices,), "tints": (num_vertices, 3),
        "hands": (num_faces,),
    }  # fmt: skip
    given = {name: getattr(person, name).shape for name in wanted}
    cloth = {"colours": (3, 3), "patterns": (), "periods_m": (), "cuts": None}
    for name, rest in cloth.items():
        wanted[name] = (num_materials, 2) if rest is None else (num_materials, NUM_BANDS, *rest)
        given[name] = getattr(person.cloth, name).shape
    wrong = [name for name in wanted if given[name] != wanted[name]]
    if wrong:
        raise InvalidBody(
            f"arrays of {person.identity} contradict each other",
            given=", ".join(f"{name} {given[name]}" for name in wrong),
            allowed=", ".join(f"{name} {wanted[name]}" for name in wrong),
        )
    # the compiled loops do not look where they reach
    limits = {"faces": num_vertices, "bones": NUM_JOINTS, "materials": num_materials}
    for name, limit in limits.items():
        values = getattr(person, name)
        if num_faces == 0 or values.min() < 0 or values.max() >= limit:
            raise InvalidBody(
                f"{name} of {person.identity} point outside of what they number",
                given=f"{values.min()} to {values.max()}" if num_faces else "no faces",
                allowed=f"0 to {limit - 1}",
            )
