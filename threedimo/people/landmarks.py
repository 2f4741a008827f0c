"""Two networks that see people: one finds them in a picture, one says where a found person's joints are.

They are BlazePose (Bazarevsky et al. 2020) as the package `mediapipe` ships it; `models/README.md` says from
where. Notable: a found person is a turned square, its region, about the middle of the hips and large enough
for the whole body; the second network looks only at that square, and tells the square for the next frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidRequest

try:
    import cv2
    from ai_edge_litert.interpreter import Interpreter
except ImportError as error:
    raise InvalidRequest(
        "people in footage cannot be found here: packages are missing",
        given=error.name,
        remedy="pip install 'threedimo[people]' on the machine that makes the shots",
    ) from error

MODELS = Path(__file__).parent / "models"
NUM_LANDMARKS = 33
NOSE, SHOULDERS = 0, (11, 12)
# Wrist, knuckles of the little and the index finger, tip of the thumb; left hand first.
HAND_LANDMARKS = ((15, 17, 19, 21), (16, 18, 20, 22))

_DETECTOR_PX, _LANDMARKS_PX = 224, 256
_STRIDES = (8, 16, 32, 32, 32)
_MIN_LOGIT, _MIN_PRESENCE = 0.0, 0.5
# Squares follow each other in this part of their side, so that one of them holds a person whole.
_WINDOW_STEP = 0.6
# Regions this close, in their own radius, and of sizes no further apart than this, are of one person.
_SAME_PERSON, _SAME_SIZE = 0.35, 2.0
_REGION_MARGIN = 1.25
# Rows of the network's answer after the landmarks: middle of the hips, and a point on the body's circle.
_HIPS_ROW, _CIRCLE_ROW = 33, 34


@dataclass(frozen=True)
class Region:
    """A turned square around a whole person, in pixels: centre, half side, and where the head is.

    `angle` is 0 for an upright person and grows clockwise, in radians.
    """

    x: float
    y: float
    radius: float
    angle: float

    @classmethod
    def from_circle(cls, hips: np.ndarray, top: np.ndarray) -> Region:
        """The region of a person whose hips are here, with a point straight above on the body's circle."""
        dx, dy = (top - hips).tolist()
        radius = _REGION_MARGIN * float(np.hypot(dx, dy))
        return cls(float(hips[0]), float(hips[1]), radius, float(np.arctan2(dx, -dy)))

    def is_near(self, other: Region) -> bool:
        """Whether both regions show one person."""
        near, far = sorted((self.radius, other.radius))
        distance = np.hypot(self.x - other.x, self.y - other.y)
        return bool(distance < _SAME_PERSON * near and far < _SAME_SIZE * near)

    def picture_from_region(self) -> np.ndarray:
        """(2, 3) matrix from the square's own pixels (256 a side) to the picture's."""
        scale = 2 * self.radius / _LANDMARKS_PX
        cos, sin = scale * np.cos(self.angle), scale * np.sin(self.angle)
        middle = 0.5 * _LANDMARKS_PX
        return np.array(
            [
                [cos, -sin, self.x - middle * (cos - sin)],
                [sin, cos, self.y - middle * (sin + cos)],
            ]
        )


@dataclass(frozen=True, eq=False)
class SeenPerson:
    """One person in one picture.

    Attributes:
        landmarks: (33, 2) pixels, in BlazePose's order.
        visibility: (33,) from 0 (hidden, or outside of the picture) to 1.
        box: (4,) left, top, right, bottom of the whole body, up to the crown of the head, as far as it is in
            the picture; hidden parts count where they are thought to be.
        region: Where to look for the same person in the next frame.
    """

    landmarks: np.ndarray
    visibility: np.ndarray
    box: np.ndarray
    region: Region


