# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot as it stood when Generate was pressed, and the request that it becomes. No bpy here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from threedimo.wire.assets import make_asset
from threedimo.wire.messages import CameraTrack, Footage, GenerateRequest

from .result_presets import ResultSettings
from .timeline import FrameMapping

if TYPE_CHECKING:
    from threedimo.camera import CameraPath


@dataclass(frozen=True)
class Order:
    """A shot as it stood when Generate was pressed.

    Attributes:
        reference_image: Picture of the character.
        driving_files: One video, or the pictures of a sequence in order; none before they are filmed.
        driving_fps: Frames per second of a sequence; None for a video.
        driving_start_s: Where in the footage the motion begins.
        text: What the camera sees and does, in words.
        camera_path: The same, exactly; one pose per scene frame.
        seed: The same seed gives the same frames.
        model_id: Which of the server's models makes them; "" in takes from before servers had several.
        result: How they are made; None, the model's own way, in takes from before there was a choice.
    """

    reference_image: Path
    driving_files: tuple[Path, ...]
    driving_fps: float | None
    driving_start_s: float
    text: str
    camera_path: CameraPath
    seed: int
    model_id: str
    result: ResultSettings | None = None


@dataclass(frozen=True)
class Submission:
    """What `Client.submit` takes."""

    request: GenerateRequest
    files: dict[str, Path | bytes]
    camera: bytes


def build_request(order: Order, mapping: FrameMapping) -> Submission:
    """Read and name the files, and write the camera down. Runs in the thread."""
    reference = make_asset(order.reference_image, order.reference_image.name)
    driving = [make_asset(path, path.name) for path in order.driving_files]
    path, result = order.camera_path, order.result
    request = GenerateRequest(
        reference_image=reference,
        driving_footage=Footage(files=driving, fps=order.driving_fps, start_s=order.driving_start_s),
        model_id=order.model_id,
        text=order.text,
        camera=CameraTrack(
            num_frames=path.num_frames,
            fps=path.fps,
            width=path.width,
            height=path.height,
            has_subject=path.subject_position is not None,
        ),
        num_frames=mapping.num_frames,
        fps=mapping.fps,
        width=result.width if result else None,
        height=result.height if result else None,
        preset=result.preset if result else "",
        # The steps of a preset are its own.
        num_inference_steps=result.num_inference_steps if result and not result.preset else None,
        seed=order.seed,
        previews=True,
    )
    files: dict[str, Path | bytes] = {reference.hash: order.reference_image}
    files |= {asset.hash: file for asset, file in zip(driving, order.driving_files, strict=True)}
    return Submission(request, files, path.to_bytes())
