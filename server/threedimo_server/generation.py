"""One job in a worker: files to frames, the pipeline, frames to files; with progress and previews."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from PIL import Image

from threedimo.errors import JobCancelled
from threedimo.media import write_frames, write_video
from threedimo.progress import Step
from threedimo.shot import Shot
from threedimo.wire.messages import ModelInfo, Phase, ResultFile, ResultInfo
from threedimo_server.decoding import Decoders, decode_inputs
from threedimo_server.request_rules import camera_path, shot_of
from threedimo_server.storage import storage_errors, sync_tree
from threedimo_server.worker_link import Work, WorkFinished, WorkPreview, WorkProgress

if TYPE_CHECKING:
    from threedimo.pipeline import MotionTransferPipeline

STEP_INTERVAL_S = 0.5
"""Steps between two reports of this distance are not told one by one: on a CPU, whoever listens works on the
model's own cores. The first and the last of a phase are."""
PREVIEW_INTERVAL_S = 0.5
PREVIEW_SHARE = 0.01
"""Making previews may take this part of the time; sending and showing them takes about as much again."""

_JPEG_QUALITY = 85
_HASH_BLOCK_BYTES = 1024 * 1024


Report = Callable[[WorkProgress | WorkPreview, bytes], None]


class Reporter:
    """Progress and previews of one job.

    Args:
        work: The job.
        report: Sends a report to the front.
    """

    def __init__(self, work: Work, report: Report):
        self._work = work
        self._report = report
        self._started_s = time.monotonic()
        self._step_times_s: list[float] = []
        self._step_due_s = self._preview_due_s = self._started_s

    def tell(self, phase: Phase, step: int, num_steps: int, eta_s: float | None = None) -> None:
        """Report a step of a phase."""
        elapsed_s = time.monotonic() - self._started_s
        progress = WorkProgress(self._work.job_id, self._work.epoch, phase, step, num_steps, elapsed_s, eta_s)
        self._report(progress, b"")

    def on_step(self, step: Step) -> None:
        """The pipeline's `on_step`."""
        now = time.monotonic()
        eta_s = self._eta_s(step.step, step.num_steps, now) if step.phase == "denoising" else None
        if step.step in (0, step.num_steps) or now >= self._step_due_s:
            self.tell(step.phase, step.step, step.num_steps, eta_s)
            self._step_due_s = now + STEP_INTERVAL_S
        if step.preview is not None and self._work.request.previews:
            self._show(step)

    def _eta_s(self, step: int, num_steps: int, now: float) -> float | None:
        """Measured time of a step, the first left out because it warms up, times the steps that remain.

        What comes after the last step (decoding, writing) is not counted: it is short beside denoising.
        """
        if step == 0:
            self._step_times_s.clear()
        self._step_times_s.append(now)
        times_s = self._step_times_s[1:] if len(self._step_times_s) > 2 else self._step_times_s
        if len(times_s) < 2:
            return None
        return (times_s[-1] - times_s[0]) / (len(times_s) - 1) * (num_steps - step)

    def _show(self, step: Step) -> None:
        started_s = time.monotonic()
        if started_s < self._preview_due_s or step.preview is None:
            return
        jpeg = io.BytesIO()
        Image.fromarray(step.preview()).save(jpeg, format="JPEG", quality=_JPEG_QUALITY)
        preview = WorkPreview(self._work.job_id, self._work.epoch, step.step, step.preview_frame)
        self._report(preview, jpeg.getvalue())
        ended_s = time.monotonic()
        self._preview_due_s = ended_s + max(PREVIEW_INTERVAL_S, (ended_s - started_s) / PREVIEW_SHARE)


def generate(
    pipeline: MotionTransferPipeline,
    work: Work,
    camera: bytes,
    reporter: Reporter,
    should_stop: Callable[[], bool],
    *,
    loading_s: float = 0.0,
    decoders: Decoders | None = None,
) -> WorkFinished:
    """Make a job's files in its attempt folder.

    Args:
        pipeline: The loaded model.
        work: The job; its request has a value in every field.
        camera: The camera's numbers, empty without a camera.
        reporter: Is told of every step.
        should_stop: Asked at every step; true ends the job.
        loading_s: How long the model took to load, if it was loaded for this job.
        decoders: Of the worker; None means one that is started for this job.

    Returns:
        The manifest. Every file is on the disk.

    Raises:
        ThreeDimoError: Whatever is wrong with the inputs, the model, or the disk.
        JobCancelled: `should_stop` answered true.
    """
    request, folder = work.request, Path(work.folder)
    shot = shot_of(request, pipeline.info)
    seconds: dict[str, float] = {"loading": loading_s}
    with _phase("decoding", seconds, reporter):
        reference_image, driving_frames, hands = decode_inputs(
            work,
            shot,
            pipeline.driving_size,
            should_stop,
            decoders=decoders,
            hand_size=pipeline.hand_crop_size,
        )
    _stop_if(should_stop)
    output = pipeline(
        reference_image,
        driving_frames,
        request.text,
        camera_path(request, camera or None),
        hands=hands,
        **asdict(shot),
        on_step=reporter.on_step,
        should_stop=should_stop,
    )
    seconds |= output.seconds
    with _phase("writing", seconds, reporter), storage_errors("the result"):
        write_frames(folder / "frames", output.frames)
        write_video(folder / "video.mp4", output.frames, shot.fps)
        write_video(folder / "comparison.mp4", _beside(driving_frames, output.frames), shot.fps)
    _stop_if(should_stop)
    info = _describe(work, shot, pipeline.info, seconds)
    with storage_errors("the result"):
        (folder / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=2))
        files = _manifest(folder)
        sync_tree(folder)
    return WorkFinished(work.job_id, work.epoch, files, info)


def _beside(driving_frames: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """What was made with the driving frames of the same moments at its left, scaled to its height."""
    height = frames.shape[1]
    width = 2 * round(height * driving_frames.shape[2] / driving_frames.shape[1] / 2)  # H.264 wants it even
    scaled = [
        Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC) for frame in driving_frames
    ]
    return np.concatenate([np.stack([np.asarray(frame) for frame in scaled]), frames], axis=2)


def _stop_if(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise JobCancelled("the job was cancelled")


@contextmanager
def _phase(phase: Phase, seconds: dict[str, float], reporter: Reporter) -> Iterator[None]:
    reporter.tell(phase, 0, 1)
    started_s = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - started_s
    reporter.tell(phase, 1, 1)


def _describe(work: Work, shot: Shot, model: ModelInfo, seconds: dict[str, float]) -> ResultInfo:
    return ResultInfo(
        num_frames=shot.num_frames,
        width=shot.width,
        height=shot.height,
        fps=shot.fps,
        seed=shot.seed,
        text=work.request.text,
        model_id=model.id,
        model_notes=model.notes,
        num_inference_steps=shot.num_inference_steps,
        text_guidance_scale=shot.text_guidance_scale,
        motion_guidance_scale=shot.motion_guidance_scale,
        seconds=seconds,
        preset=shot.preset,
        step_cache=shot.step_cache,
    )


def _manifest(folder: Path) -> list[ResultFile]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        ResultFile(name=path.relative_to(folder).as_posix(), size=path.stat().st_size, hash=_hash(path))
        for path in paths
    ]


def _hash(path: Path) -> str:
    hasher = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()
