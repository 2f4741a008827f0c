"""What a stage of the embedded model's training is, and all but one; `trainer.run_stage` drives each.

1. `AutoencoderStage`: pictures to latents and back.
2. `WarmUpStage`: the motion encoder alone, on single frames. Without it a small generator was seen to
   learn pictures and ignore the motion.
3. `generator_stage.GeneratorStage`: motion encoder and generator together.
4. `DecoderStage`: the decoder once more; it needs only the first stage.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor, nn

from threedimo.errors import TrainingError
from threedimo_training.augment import jitter_colours
from threedimo_training.autoencoder import measure_latents, reconstruction_loss
from threedimo_training.cached_clips import CPU, CachedClips, video_tensor
from threedimo_training.framewise_convolution import framewise_convolutions
from threedimo_training.geometry_head import WarmUpHeads
from threedimo_training.place_head import PlaceHead, hidden_states
from threedimo_training.recipe import EmbeddedRecipe, make_autoencoder, make_motion_encoder, seeded
from threedimo_training.training_state import Parts


class Stage(ABC):
    """One optimisation: modules, their learning rate, and the losses of a step."""

    name: ClassVar[str]
    learning_rate: float
    modules: dict[str, nn.Module]
    num_steps: int
    device: torch.device = CPU
    num_portions: int = 1
    """Portions of equal size in which a step's batch is computed, one after the other."""
    model: nn.Module | None = None
    """What several processes train together; None where a stage is made for one."""

    def begin(self, accelerator: Accelerator, optimizer: torch.optim.Optimizer) -> AcceleratedOptimizer:
        """Make ready for the processes at hand; `modules` are on their device already.

        Raises:
            TrainingError: There are several, and the stage is made for one.
        """
        if accelerator.num_processes > 1:
            raise TrainingError(
                f"stage {self.name} trains in one process",
                given=f"{accelerator.num_processes} processes",
                remedy="start it without `accelerate launch`",
            )
        prepared: Any = accelerator.prepare_optimizer(optimizer)
        return prepared

    @abstractmethod
    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of step `step`, `loss` among them; what else is in the dictionary is reported."""

    def portion_losses(self, step: int, portion: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of one of the step's portions in this process; their mean is the step's."""
        del portion
        return self.losses(step, generator)

    def state(self) -> Parts:
        """What is saved and comes back when the stage goes on."""
        return self.modules

    def pictures(self, step: int) -> dict[str, Tensor]:
        """Pictures (height, width, 3) uint8 to keep after step `step`, by name; in most steps none."""
        del step
        return {}

    def compile(self) -> None:  # noqa: B027 - worth its start only where a step repeats the same block often
        """Compile what repeats; changes speed alone."""

    def after_step(self) -> None:  # noqa: B027 - most stages have nothing to do here
        """Do what follows every optimizer step."""

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer changes."""
        return [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The same in groups; `scale` is what a group's learning rate is of the stage's."""
        return [{"params": self.parameters(), "scale": 1.0}]


def picked(count: int, size: int, generator: torch.Generator) -> list[int]:
    """`size` numbers below `count`, with repetition."""
    return torch.randint(count, (size,), generator=generator).tolist()


