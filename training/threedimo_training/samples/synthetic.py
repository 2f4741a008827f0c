"""Synthetic samples as a renderer of shards draws them: from the shard's and the sample's number alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.motions import MotionSource, ProceduralMotions, RecordedMotions
from threedimo_training.samples.sample import Sample
from threedimo_training.samples.sampler import draw_sample
from threedimo_training.shards.render_options import RenderOptions


def draw_synthetic(
    seed: int,
    shard_index: int,
    sample_index: int,
    options: RenderOptions,
    *,
    motions: str | None = None,
    plain: bool = False,
) -> Sample:
    """Draw one sample of a folder of shards; roles take turns.

    Args:
        seed: Of the folder.
        shard_index: Which shard.
        sample_index: Which of its samples.
        options: What all samples share.
        motions: Folder of recorded motions to perform, instead of procedural ones.
        plain: People in single colours in bare places; see `draw_sample`. Bind this and `motions` with
            `functools.partial` to get a `shards.shard_task.Draw`.

    Raises:
        InvalidMotion: A recording cannot be used.
    """
    return draw_sample(
        np.random.default_rng([seed, shard_index, sample_index]),
        _renderer(),
        sample_id=f"synthetic-{seed}-{shard_index:05d}-{sample_index:03d}",
        seed=seed,
        size=options.size,
        num_frames=options.num_frames,
        fps=options.fps,
        role=options.roles[(shard_index + sample_index) % len(options.roles)],
        held_out=options.held_out,
        motions=_motions(motions),
        plain=plain,
    )


@cache
def _motions(folder: str | None) -> MotionSource:
    return ProceduralMotions() if folder is None else RecordedMotions(Path(folder))


@cache
def _renderer() -> CpuRenderer:
    return CpuRenderer()
