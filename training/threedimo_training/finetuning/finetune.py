"""One call of a training: open or go on with a work folder, make the caches, run the loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from threedimo.errors import InvalidRequest, UnsupportedFrameCount, UnsupportedSize
from threedimo.fingerprint import backbone_fingerprint, fingerprint
from threedimo.media.writing import storage_errors
from threedimo.model_files import is_stock
from threedimo.model_info import model_folder
from threedimo.pipeline import MotionTransferPipeline
from threedimo.stock import FULL_SIZE, MotionSizes
from threedimo_training.finetuning.base import Clips, load_base
from threedimo_training.finetuning.batches import Share
from threedimo_training.finetuning.caches import TextCache, encode_targets
from threedimo_training.finetuning.clips import ClipFormat, TrainingClip
from threedimo_training.finetuning.plan import (
    LEARNING_RATES,
    FinetunePlan,
    Trained,
    adopt_plan,
    portions_of,
)
from threedimo_training.finetuning.sources import SYNTHETIC, ClipSource, ShardClips, SyntheticClips
from threedimo_training.finetuning.stage import FinetuneStage
from threedimo_training.finetuning.watching import MIN_CLIPS
from threedimo_training.shards.facts import SampleFacts
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.trainer.loop import has_fast_bfloat16, run_stage

NUM_HELD_OUT = 4
# Processes wait for each other while latents are made.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class FinetuneOptions:
    """What a user asks for; None takes the base's or the usual value.

    Args:
        base: "embedded", a folder or a hub id, of this project or of a stock Wan model.
        data: Folders of shards, or none for samples that are drawn as the training goes.
        work: Folder of caches, state, curves and pictures.
        train: See `FinetunePlan`.
        steps: Optimizer steps.
        batch: Samples of a step, over all processes.
        at_once: Samples that a process computes together; the rest of its share follows in portions.
        learning_rate: At its highest.
        size: Width and height of the frames in pixels.
        num_frames: Of a clip, 4k+1.
        lora_rank: For "lora".
        seed: Of everything random.
        compiled: Compile the blocks that repeat.
        checkpointing: Compute activations again in the backward pass, which saves most of their memory.
        grid_interval: Steps between two pictures of held-out clips.
        minutes: Time to spend in this call.
        motion_sizes: Of what a stock model gets.
    """

    base: str
    data: tuple[Path, ...]
    work: Path
    train: Trained = "adapters"
    steps: int = 30_000
    batch: int = 64
    at_once: int = 1
    learning_rate: float | None = None
    size: tuple[int, int] | None = None
    num_frames: int | None = None
    lora_rank: int = 32
    seed: int = 0
    compiled: bool = False
    checkpointing: bool = False
    grid_interval: int = 500
    minutes: float = math.inf
    motion_sizes: MotionSizes = FULL_SIZE


def finetune(options: FinetuneOptions, report: Callable[[str], None]) -> bool:
    """Train, or go on; the processes that `accelerate launch` started all call this.

    Returns:
        Whether all steps are done.

    Raises:
        ModelError: The base cannot be loaded or trained.
        RequestError: The options contradict each other or the base.
        DataError: The samples do not fit, or are damaged.
        TrainingError: The work folder belongs to another training, or the loss is no number any more.
        StorageError: The disk is full or may not be written.
    """
    deadline = time.monotonic() + 60 * options.minutes
    accelerator = Accelerator(kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)])
    portions = portions_of(options.batch, accelerator.num_processes, options.at_once)
    share = Share(
        accelerator.process_index, accelerator.num_processes, portions, options.batch, options.steps
    )
    if not accelerator.is_main_process:
        report = _silent
    base, clips = open_base(options, accelerator.device)
    vae, text_encoder = base.vae.to(accelerator.device), base.text_encoder.to(accelerator.device)
    vae.requires_grad_(False)
    text_encoder.requires_grad_(False)
    encoder = base.motion_encoder.config
    clip_format = ClipFormat(clips, encoder["frame_size"], encoder["hand_crop_size"])
    source = _source(options, clip_format, fingerprint(vae))
    plan = _plan(options, base, clips, source)
    with storage_errors(options.work):
        options.work.mkdir(parents=True, exist_ok=True)
    with accelerator.main_process_first():
        adopt_plan(options.work, plan)
    texts = TextCache(options.work / "texts", base.tokenizer, text_encoder, base.config["max_text_tokens"])
    held_out = _held_out(source, clip_format)
    if isinstance(source, ShardClips):
        _fill_caches(source, base, texts, held_out, accelerator, report)
        base.register_modules(text_encoder=None)  # its memory is the generator's now
    if options.checkpointing:
        base.transformer.enable_gradient_checkpointing()
    stage = FinetuneStage(plan, base, source, held_out, texts, share, accelerator, options.grid_interval)
    if options.compiled:
        stage.compile()
    return run_stage(stage, options.work, deadline, report, accelerator)


def open_base(options: FinetuneOptions, device: torch.device) -> tuple[MotionTransferPipeline, Clips]:
    """Load the base in the number format of the training, and settle what its clips are.

    Raises:
        ModelError: It cannot be loaded or trained.
        RequestError: It cannot make clips of this size or length.
    """
    # what changes is kept in 32 bits, and without fast 16-bit arithmetic everything is
    frozen = options.train != "full" and has_fast_bfloat16(device)
    dtype = torch.bfloat16 if frozen else torch.float32
    stock = _stock_clips(options) if is_stock(model_folder(options.base)) else None
    base = load_base(options.base, dtype, stock, options.seed, options.motion_sizes)
    info = base.info
    width, height = options.size or (info.width, info.height)
    clips = Clips(width, height, options.num_frames or info.num_frames, info.fps)
    if clips.width % info.size_step or clips.height % info.size_step:
        raise UnsupportedSize(
            "the base cannot make frames of this size",
            given=f"{clips.width}x{clips.height}",
            allowed=f"multiples of {info.size_step}",
        )
    if clips.num_frames % info.frame_step != 1 or clips.num_frames < 2 * info.frame_step + 1:
        raise UnsupportedFrameCount(
            "the base cannot be trained on clips of this length",
            given=f"{clips.num_frames} frames",
            allowed=f"{info.frame_step}k+1, at least {2 * info.frame_step + 1}",
        )
    return base, clips


def _stock_clips(options: FinetuneOptions) -> Clips | None:
    """What a stock model is to make: the asked size and length at the data's rate."""
    if options.size is None or options.num_frames is None:
        return None
    if not options.data:
        raise InvalidRequest(
            "a stock model does not say at which frame rate to draw samples",
            given=f"--data {SYNTHETIC}",
            remedy="render samples with `threedimo-train render --fps` and give their folder",
        )
    facts = _first_facts(options.data[0])
    return Clips(*options.size, options.num_frames, facts.fps)


