"""What a training made, as files that are loaded without it: an adapter beside its base, or a whole model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from threedimo.adapters import save_adapter
from threedimo.errors import TrainingError, TrainingMismatch
from threedimo.fingerprint import backbone_fingerprint
from threedimo.lora import Lora, merge_lora
from threedimo.media.writing import storage_errors
from threedimo.model_info import model_name
from threedimo.pipeline import MotionTransferPipeline
from threedimo.stock import FULL_SIZE, MotionSizes
from threedimo_training.finetuning.base import Clips, load_base
from threedimo_training.finetuning.plan import FinetunePlan, read_plan
from threedimo_training.trainer.loop import state_file

MAX_FILE = "5GB"
_LORA_A, _LORA_B = ".lora_A.default.weight", ".lora_B.default.weight"
_TRANSFORMER = "transformer."


def export_finetuned(
    work: Path,
    output: Path,
    *,
    whole: bool,
    report: Callable[[str], None],
    base: str | None = None,
    motion_sizes: MotionSizes = FULL_SIZE,
) -> None:
    """Write what has been trained so far; the averaged weights where there is an average.

    Args:
        work: Of the training.
        output: The folder to write.
        whole: Write a whole pipeline folder instead of an adapter; a "full" training has no other form.
        report: Is told what was written.
        base: Where the base is now; None means where it was.
        motion_sizes: Of what a stock base got.

    Raises:
        TrainingMismatch: There is no training in `work`, or the base is not the one that was trained.
        TrainingError: Nothing is saved yet, or it is damaged.
        ModelError: The base cannot be loaded.
        StorageError: The folder cannot be written.
    """
    plan = read_plan(work)
    if plan.train == "full" and not whole:
        raise TrainingError(
            "everything of the transformer was trained, which is no adapter",
            given=work,
            remedy="export with --whole",
        )
    tensors, step = _trained(state_file(work, "finetune"))
    base = base or plan.base
    pipeline = _opened_base(plan, base, motion_sizes)
    lora = _take(pipeline, tensors, plan.lora_rank)
    with storage_errors(output):
        if not whole:
            save_adapter(
                output,
                pipeline.transformer,
                pipeline.motion_encoder,
                pipeline.camera_encoder,
                base=model_name(base),
                info=pipeline.info,
                lora=lora,
            )
        else:
            if lora is not None:
                merge_lora(pipeline.transformer, lora)
            pipeline.save_pretrained(output, safe_serialization=True, max_shard_size=MAX_FILE)
    report(f"exported step {step} of {plan.steps} to {output}")


def _trained(file: Path) -> tuple[dict[str, Tensor], int]:
    """What a state holds of the networks, averaged where there is an average, and its step."""
    try:
        with safe_open(file, framework="pt") as stored:
            names = list(stored.keys())
            part = "ema/" if any(name.startswith("ema/") for name in names) else "trained/"
            tensors = {
                name.removeprefix(part): stored.get_tensor(name) for name in names if name.startswith(part)
            }
            return tensors, int(stored.metadata()["step"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise TrainingError(
            f"there is no readable state to export: {error}",
            given=file,
            remedy="run `threedimo-train finetune` until it has saved",
        ) from error


def _opened_base(plan: FinetunePlan, base: str, sizes: MotionSizes) -> MotionTransferPipeline:
    clips = Clips(plan.width, plan.height, plan.num_frames, plan.fps)
    pipeline = load_base(base, torch.float32, clips, plan.seed, sizes)
    found = backbone_fingerprint(pipeline.transformer)
    if found != plan.base_weights:
        raise TrainingMismatch(
            "this base is not the one that was trained",
            given=f"{base}, weights {found}",
            allowed=f"{plan.base}, weights {plan.base_weights}",
            remedy="give the base that the training began with",
        )
    return pipeline


def _take(pipeline: MotionTransferPipeline, tensors: dict[str, Tensor], rank: int) -> Lora | None:
    """Put trained tensors into a pipeline; low-rank changes come back apart."""
    networks: dict[str, torch.nn.Module] = {
        name: getattr(pipeline, name) for name in ("transformer", "motion_encoder", "camera_encoder")
    }
    own = {f"{name}.{key}": p for name, net in networks.items() for key, p in net.named_parameters()}
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.endswith(_LORA_A):
                layer = name.removesuffix(_LORA_A)
                pairs[layer.removeprefix(_TRANSFORMER)] = tensor, tensors[layer + _LORA_B]
            elif not name.endswith(_LORA_B) and not name.startswith("geometry."):
                own[name].copy_(tensor)
    return Lora(rank, pairs) if pairs else None
