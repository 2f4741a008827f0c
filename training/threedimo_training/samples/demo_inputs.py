"""The demo's inputs, rendered by the data engine: one person's picture, footage of another, a camera path."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from threedimo.media import write_png, write_video
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.sampler import draw_sample

SIZE_PX, FPS, NUM_FRAMES = 256, 24.0, 49


def write_demo_inputs(folder: Path, seed: int, role: str, *, plain: bool = False) -> str:
    """Write reference.png, driving.mp4 and camera_path.json from a held-out sample.

    The footage has a higher rate and size than the embedded model, as real footage has.

    Args:
        folder: Where; made if it is missing.
        seed: Which sample.
        role: One of `threedimo_training.samples.sample.ROLES`.
        plain: People in single colours in bare places.

    Returns:
        The text of the camera.
    """
    sample = draw_sample(
        np.random.default_rng(seed),
        CpuRenderer(),
        sample_id="demo",
        seed=seed,
        size=SIZE_PX,
        num_frames=NUM_FRAMES,
        fps=FPS,
        role=role,
        held_out=True,
        plain=plain,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_png(folder / "reference.png", sample.target.frames[0])
    write_video(folder / "driving.mp4", sample.driving.frames, FPS)
    assert sample.target.path is not None
    sample.target.path.to_json(folder / "camera_path.json")
    return sample.target.text
