"""What a model can make of a request, checked the moment it arrives and without torch.

A client hears at once what a worker would refuse minutes later. What needs pixels (damaged files, a video
that is too short) is the worker's to find.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from threedimo.camera import CameraPath
from threedimo.errors import InvalidRequest
from threedimo.shot import Shot
from threedimo.wire.messages import Footage, GenerateRequest, ModelInfo
from threedimo.wire.model_ids import choose_model

_EARLY = 0.1  # Of a frame; `threedimo.media` samples footage with the same tolerance.


def resolve_request(
    request: GenerateRequest, camera: bytes | None, models: Sequence[ModelInfo]
) -> GenerateRequest:
    """The request with its model's id and defaults in place of all that it left open, checked against it.

    Args:
        request: What the client asked for.
        camera: The body of `submit`.
        models: Those of the server, the default first.

    Raises:
        ModelNotFound: The server has no such model.
        UnsupportedFrameCount: The model cannot make this number of frames; names the nearest that it can.
        UnsupportedSize: The model cannot make frames of this size; names the nearest that it can.
        InvalidRequest: Another number is out of range, or the footage contradicts itself or ends too early.
        InvalidCameraPath: The numbers are no camera path, or it ends before the shot does.
    """
    info = choose_model(models, request.model_id)
    shot = shot_of(request, info)
    _require_footage(request.driving_footage, shot, info)
    path = camera_path(request, camera)
    if path is not None:
        path.resampled(shot.num_frames, shot.fps)  # Only to learn whether the path lasts.
    return msgspec.structs.replace(request, model_id=info.id, **asdict(shot))


def camera_path(request: GenerateRequest, camera: bytes | None) -> CameraPath | None:
    """The request's camera as a path. Raises InvalidCameraPath."""
    if request.camera is None or camera is None:
        return None
    return CameraPath.from_bytes(camera, **msgspec.structs.asdict(request.camera))


def shot_of(request: GenerateRequest, info: ModelInfo) -> Shot:
    """The numbers of the request, checked, with the model's defaults. Raises as `Shot.checked`."""
    return Shot.checked(
        info,
        num_frames=request.num_frames,
        fps=request.fps,
        width=request.width,
        height=request.height,
        num_inference_steps=request.num_inference_steps,
        text_guidance_scale=request.text_guidance_scale,
        motion_guidance_scale=request.motion_guidance_scale,
        preset=request.preset,
        step_cache=request.step_cache,
        seed=request.seed,
    )


def _require_footage(footage: Footage, shot: Shot, info: ModelInfo) -> None:
    if footage.fps is None:
        if len(footage.files) > 1:
            raise InvalidRequest(
                "an image sequence needs its frame rate",
                given=f"{len(footage.files)} files and no fps",
                remedy="say how many frames per second the images are",
            )
        return  # One video: only its decoder knows how long it is.
    covered_s = len(footage.files) / footage.fps - footage.start_s - _EARLY / max(footage.fps, shot.fps)
    if covered_s <= _last_s(shot):
        raise InvalidRequest(
            f"the driving footage ends before the shot's last frame, which is at {_last_s(shot):.2f} s",
            given=f"{len(footage.files)} images at {footage.fps:g} fps from {footage.start_s:g} s on",
            remedy=_fitting(math.ceil(covered_s * shot.fps), info),
        )


def _last_s(shot: Shot) -> float:
    return (shot.num_frames - 1) / shot.fps


def _fitting(num_covered: int, info: ModelInfo) -> str:
    most = (min(num_covered, info.max_frames) - 1) // info.frame_step * info.frame_step + 1
    if most <= 1:
        return "give more of it, or start earlier"
    return f"choose at most {most} frames, or give more of it"
