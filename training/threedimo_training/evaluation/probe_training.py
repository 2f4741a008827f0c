"""Training of the probe: resumable to the exact step, in pieces of any length.

Frames are coarsened, relit and made noisy at random, so that the probe keeps reading pictures that are
softer than renders; they stay true renders. Fresh frames join as the training goes on, and no held-out
person or motion is ever among them.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from threedimo.errors import InvalidModel, TrainingDiverged, TrainingMismatch
from threedimo_training.evaluation.metrics import silhouette_iou
from threedimo_training.evaluation.pose_angles import (
    LIMBS,
    angles_deg,
    limbs_in_picture,
    pose_error_deg,
    torso_rotations,
)
from threedimo_training.evaluation.probe import WIDTHS, Probe, ProbeNetwork, probe_input
from threedimo_training.evaluation.probe_frames import FrameBlocks, ProbeFrames, SampleSource
from threedimo_training.shards.durable import write_file
from threedimo_training.trainer.loop import has_fast_bfloat16
from threedimo_training.trainer.state import load_state, save_state

logger = logging.getLogger(__name__)

PROBE_FILE, STATE_FILE = "probe.safetensors", "probe-state.safetensors"
REPORT_STEPS, SAVE_SECONDS = 100, 120.0
MAX_GRADIENT_NORM = 1.0
AVERAGE_DECAY = 0.998
# Metres of error, shares of the picture, and how far limbs point astray (1 - cosine), in this proportion.
JOINT_WEIGHT, PLACE_WEIGHT, LIMB_WEIGHT = 5.0, 5.0, 0.5
_AXIS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class ProbeRecipe:
    """How a probe is trained.

    Attributes:
        seed: Decides weights, frames and their order.
        widths: Of the network.
        batch_size: Frames a step.
        learning_rate: After a rise over the first `rising_steps` steps it stays; the result is an average of
            the weights, so that a training may stop at any time.
        rising_steps: See above.
        first_blocks: Blocks of frames that the training begins with.
        steps_per_block: After so many steps another block joins.
        num_blocks: At most so many.
        num_steps: After so many steps it is done.
        source: Names what it learns from.
    """

    seed: int = 0
    widths: tuple[int, int, int, int] = WIDTHS
    batch_size: int = 64
    learning_rate: float = 1e-3
    rising_steps: int = 200
    first_blocks: int = 4
    steps_per_block: int = 60
    num_blocks: int = 96
    num_steps: int = 30_000
    source: str = "synthetic"

    def blocks_at(self, step: int) -> int:
        """How many blocks take part in a step."""
        return min(self.num_blocks, self.first_blocks + step // self.steps_per_block)


@dataclass(frozen=True)
class OwnErrors:
    """Errors of a probe on true renders of people and motions that it has not seen.

    Attributes:
        pose_error_deg: Between limbs, see `pose_angles.pose_error_deg`.
        camera_error_deg: Between the camera's true and seen direction from the person, frame by frame.
        silhouette_iou: Of the person.
        frames: How many frames they were measured on.
    """

    pose_error_deg: float
    camera_error_deg: float
    silhouette_iou: float
    frames: int


def train_probe(
    recipe: ProbeRecipe,
    work: Path,
    samples: SampleSource,
    held_out: SampleSource,
    *,
    minutes: float,
    say: Callable[[str], None],
    device: str = "cpu",
) -> OwnErrors:
    """Go on with the training for at most `minutes` and write the probe as it is then.

    Args:
        recipe: The same one each time.
        work: Folder of the probe, the state that a later call goes on from, and the rendered frames.
        samples: What it learns from.
        held_out: What its own errors are measured on.
        minutes: Time to spend.
        say: Is told how it goes, line by line.
        device: Where the network is trained.

    Raises:
        TrainingMismatch: The folder holds a training by another recipe.
        TrainingDiverged: The loss is no number any more; the last saved state is untouched.
        InvalidModel: The saved state is damaged.
    """
    deadline = time.monotonic() + 60 * minutes
    training = _Training(recipe, work, device)
    training.resume()
    blocks = FrameBlocks(work / "probe-frames", samples)
    log = _Log(recipe, training.step, deadline, say)
    saved_at = time.monotonic()
    while training.step < recipe.num_steps and time.monotonic() < deadline:
        rng = np.random.default_rng([recipe.seed, training.step])
        batch = blocks.batch(rng, recipe.blocks_at(training.step), recipe.batch_size)
        log.add(training.take_step(batch), training.step)
        if time.monotonic() - saved_at > SAVE_SECONDS:
            training.save()
            saved_at = time.monotonic()
    training.save()
    truth = FrameBlocks(work / "probe-frames-held-out", held_out).block(0)
    errors = own_errors(Probe(training.average, {}), truth)
    _write_probe(work / PROBE_FILE, training, errors)
    return errors


def own_errors(probe: Probe, truth: ProbeFrames) -> OwnErrors:
    """Measure a probe on true frames."""
    reading = probe.read(truth.frames)
    turned = torso_rotations(reading.joints, truth.joints) @ _AXIS
    counted = limbs_in_picture(truth.places)
    iou = silhouette_iou(reading.silhouette, truth.parts > 0)
    return OwnErrors(
        pose_error_deg=float(np.nanmean(pose_error_deg(reading.joints, truth.joints, counted))),
        camera_error_deg=float(angles_deg(turned, _AXIS).mean()),
        silhouette_iou=0.0 if iou is None else iou,
        frames=len(truth),
    )


class _Training:
    """Network, its average, optimizer and step."""

    def __init__(self, recipe: ProbeRecipe, work: Path, device: str):
        self.recipe, self.device, self.step = recipe, torch.device(device), 0
        self.file = work / STATE_FILE
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            network = ProbeNetwork(recipe.widths)
        self.network = network.to(self.device)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), recipe.learning_rate, weight_decay=0.01)
        self._modules: dict[str, torch.nn.Module] = {"network": self.network, "average": self.average}

    def resume(self) -> None:
        """Go on from the saved state, if there is one."""
        if not self.file.exists():
            return
        try:
            step, facts = load_state(self.file, self._modules, self.optimizer)
        except (OSError, SafetensorError) as error:
            raise InvalidModel(
                f"the probe's training state is damaged: {error}",
                given=self.file,
                remedy="delete the file to begin again",
            ) from error
        if facts.get("recipe") != self._recipe_text():
            raise TrainingMismatch(
                "the folder holds a probe that is trained by another recipe",
                given=self.file,
                allowed=facts.get("recipe"),
                remedy="choose another work folder",
            )
        self.step = step

    def save(self) -> None:
        """Keep everything that is needed to go on."""
        save_state(self.file, self._modules, self.optimizer, self.step, recipe=self._recipe_text())

    def take_step(self, batch: ProbeFrames) -> dict[str, float]:
        """Learn from a batch; returns the losses."""
        rise = min(1.0, (self.step + 1) / self.recipe.rising_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * rise
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        frames = spoiled(probe_input(batch.frames), generator).to(self.device)
        self.network.train()
        mixed = has_fast_bfloat16(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=mixed):
            outputs = self.network(frames)
        losses = _losses(outputs, batch, self.device)
        total = sum(losses.values(), torch.zeros((), device=self.device))
        if not torch.isfinite(total):
            raise TrainingDiverged(
                "the probe's loss is no number any more",
                given=f"step {self.step}",
                remedy=f"the last good state is {self.file}; begin again with another seed",
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.step += 1
        self._follow()
        return {"loss": float(total.detach())} | {name: float(v.detach()) for name, v in losses.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        share = 1 - min(AVERAGE_DECAY, self.step / (self.step + 9))
        current = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(current[name], share)
            else:
                value.copy_(current[name])

    def _recipe_text(self) -> str:
        return msgspec.json.encode(asdict(self.recipe)).decode()


def spoiled(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames (N, 3, S, S) in [-1, 1], half of them coarser, all of them lit otherwise and a little noisy."""
    num_frames, _, size, _ = frames.shape
    coarse_size = int(torch.randint(size // 4, size, (1,), generator=generator))
    half = num_frames // 2
    coarse = F.interpolate(frames[:half], size=coarse_size, mode="bilinear", antialias=True)
    coarse = F.interpolate(coarse, size=size, mode="bicubic")
    frames = torch.cat([coarse, frames[half:]])
    contrast = torch.empty(num_frames, 3, 1, 1).uniform_(0.8, 1.2, generator=generator)
    light = torch.empty(num_frames, 3, 1, 1).uniform_(-0.15, 0.15, generator=generator)
    noise = torch.randn(frames.shape, generator=generator) * 0.02
    return (frames * contrast + light + noise).clamp(-1, 1)


def _losses(
    outputs: tuple[Tensor, Tensor, Tensor], batch: ProbeFrames, device: torch.device
) -> dict[str, Tensor]:
    joints, places, parts = outputs
    true_joints, true_places, true_parts = (
        torch.from_numpy(values).to(device) for values in (batch.joints, batch.places, batch.parts)
    )
    inside = ((true_places > 0) & (true_places < 1)).all(dim=-1)
    starts, ends = zip(*LIMBS, strict=True)
    limbs, true_limbs = (each[:, ends] - each[:, starts] for each in (joints, true_joints))
    return {
        "joints": JOINT_WEIGHT * F.l1_loss(joints, true_joints),
        "places": PLACE_WEIGHT * ((places - true_places).abs().mean(dim=-1) * inside).mean(),
        "limbs": LIMB_WEIGHT * (1 - F.cosine_similarity(limbs, true_limbs, dim=-1)).mean(),
        "parts": F.cross_entropy(parts, true_parts.long()),
    }


def _write_probe(file: Path, training: _Training, errors: OwnErrors) -> None:
    facts = {
        "step": str(training.step),
        "seed": str(training.recipe.seed),
        "source": training.recipe.source,
        "widths": " ".join(map(str, training.recipe.widths)),
        **{name: f"{value:.4f}" for name, value in asdict(errors).items() if name != "frames"},
        "frames": str(errors.frames),
    }
    weights = {name: value.cpu().contiguous() for name, value in training.average.state_dict().items()}
    write_file(file, save(weights, metadata=facts))


class _Log:
    """Running means of the losses, as lines for a person."""

    def __init__(self, recipe: ProbeRecipe, step: int, deadline: float, say: Callable[[str], None]):
        self._recipe, self._say, self._deadline = recipe, say, deadline
        self._first_step, self._started = step, time.monotonic()
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, losses: dict[str, float], step: int) -> None:
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if step % REPORT_STEPS:
            return
        numbers = "  ".join(f"{name} {value / self._count:.4f}" for name, value in self._sums.items())
        now = time.monotonic()
        speed = (step - self._first_step) / (now - self._started)
        left = min(self._deadline - now, (self._recipe.num_steps - step) / speed) / 60
        self._say(f"probe {step}  {numbers}  {speed:.1f} steps/s  {max(left, 0):.0f} min left")
        self._sums.clear()
        self._count = 0
