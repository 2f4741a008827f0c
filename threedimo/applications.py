"""What the method does without another word of training, each only a recipe of inputs (paper, applications).

A recipe gives the arguments of the pipeline: `pipeline(*novel_view(picture, path), fps=path.fps)`.

The third application, automatic alignment, is no recipe at all: motion tokens carry no view, so driver and
reference may face different ways, and nobody has to turn one to the other. See docs/applications.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from threedimo.camera import CameraPath, View, describe
from threedimo.errors import InvalidRequest
from threedimo.shot import check_pictures

STEADY_CAMERA = "The camera remains static."
"""The text of a stabilised clip (paper, applications); `describe` says the same of a camera that stays."""

VIEWPOINTS_DEG: dict[str, float] = {
    "front": 0.0,
    "front-left": 45.0,
    "left": 90.0,
    "back-left": 135.0,
    "back": 180.0,
    "back-right": -135.0,
    "right": -90.0,
    "front-right": -45.0,
}
"""From where a picture sees a person, as azimuths of `View.around`; left and right are the person's own."""

_SUBJECT_M = (0.0, 0.0, 0.9)


class ShotInputs(NamedTuple):
    """The inputs of one shot, in the order in which `MotionTransferPipeline` takes them.

    Attributes:
        reference_image: (height, width, 3) uint8 RGB.
        driving_frames: (frames, height, width, 3) uint8 RGB, one for every frame of the result.
        prompt: The camera in words.
        camera_path: The same camera exactly, or None where words alone move it.
    """

    reference_image: np.ndarray
    driving_frames: np.ndarray
    prompt: str
    camera_path: CameraPath | None


def novel_view(reference_image: np.ndarray, camera_path: CameraPath) -> ShotInputs:
    """See the person of one picture from elsewhere: the picture drives itself, and only the camera moves.

    The paper moves the camera by text alone; the exact path beside it is this project's addition. For the
    paper's way, give the pipeline None in its place.

    Args:
        reference_image: The person, (height, width, 3) uint8 RGB.
        camera_path: How the camera moves, a frame for every frame of the result. Its first frame should see
            the person as the picture does: `start_view` makes such a beginning for a move of `MOVES`.

    Returns:
        Inputs whose driving frames are the picture itself, repeated without a copy (read-only).

    Raises:
        InvalidRequest: The picture is not uint8 RGB.
    """
    check_pictures("reference_image", reference_image, "(height, width, 3)")
    still = np.broadcast_to(reference_image, (camera_path.num_frames, *reference_image.shape))
    return ShotInputs(reference_image, still, describe(camera_path), camera_path)


def start_view(seen_from: str = "front", *, width: int = 832, height: int = 480) -> View:
    """A camera that sees a person as a picture does of which nothing is known but the side that it shows.

    What the picture does not tell is assumed: a camera at the height of the person's middle, which stands in
    the middle of the picture, and a lens of 45 degrees from top to bottom. Scale has no meaning here, as
    hints are measured in distances to the person.

    Args:
        seen_from: A key of `VIEWPOINTS_DEG`.
        width: Width of the result in pixels.
        height: Height of the result in pixels.

    Raises:
        InvalidRequest: Another word.
    """
    if seen_from not in VIEWPOINTS_DEG:
        raise InvalidRequest(
            "nobody can be seen from there",
            given=seen_from,
            allowed=", ".join(VIEWPOINTS_DEG),
            remedy="say which side of the person the picture shows; left and right are the person's own",
        )
    return View.around(_SUBJECT_M, azimuth_deg=VIEWPOINTS_DEG[seen_from], width=width, height=height)


def stabilization(shaky_frames: np.ndarray) -> ShotInputs:
    """Show what a shaky clip shows from a camera that stays where the clip's first frame was taken.

    Args:
        shaky_frames: (frames, height, width, 3) uint8 RGB, sampled at the rate of the result; as many frames
            as the model makes. More than one window of the model's are made window by window.

    Raises:
        InvalidRequest: The clip is empty or not uint8 RGB.
    """
    check_pictures("shaky_frames", shaky_frames, "(frames, height, width, 3)")
    return ShotInputs(shaky_frames[0], shaky_frames, STEADY_CAMERA, None)
