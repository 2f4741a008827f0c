"""The main figures: a variant's denoising loss on held-out clips under right and wrong conditions.

Noise, noise levels and clips are the same for every variant and every condition, so that all differences can
be taken clip by clip. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from einops import repeat
from torch import Tensor

from threedimo.errors import TrainingMismatch
from threedimo_training.ablations.held_out import HeldOut
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.evaluation.held_out_clips import SPLITS
from threedimo_training.method.excerpts import whole_clip
from threedimo_training.method.flow_matching import flow_loss, noise_latents, predict_velocity
from threedimo_training.shards.durable import write_file
from threedimo_training.trainer.loop import fast_precision

LEVELS = (0.3, 0.5, 0.7, 0.9)
CONDITIONS = ("text", "hints", "other_motion", "other_text")
"""Under which the loss is measured: right motion and text without hints, with hints; without hints, but with
another clip's motion; with another clip's camera text."""
FIGURES = ("flow_loss", "hinted_flow_loss", "motion_sensitivity", "camera_text_sensitivity")
"""What is told of a clip: the loss without and with hints, and by what share it grows under another clip's
motion and under another clip's text. A sensitivity of 0 means that the generator does not listen."""

Losses = dict[str, list[dict[str, float]]]
"""By split, clip and condition."""


def figures(losses: dict[str, float]) -> dict[str, float]:
    """`FIGURES` of one clip."""
    return {
        "flow_loss": losses["text"],
        "hinted_flow_loss": losses["hints"],
        "motion_sensitivity": losses["other_motion"] / losses["text"] - 1,
        "camera_text_sensitivity": losses["other_text"] / losses["text"] - 1,
    }


def held_out_losses(
    file: Path, stage: Callable[[], GeneratorStage], held_out: HeldOut, report: Callable[[str], None]
) -> Losses:
    """The losses of a variant, measured unless the file holds them.

    Args:
        file: Keeps them.
        stage: Gives the trained variant on the held-out clips.
        held_out: The clips.
        report: Is told of each split.

    Raises:
        TrainingMismatch: The file is damaged.
    """
    if file.exists():
        try:
            return msgspec.json.decode(file.read_bytes(), type=Losses)
        except msgspec.MsgspecError as error:
            raise TrainingMismatch(
                f"{file} is damaged: {error}", remedy="delete the file; it is measured again"
            ) from error
    trained, losses = stage(), Losses()
    for split in SPLITS:
        losses[split] = [clip_losses(trained, number) for number in held_out.numbers(split)]
        mean = sum(each["text"] for each in losses[split]) / held_out.count
        report(f"{file.parent.name}  held-out loss {split} {mean:.4f}")
    write_file(file, msgspec.json.encode(losses))
    return losses


@torch.no_grad()
def clip_losses(stage: GeneratorStage, number: int) -> dict[str, float]:
    """Losses of clip `number` of `HeldOut` by the names of `CONDITIONS`, means over `LEVELS`."""
    right, other = 2 * number, 2 * number + 1
    latents = stage.latents.read("latents", [right]).float()
    whole = whole_clip(latents.shape[2])
    levels = torch.tensor(LEVELS).repeat(len(CONDITIONS))
    noise = torch.randn(len(LEVELS), *latents.shape[1:], generator=torch.Generator().manual_seed(number))
    batch = noise_latents(
        latents.expand(len(levels), -1, -1, -1, -1),
        1,
        levels.to(stage.device),
        noise.repeat(len(CONDITIONS), 1, 1, 1, 1).to(stage.device),
    )
    with fast_precision(stage.device):
        motion = stage.motion_tokens([right, other])
        camera = stage.camera_tokens([right], whole)
        text = stage.embed([stage.clips.text(right), stage.clips.text(other)])
        hints = torch.cat([camera if name == "hints" else torch.zeros_like(camera) for name in CONDITIONS])
        velocity = predict_velocity(
            stage.transformer,
            batch,
            _by_level(text[[int(name == "other_text") for name in CONDITIONS]]),
            _by_level(motion[[int(name == "other_motion") for name in CONDITIONS]]),
            _by_level(hints),
        )
    error = flow_loss(velocity, batch, stage.loss_weight([right], whole)).view(len(CONDITIONS), len(LEVELS))
    return dict(zip(CONDITIONS, error.mean(dim=1).tolist(), strict=True))


def _by_level(conditions: Tensor) -> Tensor:
    """One condition a row to one for each of its noise levels."""
    return repeat(conditions, "c ... -> (c l) ...", l=len(LEVELS))