class AutoencoderStage(Stage):
    """Stage 1; single frames first, which teach most of it at little cost, then whole clips."""

    name, learning_rate = "autoencoder", 3e-3

    def __init__(self, recipe: EmbeddedRecipe, clips: CachedClips):
        seeded(recipe.seed)
        self.recipe, self.clips, self.num_steps = recipe, clips, recipe.autoencoder_steps
        self.device = clips.device
        self.autoencoder = make_autoencoder()
        self.modules = {"autoencoder": self.autoencoder}

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Reconstruct frames of targets and of driving clips in turn."""
        if step < self.recipe.autoencoder_image_steps:
            batch, (start,) = self.recipe.autoencoder_images, picked(self.recipe.num_frames, 1, generator)
            frames = slice(start, start + 1)
        else:
            # Whole clips: trained on shorter ones, the decoder was seen to drift after their length.
            batch, frames = self.recipe.autoencoder_clips, slice(None)
        indices = picked(len(self.clips), batch, generator)
        video = video_tensor(self.clips.read("target" if step % 4 else "driving", indices, frames))
        with framewise_convolutions(self.device):
            return reconstruction_loss(self.autoencoder, video, generator)


class DecoderStage(Stage):
    """Last stage: the decoder alone, on whole clips, while the latents that the generator knows stay.

    Args:
        recipe: Its schedule.
        clips: What is decoded.
        autoencoder: On the device of the clips; its encoder is frozen.
    """

    name, learning_rate = "decoder", 1e-3

    def __init__(self, recipe: EmbeddedRecipe, clips: CachedClips, autoencoder: AutoencoderKLWan):
        self.recipe, self.clips, self.num_steps = recipe, clips, recipe.decoder_steps
        self.device = clips.device
        self.autoencoder = autoencoder.requires_grad_(False)
        self.modules = {"decoder": autoencoder.decoder, "post_quant_conv": autoencoder.post_quant_conv}
        for module in self.modules.values():
            module.requires_grad_(True)

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Reconstruct whole targets and driving clips in turn."""
        indices = picked(len(self.clips), self.recipe.autoencoder_clips, generator)
        video = video_tensor(self.clips.read("target" if step % 4 else "driving", indices))
        with framewise_convolutions(self.device):
            return reconstruction_loss(self.autoencoder, video, generator)


class WarmUpStage(Stage):
    """Stage 2; one frame of each of many driving clips."""

    name, learning_rate = "warm_up", 1e-3

    def __init__(self, recipe: EmbeddedRecipe, clips: CachedClips):
        seeded(recipe.seed + 1)
        self.recipe, self.clips, self.num_steps = recipe, clips, recipe.warm_up_steps
        self.device = clips.device
        self.encoder = make_motion_encoder(recipe)
        self.heads = WarmUpHeads(self.encoder.num_tokens, self.encoder.config["motion_dim"])
        self.patches = PlaceHead(self.encoder.config["hidden_dim"])
        self.modules = {"motion_encoder": self.encoder, "heads": self.heads, "patches": self.patches}

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Regress the pose that each frame shows."""
        del step
        indices = picked(len(self.clips), self.recipe.warm_up_batch, generator)
        frame = int(torch.randint(self.recipe.num_frames, (1,), generator=generator))
        one = slice(frame, frame + 1)
        video = jitter_colours(video_tensor(self.clips.read("driving", indices, one)), generator)
        crops, visible = read_hands(self.clips, indices, one)
        with hidden_states(self.encoder.body.layers) as seen:
            tokens = self.encoder(video, crops, visible)[:, 0]
        names = ("rotations", "body_joints", "camera_joints", "driving_places", "driving_silhouette")
        *labels, silhouette = (self.clips.read(name, indices, one) for name in names)
        found = self.heads.losses(tokens, *(label[:, 0] for label in labels))
        patches = seen[0][:, self.encoder.body.num_tokens :]
        side = self.encoder.config["frame_size"] // self.encoder.config["patch_size"]
        # Asked of the patches, so that there is something for the tokens to gather.
        found["patches"] = self.patches.loss(patches, (1, side, side), 0, silhouette, labels[-1])
        return found | {"loss": found["loss"] + found["patches"]}


def read_hands(clips: CachedClips, indices: list[int], frames: slice) -> tuple[Tensor, Tensor]:
    """Hand crops (batch, frames, 2, 3, height, width) in [-1, 1], and which of them show a hand."""
    crops = clips.read("hand_crops", indices, frames)
    return crops.movedim(-1, 3).float() / 127.5 - 1, clips.read("hand_visible", indices, frames).bool()


def measure_statistics(autoencoder: AutoencoderKLWan, clips: CachedClips, count: int = 128) -> None:
    """Store the latents' mean and deviation over `count` whole targets in the autoencoder's config."""
    step = max(1, len(clips) // count)
    indices = range(0, len(clips), step)
    measure_latents(autoencoder, [video_tensor(clips.read("target", [index])) for index in indices])
