"""A stock Wan model and shards, so small that real training steps take no time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from threedimo.stock import MotionSizes
from threedimo_training.finetuning.base import Clips, load_base
from threedimo_training.finetuning.finetune import FinetuneOptions, finetune
from threedimo_training.finetuning.stage import FinetuneStage
from threedimo_training.samples.sample import ROLES
from threedimo_training.samples.synthetic import draw_synthetic
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.render_job import render_shards


@pytest.fixture(scope="session")
def sizes() -> MotionSizes:
    """Of what the tiny stock model gets."""
    encoder = {
        "frame_size": 32,
        "patch_size": 8,
        "hand_crop_size": 32,
        "hand_patch_size": 16,
        "num_body_tokens": 2,
        "num_hand_tokens": 1,
        "hidden_dim": 16,
        "num_layers": 1,
        "num_hand_layers": 1,
        "num_heads": 2,
        "motion_dim": 16,
    }
    return MotionSizes(encoder=encoder, inner_dim=16, num_heads=2, camera_hidden_dim=16)


@pytest.fixture(scope="session")
def clips() -> Clips:
    return Clips(width=32, height=32, num_frames=9, fps=8.0)


@pytest.fixture(scope="session")
def stock(tiny_stock_folder) -> Path:
    """A Wan model as others publish them, without anything of ours."""
    return tiny_stock_folder


@pytest.fixture(scope="session")
def base(stock, sizes, clips, tmp_path_factory) -> Path:
    """The same as a model of this project, with untrained motion layers."""
    folder = tmp_path_factory.mktemp("base") / "model"
    load_base(str(stock), torch.float32, clips, 0, sizes).save_pretrained(folder)
    return folder


def _rendered(folder: Path, clips: int, *, held_out: bool) -> Path:
    with RenderProgress() as progress:
        render_shards(
            clips=clips,
            size=32,
            num_frames=9,
            fps=8.0,
            seed=0,
            output=folder,
            workers=1,
            roles=ROLES,
            held_out=held_out,
            draw=draw_synthetic,
            report=progress,
        )
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory) -> Path:
    """Two samples of each role."""
    return _rendered(tmp_path_factory.mktemp("data") / "shards", 6, held_out=False)


@pytest.fixture(scope="session")
def data(shards, tmp_path_factory) -> tuple[Path, Path]:
    """Samples to train on, and others to watch."""
    return shards, _rendered(tmp_path_factory.mktemp("held_out") / "shards", 3, held_out=True)


@pytest.fixture(scope="session")
def caches(base, data, tmp_path_factory) -> Path:
    """A work folder in which latents and texts were made and no step was taken."""
    work = tmp_path_factory.mktemp("caches") / "work"
    assert not finetune(FinetuneOptions(str(base), data, work, batch=1, minutes=0), lambda _: None)
    return work


@pytest.fixture
def options(base, data, caches, tmp_path) -> FinetuneOptions:
    """Two steps of two clips."""
    for name in ("latents", "texts"):
        shutil.copytree(caches / name, tmp_path / "work" / name)
    return FinetuneOptions(str(base), data, tmp_path / "work", steps=2, batch=2, at_once=2, lora_rank=2)


@pytest.fixture
def run_until(monkeypatch) -> Callable[[FinetuneOptions, int], None]:
    """Train until a step, and be stopped in the middle of it."""

    def run(options: FinetuneOptions, step: int) -> None:
        losses = FinetuneStage.portion_losses

        def stopped(self, number, portion, generator):
            if number == step:
                raise KeyboardInterrupt
            return losses(self, number, portion, generator)

        with monkeypatch.context() as patch:
            patch.setattr("threedimo_training.trainer.loop.SAVE_SECONDS", 0.0)
            patch.setattr(FinetuneStage, "portion_losses", stopped)
            with pytest.raises(KeyboardInterrupt):
                finetune(options, lambda _: None)

    return run
