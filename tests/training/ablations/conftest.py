"""A tiny embedded training that has come as far as its generator, and the ablations run on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from threedimo_training.ablations.run import AblationPlan, run_ablations
from threedimo_training.embedded.recipe import EmbeddedRecipe
from threedimo_training.embedded.training import adopt_recipe, train

RECIPE = EmbeddedRecipe(
    size=32,
    num_frames=9,
    fps=8.0,
    num_clips=12,
    autoencoder_image_steps=1,
    autoencoder_steps=2,
    warm_up_steps=2,
    generator_steps=0,
    autoencoder_images=2,
    autoencoder_clips=1,
    warm_up_batch=2,
    generator_pairs=3,
    generator_batch=2,
    generator_channels=32,
    generator_blocks=3,
    generator_rate=1e-3,
    plain=True,
)


@pytest.fixture(scope="session")
def recipe() -> EmbeddedRecipe:
    return RECIPE


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of `threedimo-train embedded`."""
    folder = tmp_path_factory.mktemp("work")
    cpu = torch.device("cpu")
    assert train(adopt_recipe(folder, RECIPE, cpu), folder, 5, lambda _: None)
    return folder


@pytest.fixture(scope="module")
def plan(work, probe_file, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AblationPlan]:
    """All variants, two steps each, one held-out clip a split, generated in one step of denoising."""
    output = tmp_path_factory.mktemp("ablations")
    yield AblationPlan(work, output, steps=2, clips=1, probe=probe_file, generated=1)
    shutil.rmtree(output)  # a gigabyte


@pytest.fixture(scope="module")
def document(plan) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("threedimo_training.ablations.generation.INFERENCE_STEPS", 1)
        return run_ablations(plan, lambda _: None)


@pytest.fixture(scope="module")
def fewer(plan, tmp_path_factory: pytest.TempPathFactory) -> AblationPlan:
    """One variant beside the whole method, without a probe, in a folder of its own."""
    return replace(plan, output=tmp_path_factory.mktemp("fewer") / "new", variants=("no_hints",), probe=None)
