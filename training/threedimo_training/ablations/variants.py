"""What is compared: the paper's six ablations (its table 3), ours, and the whole method."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from torch import nn

from threedimo.errors import InvalidRequest
from threedimo.models import MotionEncoder
from threedimo_training.ablations import variant_stages as stages
from threedimo_training.embedded.generator_stage import GeneratorStage

FULL = "full"
Claim = Literal["flow_loss", "hinted_flow_loss", "motion_sensitivity", "camera_text_sensitivity"]
"""Names of `held_out_loss.FIGURES`."""


@dataclass(frozen=True)
class PaperFigures:
    """A row of the paper's table: 150 real clips under a still camera."""

    ssim: float
    psnr: float
    lpips: float
    fid: float
    fvd: float


@dataclass(frozen=True)
class Variant:
    """The method without one of its parts.

    Attributes:
        name: On the command line and of its folder.
        title: What is different.
        stage: How it is trained.
        encoder: What reads the motion, made from the warmed-up encoder.
        claim: The held-out figure that should be worse than the whole method's, and
        claim_split: the split in which, "all" for all three.
        differs: What differs from the paper's own comparison; the likely reason where the result does.
        paper: The paper's row, None for ours.
        seen: What the paper saw.
    """

    name: str
    title: str
    stage: type[GeneratorStage]
    encoder: Callable[[MotionEncoder], nn.Module] = stages.whole_encoder
    claim: Claim = "flow_loss"
    claim_split: str = "all"
    differs: str = ""
    paper: PaperFigures | None = None
    seen: str = ""


_ALL = (
    Variant(FULL, "the whole method", GeneratorStage, paper=PaperFigures(0.739, 18.0, 0.221, 36.9, 297.4)),
    Variant(
        "smpl_pose",
        "SMPL pose through an MLP instead of the encoder",
        stages.SmplPoseStage,
        stages.smpl_encoder,
        differs="the pose is the exact one of the renders, where the paper's came from an estimator: its "
        "depth errors cannot appear, and this variant is told what the encoder must find out",
        paper=PaperFigures(0.724, 17.1, 0.238, 39.7, 348.2),
        seen="depth-ambiguity errors",
    ),
    Variant(
        "stage_1_only",
        "stage 1 only: one view",
        stages.FirstStageOnly,
        claim="camera_text_sensitivity",
        claim_split="moving_camera",
        differs="the paper's test has a still camera, where one view cost no PSNR; here other views and "
        "moving cameras are measured",
        paper=PaperFigures(0.745, 18.3, 0.220, 40.5, 305.4),
        seen="collapses to 2D, ignores the camera text",
    ),
    Variant(
        "stages_1_and_2",
        "stages 1 and 2, never other views alone",
        stages.FirstTwoStages,
        claim_split="moving_camera",
        differs="the share of other views grows from a half to all in the last sixth of the steps only",
        paper=PaperFigures(0.723, 17.9, 0.221, 38.2, 314.5),
        seen="the camera moves the background, the person stays frontal",
    ),
    Variant(
        "channel_concatenation",
        "channel concatenation instead of cross-attention",
        stages.ChannelStage,
        claim="motion_sensitivity",
        differs="the generator learns from nothing, so that no pretrained patch embedding is disturbed; "
        "camera hints keep their cross-attention",
        paper=PaperFigures(0.703, 16.8, 0.304, 48.2, 395.6),
        seen="weak motion control",
    ),
    Variant(
        "no_geometry_head",
        "no pose supervision: neither geometry head nor warm-up",
        stages.NoGeometryStage,
        stages.untrained_encoder,
        claim="motion_sensitivity",
        differs="the warm-up consists of such heads and is left out too; `no_warm_up` beside it has the head",
        paper=PaperFigures(0.684, 15.8, 0.347, 51.3, 383.1),
        seen="unstable, motion control collapses",
    ),
    Variant(
        "no_hand_encoder",
        "no hand encoder",
        GeneratorStage,
        stages.body_encoder,
        differs="hands are a few pixels of these pictures; fingers can hardly be seen either way",
        paper=PaperFigures(0.726, 17.5, 0.234, 38.1, 298.7),
        seen="fingers lost",
    ),
    Variant(
        "no_hints",
        "no camera hints",
        stages.NoHintsStage,
        claim="hinted_flow_loss",
        claim_split="moving_camera",
    ),
    Variant(
        "no_warm_up",
        "no warm-up of the encoder",
        stages.NoWarmUpStage,
        stages.untrained_encoder,
        claim="motion_sensitivity",
    ),
    Variant(
        "no_picture_position",
        "tokens are not told where in the picture they are",
        stages.NoPositionStage,
        claim="motion_sensitivity",
    ),
    Variant("no_place_head", "no place head", stages.NoPlaceStage, claim="motion_sensitivity"),
    Variant("no_pairs", "whole clips from the first step", stages.NoPairsStage, claim="motion_sensitivity"),
)
VARIANTS = {variant.name: variant for variant in _ALL}
"""By name, in the order of the table."""


def chosen_variants(names: Collection[str]) -> list[Variant]:
    """The variants of these names in the table's order, and `full`, which all are compared with.

    Raises:
        InvalidRequest: There is no such variant.
    """
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise InvalidRequest(
            "no such ablation",
            given=", ".join(unknown),
            allowed=", ".join(VARIANTS),
            remedy="check the spelling",
        )
    return [variant for variant in _ALL if variant.name in {FULL, *names}]