class PersonModels:
    """Both networks, loaded; not to be shared between threads."""

    def __init__(self) -> None:
        self._detector = _Network(MODELS / "pose_detection.tflite")
        self._landmarks = _Network(MODELS / "pose_landmark_full.tflite")

    def find(self, frame: np.ndarray) -> list[Region]:
        """Regions where people may be in a picture `(height, width, 3)` uint8 RGB.

        The detector sees 224 pixels a side, so it looks at overlapping squares as high as the picture (as
        wide, if it stands upright), and at the whole picture only where these show nobody.
        """
        height, width = frame.shape[:2]
        side, longer = min(height, width), max(height, width)
        regions: list[Region] = []
        for start in np.linspace(0, longer - side, 1 + ceil((longer - side) / (_WINDOW_STEP * side))):
            left, top = (int(start), 0) if width > height else (0, int(start))
            for found in self._detect(frame[top : top + side, left : left + side]):
                region = replace(found, x=found.x + left, y=found.y + top)
                if not any(region.is_near(other) for other in regions):
                    regions.append(region)
        return regions or self._detect(frame)

    def _detect(self, frame: np.ndarray) -> list[Region]:
        height, width = frame.shape[:2]
        scale = _DETECTOR_PX / max(height, width)
        small = cv2.resize(
            frame, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
        square = np.full((_DETECTOR_PX, _DETECTOR_PX, 3), -1.0, np.float32)
        left, top = (_DETECTOR_PX - small.shape[1]) // 2, (_DETECTOR_PX - small.shape[0]) // 2
        square[top : top + small.shape[0], left : left + small.shape[1]] = small / 127.5 - 1.0
        raw, logits = self._detector(square)
        regions: list[Region] = []
        for index in np.argsort(-logits[:, 0]):
            if logits[index, 0] < _MIN_LOGIT:
                break
            # after the box come four points: the hips, the body's circle, and the same of the upper body
            points = raw[index, 4:8].reshape(2, 2) + _DETECTOR_PX * _anchors()[index]
            points = (points - [left, top]) / scale
            region = Region.from_circle(*points)
            if region.radius > 1 and not any(region.is_near(other) for other in regions):
                regions.append(region)
        return regions

    def look(self, frame: np.ndarray, region: Region) -> SeenPerson | None:
        """The person in a region of a picture `(height, width, 3)` uint8 RGB, or None if nobody is there.

        An answer whose own region is another than the one that was looked at is a guess and counts as nobody.
        """
        picture_from_region = region.picture_from_region()
        patch = cv2.warpAffine(
            frame,
            picture_from_region,
            (_LANDMARKS_PX, _LANDMARKS_PX),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        raw, presence = self._landmarks(patch.astype(np.float32) / 255.0)[:2]
        if float(presence.squeeze()) < _MIN_PRESENCE:
            return None
        rows = raw.reshape(-1, 5)
        points = rows[:, :2] @ picture_from_region[:, :2].T + picture_from_region[:, 2]
        own_region = Region.from_circle(points[_HIPS_ROW], points[_CIRCLE_ROW])
        if not own_region.is_near(region):
            return None
        visibility = 0.5 + 0.5 * np.tanh(0.5 * rows[:NUM_LANDMARKS, 3])
        height, width = frame.shape[:2]
        body = points[:NUM_LANDMARKS]
        inside = np.all((body >= 0) & (body <= [width, height]), axis=-1)
        visible = np.where(inside, visibility, 0.0)
        return SeenPerson(body, visible, _box(body, width, height), own_region)


class _Network:
    """One network of one picture; answers in the order of its outputs, without the batch axis."""

    def __init__(self, path: Path) -> None:
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        self._interpreter.set_tensor(self._input, picture[None].astype(np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index)[0] for index in self._outputs]


def _box(landmarks: np.ndarray, width: int, height: int) -> np.ndarray:
    # the crown is as far above the nose as the nose is above the shoulders, nearly
    crown = landmarks[NOSE] + 0.8 * (landmarks[NOSE] - landmarks[list(SHOULDERS)].mean(axis=0))
    points = np.clip(np.concatenate([landmarks, crown[None]]), 0, [width, height])
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


@cache
def _anchors() -> np.ndarray:
    """(2254, 2) centres, in shares of the picture, that the detector's answers are relative to."""
    anchors = []
    for stride in _STRIDES:
        cells = (np.arange(_DETECTOR_PX // stride) + 0.5) / (_DETECTOR_PX // stride)
        y, x = np.meshgrid(cells, cells, indexing="ij")
        grid = np.repeat(np.stack([x, y], -1).reshape(-1, 2), 2, axis=0)
        anchors.append(grid)
    # layers of equal stride share their cells: six anchors of a cell follow each other
    fine, coarse = anchors[:2], anchors[2:]
    merged = np.stack([layer.reshape(-1, 2, 2) for layer in coarse], axis=1).reshape(-1, 2)
    return np.concatenate([*fine, merged])
