"""Stick people, drawn without a renderer, and folders of them."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def stick_people() -> ModuleType:
    """The module `programs/stick_people.py`, under a name that spawned processes can import too."""
    sys.path.append(str(PROGRAMS))
    import stick_people

    return stick_people


@pytest.fixture(scope="session")
def samples(stick_people) -> list:
    """Six whole samples of 64 pixels and 9 frames, of all roles."""
    from threedimo_training.shards.render_options import RenderOptions

    options = RenderOptions(64, 9, 12.0, ("same_view", "cross_view", "moving_camera"), False)
    return [stick_people.draw(7, 0, index, options) for index in range(6)]


@pytest.fixture
def sample(samples):
    return samples[2]


@pytest.fixture
def folder(samples, tmp_path) -> Path:
    """Three shards of two samples each."""
    from threedimo_training.shards.writer import write_shards

    write_shards(samples, tmp_path / "shards", shard_samples=2)
    return tmp_path / "shards"


@pytest.fixture
def render(stick_people) -> Callable[..., tuple[list, str]]:
    """Renders 10 tiny clips in shards of 4, unless told otherwise; gives the entries and what was shown."""
    from threedimo_training.shards.progress import RenderProgress
    from threedimo_training.shards.render_job import render_shards

    def run(output: Path, **changes: Any) -> tuple[list, str]:
        stream = io.StringIO()
        options = {
            "clips": 10, "size": 32, "num_frames": 5, "fps": 8.0, "seed": 3, "workers": 2, "held_out": False,
            "roles": ("same_view", "moving_camera"), "draw": stick_people.draw, "shard_clips": 4,
        }  # fmt: skip
        with RenderProgress(stream) as progress:
            entries = render_shards(output=output, report=progress, **(options | changes))
        return entries, stream.getvalue()

    return run
