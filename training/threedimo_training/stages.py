"""The embedded model's training, stage by stage; `trainer.run_stage` drives each.

1. `AutoencoderStage`: pictures to latents and back.
2. `WarmUpStage`: the motion encoder alone, on single frames. Without it a small generator was seen to
   learn pictures and ignore the motion.
3. `GeneratorStage`: motion encoder and generator together, with the paper's three mixtures in turn.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import Tensor, nn

from threedimo.models import MotionEncoder
from threedimo_training.augment import jitter_colours, warp_perspective
from threedimo_training.autoencoder import measure_latents, reconstruction_loss
from threedimo_training.cached_clips import CPU, CachedClips, video_tensor
from threedimo_training.flow_matching import (
    FlowBatch,
    flow_loss,
    noise_latents,
    predict_velocity,
    random_levels,
)
from threedimo_training.framewise_convolution import framewise_convolutions
from threedimo_training.geometry_head import GeometryHead, WarmUpHeads
from threedimo_training.latent_files import LatentFolder
from threedimo_training.place_head import PlaceHead, hidden_states
from threedimo_training.recipe import (
    MAX_TEXT_TOKENS,
    EmbeddedRecipe,
    make_autoencoder,
    make_camera_encoder,
    make_motion_encoder,
    make_text_encoder,
    make_tokenizer,
    make_transformer,
    seeded,
)
from threedimo_training.samples.sample import ROLES

# The paper: geometry weight 0.1 -> 0 over the first 12K of 30K steps; stages of 10K, 15K and 5K steps.
GEOMETRY_WEIGHT, GEOMETRY_SHARE = 0.1, 12 / 30
STAGE_1_END, STAGE_2_END = 10 / 30, 25 / 30
PLACE_WEIGHT = 1.0

TEXT_DROPOUT, MOTION_DROPOUT, HINTS_DROPOUT = 0.1, 0.1, 0.3
TWO_LEAD_SHARE, CONTINUATION_SHARE = 0.15, 0.15
PERSON_WEIGHT = 4.0
ENCODER_INTERVAL = 4
EMA_DECAY = 0.99


class Stage(ABC):
    """One optimisation: modules, their learning rate, and the losses of a step."""

    name: ClassVar[str]
    learning_rate: ClassVar[float]
    modules: dict[str, nn.Module]
    num_steps: int
    device: torch.device = CPU

    @abstractmethod
    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of step `step`, `loss` among them; what else is in the dictionary is reported."""

    def after_step(self) -> None:  # noqa: B027 - most stages have nothing to do here
        """Do what follows every optimizer step."""

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer changes."""
        return [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]


def _picked(count: int, size: int, generator: torch.Generator) -> list[int]:
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
            batch, (start,) = self.recipe.autoencoder_images, _picked(self.recipe.num_frames, 1, generator)
            frames = slice(start, start + 1)
        else:
            # Whole clips: trained on shorter ones, the decoder was seen to drift after their length.
            batch, frames = self.recipe.autoencoder_clips, slice(None)
        indices = _picked(len(self.clips), batch, generator)
        video = video_tensor(self.clips.read("target" if step % 4 else "driving", indices, frames))
        with framewise_convolutions(self.device):
            return reconstruction_loss(self.autoencoder, video, generator)


class WarmUpStage(Stage):
    """Stage 2; one frame of each of many driving clips."""

    name, learning_rate = "warm_up", 6e-4

    def __init__(self, recipe: EmbeddedRecipe, clips: CachedClips):
        seeded(recipe.seed + 1)
        self.recipe, self.clips, self.num_steps = recipe, clips, recipe.warm_up_steps
        self.device = clips.device
        self.encoder = make_motion_encoder(recipe)
        self.heads = WarmUpHeads(self.encoder.num_tokens, self.encoder.config["motion_dim"])
        self.modules = {"motion_encoder": self.encoder, "heads": self.heads}

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Regress the pose that each frame shows."""
        del step
        indices = _picked(len(self.clips), self.recipe.warm_up_batch, generator)
        frame = int(torch.randint(self.recipe.num_frames, (1,), generator=generator))
        one = slice(frame, frame + 1)
        video = jitter_colours(video_tensor(self.clips.read("driving", indices, one)), generator)
        crops, visible = _hands(self.clips, indices, one)
        tokens = self.encoder(video, crops, visible)[:, 0]
        labels = (
            self.clips.read(name, indices, one)[:, 0]
            for name in ("rotations", "body_joints", "camera_joints")
        )
        return self.heads.losses(tokens, *labels)


