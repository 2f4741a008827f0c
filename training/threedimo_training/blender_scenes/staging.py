"""How a take is shown: what was measured of it, its camera, its room, and where its hands will be."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from threedimo.camera import CameraPath
from threedimo.errors import InvalidScene
from threedimo_training.blender_scenes.planning import Take
from threedimo_training.motion.skeleton import HAND_JOINTS, JOINT, SIDES

# The joints that a hand's box is put around; the first is the wrist.
HAND_POINTS = tuple(
    (JOINT[f"{side}_wrist"], *range(NUM.start, NUM.stop))
    for side, NUM in zip(SIDES, HAND_JOINTS, strict=True)
)
# A grown-up's thigh and shin together.
_LEG_M = 0.82
_FINGERTIP_M = 0.03
_HAND_MARGIN = 1.3
_MIN_FINGER_JOINTS = 4
# Of the picture's width: in a smaller box no finger can be told.
_MIN_BOX_SHARE = 0.05
_NEAR_M = 0.1
_MIN_SHARE_IN_PICTURE = 0.1
_UPRIGHT_M = 0.3
_ROOM_MARGIN_M = 1.0
_PAINTS_EACH = 4


@dataclass(frozen=True, eq=False)
class Performance:
    """A take as it was measured, in a world whose floor is the take's lowest point.

    Attributes:
        take: Who performs what.
        joints: (F, 54, 3) metres, NaN where unknown.
        outline: (F, 26, 3) metres, the body's farthest points.
        origin: (3,) metres, where this world's origin lies in the scene.
    """

    take: Take
    joints: np.ndarray
    outline: np.ndarray
    origin: np.ndarray

    @classmethod
    def measured(cls, take: Take, joints: np.ndarray, outline: np.ndarray, *, in_place: bool) -> Performance:
        """Move the origin under the first frame's pelvis, or leave it to the scene if `in_place`."""
        origin = np.zeros(3)
        if not in_place:
            origin[:2] = hips(joints)[0, :2]
            origin[2] = outline[..., 2].min()
        return cls(take, joints - origin, outline - origin, origin)

    @property
    def scale(self) -> float:
        """The person's size: 1 is a grown-up."""
        legs = [[JOINT[f"{side}_{name}"] for name in ("hip", "knee", "ankle")] for side in SIDES]
        bones = np.diff(self.joints[:, legs], axis=2)
        return float(np.linalg.norm(bones, axis=-1).sum(axis=-1).mean()) / _LEG_M

    @property
    def forward(self) -> np.ndarray | None:
        """(3,) unit and horizontal: where the hips face at first; None for somebody who lies."""
        left, right = (self.joints[0, JOINT[f"{side}_hip"]] for side in SIDES)
        shoulders = self.joints[0, [JOINT["left_shoulder"], JOINT["right_shoulder"]]].mean(axis=0)
        facing = np.cross(left - right, shoulders - 0.5 * (left + right))
        level = float(np.linalg.norm(facing[:2]))
        if level < 0.3 * float(np.linalg.norm(facing)) or level == 0:
            return None
        return np.array([*(facing[:2] / level), 0.0])

    @property
    def upper_outline(self) -> np.ndarray:
        """(F, 26, 3) points from the hips up, or of the whole body where it does not stay upright."""
        middle = hips(self.joints)
        shoulders = self.joints[:, [JOINT["left_shoulder"], JOINT["right_shoulder"]], 2].mean(axis=1)
        if (shoulders - middle[:, 2]).min() < _UPRIGHT_M * self.scale:
            return self.outline
        above = self.outline[..., 2] >= middle[:, None, 2]
        return np.where(above[..., None], self.outline, middle[:, None])


def hips(joints: np.ndarray) -> np.ndarray:
    """(F, 3) the middle between the hips, for rigs with any pelvis bone or none."""
    return joints[:, [JOINT["left_hip"], JOINT["right_hip"]]].mean(axis=1)


