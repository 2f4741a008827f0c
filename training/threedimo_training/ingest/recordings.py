"""Which videos belong together, their cameras, and their captions.

A recording is one video, or several that filmed one performance from their first frame on. Cameras come as
one JSON object that maps a video's file name to a camera path (the format of `threedimo.camera.storage`),
relative to the JSON's own folder:

    {"front.mp4": "front.camera.json", "left.mp4": "left.camera.json"}

A path of one frame is a camera that stands still; any other lasts as long as its video. Videos that are not
named have no known camera.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath, InvalidRequest
from threedimo_training.ingest.footage import SampledVideo
from threedimo_training.ingest.texts import read_caption

_MAX_NAME = 30
_MAX_CAMERAS_BYTES = 16 * 1024**2
_RATE_SLACK, _LENGTH_SLACK_FRAMES = 1e-3, 1.5


@dataclass(frozen=True)
class View:
    """One video of a recording.

    Attributes:
        name: Its file's stem, made fit for sample ids.
        video: The file, looked at `fps` times a second.
        camera: Its camera, or None. At the camera's own times, for the video's whole picture.
        caption: What the caption file beside it says, or None.
    """

    name: str
    video: SampledVideo
    camera: CameraPath | None
    caption: str | None

    def camera_between(self, start: int, num_frames: int) -> CameraPath | None:
        """The camera during a clip, one pose a frame.

        Raises:
            InvalidCameraPath: The path ends before the clip does.
        """
        if self.camera is None:
            return None
        try:
            path = self.camera.resampled(start + num_frames, self.video.fps)
        except InvalidCameraPath as error:
            raise InvalidCameraPath(
                f"the camera of {self.video.path.name} ends before the video does: {error.problem}",
                given=error.given,
                allowed="one frame for a camera that stands still, or a path as long as the video",
            ) from error
        return replace(
            path, world_from_camera=path.world_from_camera[start:], intrinsics=path.intrinsics[start:]
        )


@dataclass(frozen=True)
class Recording:
    """Views of one performance, at least one, in step from their first frames on."""

    views: tuple[View, ...]

    @property
    def name(self) -> str:
        """The first view's."""
        return self.views[0].name


def open_recordings(
    videos: Sequence[Path], cameras: Path | None, fps: float, synchronised: bool
) -> list[Recording]:
    """Look into all videos, their cameras and captions.

    Args:
        videos: The files.
        cameras: The JSON that maps file names to camera paths, or None.
        fps: How many frames of a second to look at.
        synchronised: Whether the videos are views of one performance.

    Raises:
        MediaError: A video cannot be used.
        InvalidCameraPath: A camera cannot be used; the file is named.
        InvalidRequest: No videos, two of one name, cameras of videos that are not there, or views that do not
            fit together.
        DataError: A caption file cannot be used.
    """
    if not videos:
        raise InvalidRequest("there are no videos", allowed="at least one file")
    names = [_sample_name(video.stem) for video in videos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest(
            "two videos have the same name", given=", ".join(twice), remedy="rename one of them"
        )
    paths = _read_cameras(cameras) if cameras else {}
    if unknown := sorted(paths.keys() - {video.name for video in videos}):
        raise InvalidRequest(f"{cameras} names a video that is not given", given=", ".join(unknown))
    views = []
    for name, file in zip(names, videos, strict=True):
        video = SampledVideo.open(file, fps)
        camera = paths.get(file.name)
        if camera is not None:
            _check_size(video, camera)
        views.append(View(name, video, camera, read_caption(file)))
    if not synchronised:
        return [Recording((view,)) for view in views]
    _check_in_step(views)
    return [Recording(tuple(views))]


def _sample_name(stem: str) -> str:
    """A stem that can be part of a sample's id; a long one is told apart by a hash."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", stem)
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:21]}-{hashlib.blake2b(stem.encode(), digest_size=4).hexdigest()}"


def _read_cameras(file: Path) -> Mapping[str, CameraPath]:
    try:
        if file.stat().st_size > _MAX_CAMERAS_BYTES:
            raise InvalidCameraPath(f"{file} is too large", allowed=f"{_MAX_CAMERAS_BYTES} bytes")
        content: object = json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidCameraPath(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidCameraPath(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise InvalidCameraPath(
            f"{file} does not map videos to cameras",
            allowed='{"VIDEO.mp4": "CAMERA.json", ...}, paths relative to this file',
        )
    return {name: CameraPath.from_json(file.parent / path) for name, path in content.items()}


def _check_size(video: SampledVideo, camera: CameraPath) -> None:
    if (camera.width, camera.height) != (video.info.width, video.info.height):
        raise InvalidCameraPath(
            f"the camera of {video.path.name} is of another size than the video",
            given=f"{camera.width}x{camera.height} pixels",
            allowed=f"{video.info.width}x{video.info.height}",
            remedy="calibrate at the video's size, or scale the intrinsics",
        )


def _check_in_step(views: Sequence[View]) -> None:
    if len(views) < 2:
        raise InvalidRequest("one video alone is not synchronised", remedy="give all views, or none as such")
    first = views[0].video
    for other in (view.video for view in views[1:]):
        if abs(other.info.fps - first.info.fps) > _RATE_SLACK * first.info.fps:
            raise InvalidRequest(
                "synchronised views have different frame rates",
                given=f"{first.path.name}: {first.info.fps:g}, {other.path.name}: {other.info.fps:g}",
                remedy="export all views with one frame rate",
            )
        if abs(other.info.duration_s - first.info.duration_s) > _LENGTH_SLACK_FRAMES / first.info.fps:
            raise InvalidRequest(
                "synchronised views have different lengths",
                given=f"{first.path.name}: {first.info.duration_s:.3f} s, "
                f"{other.path.name}: {other.info.duration_s:.3f} s",
                remedy="cut all views to begin and end together",
            )
