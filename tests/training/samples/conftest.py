import numpy as np
import pytest

from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.sample import ROLES, Sample
from threedimo_training.samples.sampler import draw_sample

SIZE, NUM_FRAMES, FPS = 64, 9, 8.0


def _draw(number: int, role: str, **options) -> Sample:
    return draw_sample(
        np.random.default_rng([3, number]),
        CpuRenderer(),
        sample_id=f"test-{number}",
        seed=3,
        size=SIZE,
        num_frames=NUM_FRAMES,
        fps=FPS,
        role=role,
        **options,
    )


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    """Twelve samples, four of each role."""
    return [_draw(number, ROLES[number % 3]) for number in range(12)]


@pytest.fixture(scope="session")
def draw_test_sample():
    """Draws sample `number` of a fixed series of small samples."""
    return _draw