class GeneratorStage(Stage):
    """Stage 3; the method itself."""

    name, learning_rate = "generator", 7e-4

    def __init__(
        self, recipe: EmbeddedRecipe, clips: CachedClips, latents: LatentFolder, encoder: MotionEncoder
    ):
        seeded(recipe.seed + 2)
        self.recipe, self.clips, self.latents, self.num_steps = recipe, clips, latents, recipe.generator_steps
        self.device = clips.device
        self.tokenizer = make_tokenizer()
        self.encoder = encoder
        self.camera_encoder = make_camera_encoder()
        self.text_encoder = make_text_encoder(len(self.tokenizer))
        self.transformer = make_transformer()
        self.geometry = GeometryHead(encoder.num_tokens, encoder.config["motion_dim"])
        trained = {
            "motion_encoder": self.encoder,
            "camera_encoder": self.camera_encoder,
            "text_encoder": self.text_encoder,
            "transformer": self.transformer,
        }
        averaged = {
            f"ema_{name}": copy.deepcopy(module).requires_grad_(False) for name, module in trained.items()
        }
        self._pairs = [(averaged[f"ema_{name}"], module) for name, module in trained.items()]
        config = self.transformer.config
        self._patch_size = config["patch_size"][1]
        self._middle = self.transformer.blocks[len(self.transformer.blocks) // 2 - 1]
        self.places = PlaceHead(config["num_attention_heads"] * config["attention_head_dim"])
        self.modules = {**trained, "geometry": self.geometry, "places": self.places, **averaged}
        self._by_role = [[i for i in range(len(latents)) if clips.role(i) == role] for role in ROLES]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Denoise targets of the paper's current mixture under conditions that drop out now and then."""
        progress = step / self.num_steps
        indices = self._mixture(progress, generator)
        stretch, num_lead = self._stretch(generator)
        batch, weight = self._noised(indices, stretch, num_lead, generator)
        # The encoder costs more than the generator and arrives warmed up: it learns in some of the steps.
        with torch.set_grad_enabled(step % ENCODER_INTERVAL == 0):
            motion = self._motion_tokens(indices, stretch, generator)
        geometry = self.geometry.loss(motion, self.clips.read("rotations", indices, _video_frames(stretch)))

        dropped_motion = _dropped(motion, MOTION_DROPOUT, generator)
        camera = _dropped(self._camera_tokens(indices, stretch), HINTS_DROPOUT, generator)
        text = self._text(indices, generator)
        with hidden_states(self._middle) as seen:
            velocity = predict_velocity(self.transformer, batch, text, dropped_motion, camera)
        flow = flow_loss(velocity, batch, weight).mean()
        place = self._place_loss(seen[0], indices, stretch, batch)
        geometry_weight = GEOMETRY_WEIGHT * max(0.0, 1 - progress / GEOMETRY_SHARE)
        loss = flow + geometry_weight * geometry + PLACE_WEIGHT * place
        found = {"loss": loss, "flow": flow, "geometry": geometry, "place": place}
        if step % 50 == 0:
            with torch.no_grad():
                right = flow_loss(
                    predict_velocity(self.transformer, batch, text, motion, camera), batch, weight
                )
                wrong = flow_loss(
                    predict_velocity(self.transformer, batch, text, motion.roll(1, dims=0), camera),
                    batch,
                    weight,
                )
            # Above 0, another clip's motion predicts the target worse: the generator listens.
            found["motion_sensitivity"] = wrong.mean() / right.mean() - 1
        return found

    def _place_loss(self, hidden: Tensor, indices: list[int], stretch: slice, batch: FlowBatch) -> Tensor:
        # the last video frame of each latent frame
        frames = slice(4 * stretch.start, 4 * (stretch.stop - 1) + 1, 4)
        grid = batch.noised.shape[2], *(side // self._patch_size for side in batch.noised.shape[3:])
        silhouette, joints = (
            self.clips.read(name, indices, frames) for name in ("silhouette", "target_joints")
        )
        return self.places.loss(hidden, grid, batch.num_lead, silhouette, joints)

    def after_step(self) -> None:
        """Move the averaged weights towards the trained ones."""
        with torch.no_grad():
            for average, trained in self._pairs:
                slow, fast = list(average.parameters()), list(trained.parameters())
                # one call, because hundreds of small ones add up
                torch._foreach_lerp_(slow, fast, 1 - EMA_DECAY)  # pyright: ignore[reportPrivateImportUsage]

    def _mixture(self, progress: float, generator: torch.Generator) -> list[int]:
        same, cross, moving = self._by_role
        if progress < STAGE_1_END:
            pools = [same]
        elif progress < STAGE_2_END:
            pools = [same, same, cross, moving]
        else:
            pools = [cross, moving]
        size = self.recipe.generator_batch
        chosen = (pools[number % len(pools)] for number in range(size))
        return [pool[_picked(len(pool), 1, generator)[0]] for pool in chosen]

    def _stretch(self, generator: torch.Generator) -> tuple[slice, int]:
        """Latent frames to train on: mostly the whole clip, at times its end as a later window sees it."""
        draw = float(torch.rand(1, generator=generator))
        last = (self.recipe.num_frames - 1) // 4 + 1
        if draw < CONTINUATION_SHARE:
            return slice(1, last), 1
        return slice(0, last), 2 if draw < CONTINUATION_SHARE + TWO_LEAD_SHARE else 1

    def _noised(
        self, indices: list[int], stretch: slice, num_lead: int, generator: torch.Generator
    ) -> tuple[FlowBatch, Tensor]:
        latents = self.latents.read("latents", indices)[:, :, stretch].float()
        person = self.latents.read("person", indices)[:, None, stretch].float()
        weight = 1 + PERSON_WEIGHT * person
        noise = torch.randn(latents.shape, generator=generator).to(self.device)
        levels = random_levels(len(indices), generator).to(self.device)
        return noise_latents(latents, num_lead, self._patch_size, levels, noise), weight / weight.mean()

    def _motion_tokens(self, indices: list[int], stretch: slice, generator: torch.Generator) -> Tensor:
        frames = _video_frames(stretch)
        video = video_tensor(self.clips.read("driving", indices, frames))
        video = jitter_colours(warp_perspective(video, generator), generator)
        crops, visible = _hands(self.clips, indices, frames)
        # Real footage often comes without located hands: half of the clips learn to do without.
        kept = torch.rand(len(indices), 1, 1, generator=generator) < 0.5
        visible = visible & kept.to(self.device)
        return self.encoder(video, crops, visible)

    def _camera_tokens(self, indices: list[int], stretch: slice) -> Tensor:
        return self.camera_encoder(self.clips.read("later_hints" if stretch.start else "hints", indices))

    def _text(self, indices: list[int], generator: torch.Generator) -> Tensor:
        dropped = torch.rand(len(indices), generator=generator) < TEXT_DROPOUT
        texts = ["" if drop else self.clips.text(index) for index, drop in zip(indices, dropped, strict=True)]
        tokens = self.tokenizer(texts, return_tensors="pt", padding="max_length", max_length=MAX_TEXT_TOKENS)
        mask = tokens.attention_mask.to(self.device)
        embedded = self.text_encoder(tokens.input_ids.to(self.device), mask).last_hidden_state
        return embedded * mask[..., None]


def _video_frames(stretch: slice) -> slice:
    """Video frames that go with a stretch of latent frames; see `threedimo.windows`."""
    return slice(4 * stretch.start, 4 * (stretch.stop - 1) + 1)


def _hands(clips: CachedClips, indices: list[int], frames: slice) -> tuple[Tensor, Tensor]:
    crops = clips.read("hand_crops", indices, frames)
    return crops.movedim(-1, 3).float() / 127.5 - 1, clips.read("hand_visible", indices, frames).bool()


def _dropped(tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Set the tokens of a share of the samples to zeros, which is what a missing condition is."""
    kept = torch.rand(tokens.shape[0], 1, 1, 1, generator=generator) >= share
    return tokens * kept.to(tokens.device)


def measure_statistics(autoencoder: AutoencoderKLWan, clips: CachedClips, count: int = 128) -> None:
    """Store the latents' mean and deviation over `count` whole targets in the autoencoder's config."""
    step = max(1, len(clips) // count)
    indices = range(0, len(clips), step)
    measure_latents(autoencoder, [video_tensor(clips.read("target", [index])) for index in indices])