def projected(points: np.ndarray, path: CameraPath) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (F, N, 2) and depths (F, N) of points (F, N, 3); behind the camera pixels mean nothing."""
    seen = np.einsum("fji,fnj->fni", path.rotations, points - path.positions[:, None])
    depth = seen[..., 2]
    focal = path.intrinsics[:, None, [0, 1], [0, 1]]
    return seen[..., :2] / np.maximum(depth, _NEAR_M)[..., None] * focal + path.intrinsics[
        :, None, :2, 2
    ], depth


def given_camera(
    camera: CameraPath, performance: Performance, num_frames: int, fps: float, size: int
) -> CameraPath:
    """A given path for this clip, about this person.

    Raises:
        InvalidCameraPath: The path is shorter than the clip.
        InvalidScene: It does not look at the person.
    """
    path = camera.resampled(num_frames, fps).for_size(size, size)
    pixels, depth = projected(performance.outline, path)
    inside = ((pixels > 0) & (pixels < size)).all(axis=-1) & (depth > _NEAR_M)
    if inside.mean() < _MIN_SHARE_IN_PICTURE:
        raise InvalidScene(
            f"the given camera does not see {performance.take.character}",
            given=f"{inside.mean():.0%} of the body in the picture on average",
            allowed=f"at least {_MIN_SHARE_IN_PICTURE:.0%}",
            remedy="give a camera that looks at the person, in the scene's own coordinates",
        )
    middle = performance.outline.reshape(-1, 3).mean(axis=0)
    return replace(path, subject_position=middle, subject_forward=performance.forward)


def make_room(rng: np.random.Generator, performance: Performance, paths: list[CameraPath]) -> dict:
    """A floor and walls around the person and its cameras, as `inside_film.Studio.set_room` takes them."""
    around = np.concatenate([performance.outline.reshape(-1, 3), *(path.positions for path in paths)])
    half = float(np.abs(around[:, :2]).max()) + _ROOM_MARGIN_M
    floor = _colours(rng, float(rng.uniform(0.25, 0.7)))
    walls = _colours(rng, float(rng.uniform(0.4, 0.9)))
    return {
        "origin": performance.origin.tolist(),
        "half": half,
        "colours": floor + walls,
        "tiles": int(rng.integers(2**31)),
    }


def _colours(rng: np.random.Generator, brightness: float) -> list[list[float]]:
    """Some paints that go together."""
    hue, saturation = rng.random(), rng.uniform(0.05, 0.5)
    values = np.clip(brightness * np.linspace(0.6, 1.4, _PAINTS_EACH), 0, 1)
    return [
        list(colorsys.hsv_to_rgb((hue + rng.uniform(-0.06, 0.06)) % 1, saturation, value)) for value in values
    ]


def hand_boxes(performance: Performance, path: CameraPath) -> np.ndarray | None:
    """Square boxes (F, 2, 4) float32 around the hands in pixels, whoever stands before them.

    NaN where a hand is behind the camera, outside the picture or smaller than a twentieth of it; None for a
    rig whose fingers are unknown.
    """
    boxes = np.full((path.num_frames, 2, 4), np.nan, np.float32)
    known = [
        [joint for joint in hand if np.isfinite(performance.joints[:, joint]).all()] for hand in HAND_POINTS
    ]
    if max(map(len, known)) < _MIN_FINGER_JOINTS + 1:
        return None
    for hand, joints in enumerate(known):
        if len(joints) < _MIN_FINGER_JOINTS + 1:
            continue
        pixels, depth = projected(performance.joints[:, joints], path)
        low, high = pixels.min(axis=1), pixels.max(axis=1)
        # the last joint ends before the fingertip, and skin lies around all of them
        tips = (
            2
            * _FINGERTIP_M
            * performance.scale
            * path.intrinsics[:, 0, 0]
            / np.maximum(depth.mean(axis=1), _NEAR_M)
        )
        centre, side = 0.5 * (low + high), _HAND_MARGIN * (high - low).max(axis=-1) + tips
        seen = ((centre > 0) & (centre < [path.width, path.height])).all(axis=-1)
        seen &= (depth.min(axis=1) > _NEAR_M) & (side >= _MIN_BOX_SHARE * path.width)
        half = 0.5 * side[:, None]
        boxes[seen, hand] = np.concatenate([centre - half, centre + half], axis=-1)[seen]
    return boxes
