"""The training of a full-size model as a stage of the common loop: the paper's schedule on any base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from threedimo.pipeline import MotionTransferPipeline
from threedimo_training.embedded.recipe import seeded
from threedimo_training.finetuning.batches import ClipsAhead, Share, make_batch, sample_generator
from threedimo_training.finetuning.caches import TextCache, encode_targets
from threedimo_training.finetuning.clips import TrainingClip
from threedimo_training.finetuning.generator import make_generator, trained_parameters
from threedimo_training.finetuning.plan import FinetunePlan
from threedimo_training.finetuning.sources import ClipSource
from threedimo_training.finetuning.watching import HeldOut
from threedimo_training.method.excerpts import draw_stretch
from threedimo_training.method.flow_matching import flow_loss
from threedimo_training.method.schedule import geometry_weight
from threedimo_training.trainer.stage import Stage

EMA_HORIZON = 20
"""The average follows the last twentieth of the training."""
METER_INTERVAL = 50
GRID_STEPS = 10
READING_THREADS = 4


class FinetuneStage(Stage):
    """Motion encoder, camera encoder and the chosen weights of a generator, together.

    An average of the weights (EMA) is kept in `adapters` and `lora`, where it is small. In `full` it would be
    a second copy of the whole generator in 32 bits, and there is none.

    Args:
        plan: What to train.
        base: Its networks are trained themselves.
        source: Of the samples.
        held_out: Clips to watch.
        texts: Holds, or makes, every text's embedding.
        share: Of this process.
        accelerator: Of all processes.
        grid_interval: Steps between two pictures of what the model makes.
    """

    name: ClassVar[str] = "finetune"

    def __init__(
        self,
        plan: FinetunePlan,
        base: MotionTransferPipeline,
        source: ClipSource,
        held_out: list[TrainingClip],
        texts: TextCache,
        share: Share,
        accelerator: Accelerator,
        grid_interval: int,
    ):
        seeded(plan.seed)
        self.plan, self.learning_rate, self.num_steps = plan, plan.learning_rate, plan.steps
        self.device, self.num_portions = accelerator.device, share.portions
        self._share, self._grid_interval = share, grid_interval
        self._texts, self._vae = texts, base.vae
        self._ahead = ClipsAhead(source, share, plan.seed, READING_THREADS)
        self._latent_frames = (plan.num_frames - 1) // base.info.frame_step + 1
        self.generator = make_generator(base, plan.train, plan.lora_rank)
        self._held_out = HeldOut(
            held_out, texts, self._encode, base.vae, base.scheduler, base.transformer, self.device
        )
        self._average: dict[str, Tensor] = {}
        # `begin` moves the generator, since a sharded one may not fit on one device
        self.modules = {}

    def begin(self, accelerator: Accelerator, optimizer: torch.optim.Optimizer) -> AcceleratedOptimizer:
        """Move the generator to its device, or spread it over many."""
        wrapped = self.spread(accelerator, optimizer)
        if self.plan.train != "full":
            self._average = {
                name: p.detach().clone() for name, p in trained_parameters(self.generator).items()
            }
        return wrapped

    def spread(self, accelerator: Accelerator, optimizer: torch.optim.Optimizer) -> AcceleratedOptimizer:
        """Hand generator and optimizer to `accelerate`, which knows the processes and what they share."""
        prepared: Any = accelerator.prepare(self.generator, optimizer)
        self.model, wrapped = prepared
        return wrapped

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer changes."""
        return list(trained_parameters(self.generator).values())

    def state(self) -> Mapping[str, Mapping[str, Tensor]]:
        """What is trained, and its average; the frozen base is not stored."""
        trained: Mapping[str, Tensor] = trained_parameters(self.generator)
        return {"trained": trained, **({"ema": self._average} if self._average else {})}

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a step that is computed in one portion."""
        return self.portion_losses(step, 0, generator)

    def portion_losses(self, step: int, portion: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Denoise targets of the paper's current mixture under conditions that drop out now and then."""
        # one excerpt for the whole step, so that its clips have one length in all processes
        excerpt = draw_stretch(self._latent_frames, generator)
        places = self._share.places(step, portion)
        batch = make_batch(
            self._ahead.clips(step, portion),
            [sample_generator(self.plan.seed, place) for place in places],
            excerpt,
            self._encode,
            self.device,
        )
        text = self._texts.read(batch.texts).to(self.device)
        velocity, geometry = self._shared(batch.flow, text, batch.driving, batch.rotations)
        flow = flow_loss(velocity, batch.flow).mean()
        geometry = (geometry * batch.posed).mean()
        found = {
            "loss": flow + geometry_weight(step / self.num_steps) * geometry,
            "flow": flow,
            "geometry": geometry,
        }
        if step % METER_INTERVAL == 0 and portion == self.num_portions - 1:
            # the loop takes the mean over portions, of which one measures
            found |= {
                name: value * self.num_portions for name, value in self._held_out.meter(self._shared).items()
            }
        return found

    def pictures(self, step: int) -> dict[str, Tensor]:
        """The grid of held-out clips, now and then and at the end."""
        if step % self._grid_interval and step != self.num_steps:
            return {}
        return {"held_out": self._held_out.grid(self._shared, GRID_STEPS)}

    def compile(self) -> None:
        """Compile the generator's blocks, one for all."""
        self.generator.transformer.compile_repeated_blocks()

    def after_step(self) -> None:
        """Move the averaged weights towards the trained ones."""
        amount = min(1.0, EMA_HORIZON / self.num_steps)
        trained = trained_parameters(self.generator)
        with torch.no_grad():
            for name, average in self._average.items():
                average.lerp_(trained[name].detach(), amount)

    @property
    def _shared(self) -> nn.Module:
        assert self.model is not None, "the loop begins a stage before its first step"
        return self.model

    def _encode(self, video: Tensor) -> Tensor:
        return encode_targets(self._vae, video)
