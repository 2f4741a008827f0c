"""Small things that the training's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from threedimo_training.evaluation.probe import ProbeNetwork


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def probe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained probe, small, in a file."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("probe") / "probe.safetensors"
    weights = {name: value.contiguous() for name, value in ProbeNetwork((8, 8, 8, 8)).state_dict().items()}
    save_file(weights, file, metadata={"widths": "8 8 8 8", "step": "0"})
    return file
