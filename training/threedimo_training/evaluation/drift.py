"""How a long shot drifts: window after window against the truth, beside windows that begin from the truth.

    windows[i]       means over clips of the i-th window's own frames, with 95% intervals
        .chained     as the pipeline makes a long clip: each window begins with the end of the one before
        .restarted   the same stretch as a shot of its own, whose reference is the true first frame
        .decoder     the true frames through encoder and decoder
        .<run>.psnr_db            against the true frames
        .<run>.colour_delta_e     between the mean colours (CIELAB) of picture and true picture
        .peak_memory_bytes        when the window was done: of the device on a GPU, else of the process
    drift            of all windows but the first two: slopes of chained minus restarted, for each 100 frames

What a window shows decides how near it can come, so that the difference between `chained` and `restarted` is
what carrying on costs.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from skimage.color import rgb2lab

from threedimo.checkpoints import load_pipeline
from threedimo.errors import InvalidRequest
from threedimo.pipeline import MotionTransferPipeline
from threedimo.progress import Step
from threedimo.shot import check_frame_count
from threedimo.windows import Window, clip_windows
from threedimo.wire.messages import ModelInfo
from threedimo_training.evaluation.held_out_clips import SampleDrawer
from threedimo_training.evaluation.intervals import summarise
from threedimo_training.evaluation.metrics import psnr
from threedimo_training.evaluation.provenance import command, hardware, versions
from threedimo_training.evaluation.runs import cut_path, reconstruction
from threedimo_training.samples.sample import ROLES, Sample
from threedimo_training.shards.durable import write_file

FORMAT = "threedimo-drift-1"
RUNS = ("chained", "restarted", "decoder")
METRICS = ("psnr_db", "colour_delta_e")
_SETTLED = 2  # windows: the first begins with the true reference image


@dataclass(frozen=True)
class DriftPlan:
    """What is to be measured.

    Attributes:
        model: "embedded", a folder, or a hub id.
        output: The JSON file to write.
        adapter: Folder of what was trained in it, None for a model that is whole.
        num_frames: Of each clip.
        clips: How many.
        role: One of `ROLES`.
        seed: Which clips, and which noise.
        device: As in `threedimo.checkpoints.load_pipeline`.
        plain: Of people in single colours in bare places, as the embedded model knows them.
    """

    model: str
    output: Path
    adapter: Path | None = None
    num_frames: int = 1001
    clips: int = 4
    role: str = "same_view"
    seed: int = 0
    device: str = "auto"
    plain: bool = False

    def __post_init__(self):
        if self.role not in ROLES:
            raise InvalidRequest("no such kind of clip", given=self.role, allowed=", ".join(ROLES))
        if self.clips < 1 or self.seed < 0:
            raise InvalidRequest(
                "clips and seed out of range",
                given=f"{self.clips} clips, seed {self.seed}",
                allowed="at least 1 clip, a seed from 0",
            )


def measure_drift(
    plan: DriftPlan, drawer: Callable[[ModelInfo], SampleDrawer], say: Callable[[str], None]
) -> dict[str, Any]:
    """Make long clips and measure every window.

    Args:
        plan: What and how much.
        drawer: Gives, for a model, what draws its held-out samples, of `plan.num_frames`.
        say: Is told how it goes, line by line.

    Returns:
        What the JSON file holds.

    Raises:
        ModelError: The model cannot be used.
        UnsupportedFrameCount: It cannot make clips of this length.
        StorageError: The output cannot be written.
    """
    pipeline = load_pipeline(plan.model, plan.adapter and str(plan.adapter), device=plan.device)
    draw, info = drawer(pipeline.info), pipeline.info
    check_frame_count(plan.num_frames, info)
    windows = clip_windows(info, plan.num_frames, pipeline.config["num_lead_latents"])
    rows: list[list[dict[str, Any]]] = []
    for index in range(plan.clips):
        sample = draw(np.random.default_rng([plan.seed, index]), plan.role)
        rows.append(clip_drift(pipeline, sample, windows, seed=plan.seed + index))
        say(f"clip {index + 1}/{plan.clips}  {_line(rows[-1])}")
    document = {
        "format": FORMAT,
        "model": {"id": info.id, "name": plan.model, "adapter": plan.adapter and str(plan.adapter)},
        "frames": {"count": plan.num_frames, "fps": info.fps, "window": info.num_frames},
        "clips": plan.clips,
        "role": plan.role,
        "seed": plan.seed,
        "windows": [_means(same) for same in zip(*rows, strict=True)],
        "drift": {
            metric: asdict(summarise([drift_slope(row, metric) for row in rows])) for metric in METRICS
        },
        "versions": versions(),
        "hardware": hardware(pipeline.device),
        "command": command(),
    }
    write_file(plan.output, msgspec.json.format(msgspec.json.encode(document), indent=2))
    return document


def clip_drift(
    pipeline: MotionTransferPipeline, sample: Sample, windows: list[Window], *, seed: int
) -> list[dict[str, Any]]:
    """Measure one clip: for each window its frames, the metrics of each run, and the memory.

    Args:
        pipeline: The model.
        sample: As long as the windows reach.
        windows: From `threedimo.windows.clip_windows`.
        seed: Of the noise of all runs.
    """
    chained, memory = _chained(pipeline, sample, len(windows), seed)
    decoded = reconstruction(pipeline, sample.target.frames)
    rows = []
    for index, window in enumerate(windows):
        frames = window.video_frames(pipeline.info.frame_step)
        restarted = _made(pipeline, sample, frames, seed)
        # the window's own frames: those of its clean lead are another window's, or the reference image
        lead = pipeline.info.frame_step * (window.num_lead_latents - 1) + 1
        own = slice(frames.start + lead, frames.stop)
        truth = sample.target.frames[own]
        rows.append(
            {
                "start": own.start,
                "stop": own.stop,
                "chained": _metrics(chained[own], truth),
                "restarted": _metrics(restarted[lead:], truth),
                "decoder": _metrics(decoded[own], truth),
                "peak_memory_bytes": memory[index],
            }
        )
    return rows


def drift_slope(rows: list[dict[str, Any]], metric: str) -> float | None:
    """Slope of a straight line through chained minus restarted, for each 100 frames.

    Args:
        rows: The windows of a clip, from `clip_drift`.
        metric: One of `METRICS`.

    Returns:
        None where there are fewer than two windows after the first two.
    """
    later = rows[_SETTLED:]
    if len(later) < 2:
        return None
    differences = [row["chained"][metric] - row["restarted"][metric] for row in later]
    return float(100 * np.polyfit([row["start"] for row in later], differences, 1)[0])


def _chained(
    pipeline: MotionTransferPipeline, sample: Sample, num_windows: int, seed: int
) -> tuple[np.ndarray, list[int]]:
    """Frames of the whole clip, and the peak of memory at the end of each window."""
    memory: list[int] = []

    def note(step: Step) -> None:
        done = step.step * num_windows
        if step.phase == "denoising" and step.step and done % step.num_steps == 0:
            memory.append(_peak_bytes(pipeline.device))

    whole = slice(0, len(sample.target.frames))
    return _made(pipeline, sample, whole, seed, on_step=note), memory


def _made(
    pipeline: MotionTransferPipeline, sample: Sample, frames: slice, seed: int, **options: Any
) -> np.ndarray:
    target = sample.target
    return pipeline(
        target.frames[frames.start],
        sample.driving.frames[frames],
        target.text,
        None if target.path is None else cut_path(target.path, frames),
        fps=sample.fps,
        width=target.frames.shape[2],
        height=target.frames.shape[1],
        seed=seed,
        **options,
    ).frames


def _metrics(frames: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    colours, wanted = (rgb2lab(clip).mean(axis=(1, 2)) for clip in (frames, truth))
    return {
        "psnr_db": psnr(frames, truth),
        "colour_delta_e": float(np.linalg.norm(colours - wanted, axis=-1).mean()),
    }


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _means(same: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {
        **{name: same[0][name] for name in ("start", "stop")},
        **{
            run: {metric: asdict(summarise([row[run][metric] for row in same])) for metric in METRICS}
            for run in RUNS
        },
        "peak_memory_bytes": max(row["peak_memory_bytes"] for row in same),
    }


def _line(rows: list[dict[str, Any]]) -> str:
    ends = [rows[0], rows[len(rows) // 2], rows[-1]]
    return "  ".join(
        f"frame {row['start']}: {row['chained']['psnr_db']:.1f} dB, "
        f"begun anew {row['restarted']['psnr_db']:.1f}"
        for row in ends
    )
