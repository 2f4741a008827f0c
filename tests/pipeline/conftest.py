from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threedimo.camera import CameraPath, View, moves
from threedimo.checkpoints import load_pipeline
from threedimo.pipeline import MotionTransferOutput, MotionTransferPipeline


@pytest.fixture(scope="session")
def pipeline(tiny_pipeline_folder: Path) -> MotionTransferPipeline:
    """Shared by all tests of this folder: a test that changes weights loads its own."""
    return load_pipeline(str(tiny_pipeline_folder), device="cpu")


@pytest.fixture(scope="session")
def reference_image() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (40, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def driving_frames() -> np.ndarray:
    """As many frames as the tiny model can make; a test takes the first ones."""
    return np.random.default_rng(2).integers(0, 256, (33, 36, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def camera_path() -> CameraPath:
    return moves.arc_left(View.around((0.0, 0.0, 0.9)), num_frames=33, fps=8.0)


@pytest.fixture
def make(
    pipeline: MotionTransferPipeline, reference_image: np.ndarray, driving_frames: np.ndarray
) -> Callable[..., MotionTransferOutput]:
    """Make a shot of the shared inputs; `num_frames` is cut from the driving frames."""

    def run(num_frames: int = 9, **settings: Any) -> MotionTransferOutput:
        return pipeline(reference_image, driving_frames[:num_frames], **settings)

    return run