def _first_facts(folder: Path) -> SampleFacts:
    shards = ShardFolder(folder, verify=False)
    if not len(shards):
        raise InvalidRequest("the data folder has no samples", given=folder, remedy="choose another --data")
    return shards.facts(0)


def _source(options: FinetuneOptions, clip_format: ClipFormat, vae: str) -> ClipSource:
    if not options.data:
        return SyntheticClips(clip_format)
    return ShardClips(list(options.data), clip_format, options.work / "latents", vae)


def _plan(
    options: FinetuneOptions, base: MotionTransferPipeline, clips: Clips, source: ClipSource
) -> FinetunePlan:
    return FinetunePlan(
        base=options.base,
        base_weights=backbone_fingerprint(base.transformer),
        data=source.fingerprint() if isinstance(source, ShardClips) else SYNTHETIC,
        train=options.train,
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate or LEARNING_RATES[options.train],
        width=clips.width,
        height=clips.height,
        num_frames=clips.num_frames,
        fps=clips.fps,
        lora_rank=options.lora_rank if options.train == "lora" else 0,
        seed=options.seed,
    )


def _held_out(source: ClipSource, clip_format: ClipFormat) -> list[TrainingClip]:
    """Of the data itself where it has them, else of the data engine, square ones."""
    found = source.held_out(NUM_HELD_OUT)
    if len(found) >= MIN_CLIPS:
        return found
    return SyntheticClips(clip_format).held_out(NUM_HELD_OUT)


def _fill_caches(
    source: ShardClips,
    base: MotionTransferPipeline,
    texts: TextCache,
    held_out: list[TrainingClip],
    accelerator: Accelerator,
    report: Callable[[str], None],
) -> None:
    """Make what is missing, each process a share; afterwards everything is there for all."""
    process, processes = accelerator.process_index, accelerator.num_processes
    source.cache_latents(lambda video: encode_targets(base.vae, video), (process, processes), report)
    wanted = sorted(source.texts | {clip.text for clip in held_out} | {""})
    texts.read(wanted[process::processes])
    accelerator.wait_for_everyone()
    texts.read(wanted)
    texts.release()


def _silent(line: str) -> None:
    del line
