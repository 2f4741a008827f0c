"""The embedded model's last stage: motion encoder and generator together, in the paper's mixtures."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor

from threedimo.models import MotionEncoder, MotionWanTransformer3DModel
from threedimo.models.motion_context import TEMPORAL_COMPRESSION
from threedimo_training.embedded.cached_clips import EVERY, CachedClips, Frames, picked
from threedimo_training.embedded.latent_files import LatentFolder
from threedimo_training.embedded.motion_tokens import MotionTokenFolder, augmented_tokens, plain_tokens
from threedimo_training.embedded.place_head import PlaceHead, hidden_states
from threedimo_training.embedded.recipe import (
    MAX_TEXT_TOKENS,
    MOTION_DIM,
    PERSON_WEIGHT,
    EmbeddedRecipe,
    make_camera_encoder,
    make_text_encoder,
    make_tokenizer,
    make_transformer,
    seeded,
)
from threedimo_training.method.excerpts import Excerpt, draw_pair, draw_stretch
from threedimo_training.method.flow_matching import (
    FlowBatch,
    flow_loss,
    noise_latents,
    predict_velocity,
    random_levels,
)
from threedimo_training.method.geometry_head import GeometryHead
from threedimo_training.method.schedule import (
    HINTS_DROPOUT,
    MOTION_DROPOUT,
    STAGE_1_END,
    TEXT_DROPOUT,
    dropped,
    geometry_weight,
    mixture,
)
from threedimo_training.samples.sample import ROLES, Role
from threedimo_training.trainer.stage import Stage

PAIRS_END = ENCODER_START = 0.75
PLACE_WEIGHT = 1.0
ENCODER_INTERVAL, ENCODER_SCALE = 4, 0.1
EMA_DECAY = 0.99
METER_INTERVAL = 50


class GeneratorStage(Stage):
    """Stage 3; the method itself.

    What the ablations leave out is an attribute here or a method without an underscore, and nothing else.

    Args:
        recipe: Its schedule.
        clips: Driving frames, and what is known about the targets.
        latents: Of the targets.
        encoder: The warmed-up motion encoder.
        geometry: The warm-up's head that reads this encoder's tokens; None begins a new one.
        tokens: Of the driving clips, for as long as the encoder stays as it is; None encodes them in each
            step.

    Attributes:
        pairs_end: Until this share of the steps, the generator learns on pairs: the reference frame and one
            other latent frame, from any time later, of many clips. Neighbouring frames of a clip say much the
            same about how a person looks in a pose.
        mixtures_end: How far the training gets through the paper's mixtures, as a share of its steps.
        geometry_scale: Times the geometry loss's fading weight.
        place_weight: Of the place head's loss.
        encoder_start: The encoder stays as the warm-up left it for this share of the steps. Measured: from
            the first step on, the optimizer turns the tiny gradients of a generator that does not listen yet
            into steps of full size, and the encoder's tokens lose all that they knew within 500 of them. The
            geometry loss keeps its weight until then, and fades over the steps in which there is something
            that it can teach.
        encoder_interval: From then on it learns in one step of so many: it costs more than the generator,
        encoder_scale: at this share of the learning rate, so that it keeps what it knows. Measured in a
            trial, as the error of camera-frame joints that a linear map reads off the tokens, 127.5 mm at
            first: 132.9 mm after 120 steps at the full rate and without geometry loss, 127.6 mm at a tenth
            and with it.
    """

    name = "generator"
    pairs_end: ClassVar[float] = PAIRS_END
    mixtures_end: ClassVar[float] = 1.0
    geometry_scale: ClassVar[float] = 1.0
    place_weight: ClassVar[float] = PLACE_WEIGHT
    encoder_start: ClassVar[float] = ENCODER_START
    encoder_interval: ClassVar[int] = ENCODER_INTERVAL
    encoder_scale: ClassVar[float] = ENCODER_SCALE

    def __init__(
        self,
        recipe: EmbeddedRecipe,
        clips: CachedClips,
        latents: LatentFolder,
        encoder: MotionEncoder,
        geometry: GeometryHead | None = None,
        tokens: MotionTokenFolder | None = None,
    ):
        seeded(recipe.seed + 2)
        self.recipe, self.clips, self.latents, self.num_steps = recipe, clips, latents, recipe.generator_steps
        self.learning_rate = recipe.generator_rate
        self.device, self.tokens = clips.device, tokens
        self.tokenizer = make_tokenizer()
        self.encoder = encoder
        self.camera_encoder = make_camera_encoder()
        self.text_encoder = make_text_encoder(len(self.tokenizer))
        self.transformer = self.new_transformer()
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
        self.patch_size = config["patch_size"][1]
        self._middle = self.transformer.blocks[len(self.transformer.blocks) // 2 - 1]
        self.places = PlaceHead(config["num_attention_heads"] * config["attention_head_dim"])
        # last, so that whether it is new changes nothing else that is drawn
        self.geometry = geometry or GeometryHead(encoder.num_tokens, MOTION_DIM)
        self.modules = {**trained, "geometry": self.geometry, "places": self.places, **averaged}
        self._by_role = {role: [i for i in range(len(latents)) if clips.role(i) == role] for role in ROLES}

    def new_transformer(self) -> MotionWanTransformer3DModel:
        """The generator, untrained."""
        return make_transformer(self.recipe)

    def compile(self) -> None:
        """Compile the generator's blocks; the encoder's would take longer to compile than they save."""
        for block in self.transformer.blocks:
            block.compile()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The encoder in a group of its own."""
        encoder = [p for p in self.encoder.parameters() if p.requires_grad]
        apart = set(encoder)
        rest = [p for p in self.parameters() if p not in apart]
        return [{"params": rest, "scale": 1.0}, {"params": encoder, "scale": self.encoder_scale}]

    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Denoise targets of the paper's current mixture under conditions that drop out now and then."""
        progress = step / self.num_steps
        indices = [self._drawn(role, generator) for role in self.roles(progress)]
        draw = draw_pair if self._paired(progress) else draw_stretch
        excerpt = draw((self.recipe.num_frames - 1) // TEMPORAL_COMPRESSION + 1, generator)
        batch, weight = self._noised(indices, excerpt, generator)
        motion = self._step_tokens(step, indices, excerpt.video_frames, generator)
        geometry = self.geometry.loss(motion, self.clips.read("rotations", indices, excerpt.video_frames))
        heard = dropped(motion, MOTION_DROPOUT, generator)
        camera = dropped(self.camera_tokens(indices, excerpt), HINTS_DROPOUT, generator)
        text = self._text(indices, generator)
        with hidden_states(self._middle) as seen:
            velocity = predict_velocity(self.transformer, batch, text, heard, camera)
        flow = flow_loss(velocity, batch, weight).mean()
        place = self._place_loss(seen[0], indices, excerpt, batch)
        learned = (progress - self.encoder_start) / (1 - self.encoder_start)
        geometry_now = self.geometry_scale * geometry_weight(max(0.0, learned))
        loss = flow + geometry_now * geometry + self.place_weight * place
        found = {"loss": loss, "flow": flow, "geometry": geometry, "place": place}
        if step % METER_INTERVAL == 0:
            found |= self._sensitivities(batch, weight, text, motion, camera)
        return found

    @torch.no_grad()
    def _sensitivities(
        self, batch: FlowBatch, weight: Tensor, text: Tensor, motion: Tensor, camera: Tensor
    ) -> dict[str, Tensor]:
        """How much worse the targets are predicted with another clip's motion or camera; 0 if unheard."""

        def error(text: Tensor, motion: Tensor, camera: Tensor) -> Tensor:
            velocity = predict_velocity(self.transformer, batch, text, motion, camera)
            return flow_loss(velocity, batch, weight).mean()

        right = error(text, motion, camera)
        return {
            "motion_sensitivity": error(text, motion.roll(1, dims=0), camera) / right - 1,
            "camera_sensitivity": error(text.roll(1, dims=0), motion, camera.roll(1, dims=0)) / right - 1,
        }

    def _place_loss(self, hidden: Tensor, indices: list[int], excerpt: Excerpt, batch: FlowBatch) -> Tensor:
        grid = batch.noised.shape[2], *(side // self.patch_size for side in batch.noised.shape[3:])
        silhouette, joints = (
            self.clips.read(name, indices, excerpt.last_video_frames)
            for name in ("target_silhouette", "target_places")
        )
        return self.places.loss(hidden, grid, silhouette, joints)

    def after_step(self) -> None:
        """Move the averaged weights towards the trained ones."""
        with torch.no_grad():
            for average, trained in self._pairs:
                slow, fast = list(average.parameters()), list(trained.parameters())
                # one call, because hundreds of small ones add up
                torch._foreach_lerp_(slow, fast, 1 - EMA_DECAY)  # pyright: ignore[reportPrivateImportUsage]

    def take_averaged(self) -> None:
        """Put the averaged weights in place of the trained ones, to measure what an export would hold."""
        for average, trained in self._pairs:
            trained.load_state_dict(average.state_dict())

    def _paired(self, progress: float) -> bool:
        return progress < self.pairs_end

    def roles(self, progress: float) -> list[Role]:
        """The roles of a step's samples, at this share of the steps."""
        count = self.recipe.generator_pairs if self._paired(progress) else self.recipe.generator_batch
        # A generator that starts from a model's has been through the first mixture, of one view alone.
        begun = STAGE_1_END if self.recipe.start and not self.recipe.new_generator else 0.0
        return mixture(begun + (self.mixtures_end - begun) * progress, count)

    def _drawn(self, role: Role, generator: torch.Generator) -> int:
        samples = self._by_role[role]
        return samples[picked(len(samples), 1, generator)[0]]

    def _noised(
        self, indices: list[int], excerpt: Excerpt, generator: torch.Generator
    ) -> tuple[FlowBatch, Tensor]:
        latents = self.latents.read("latents", indices)[:, :, excerpt.latent_frames].float()
        noise = torch.randn(latents.shape, generator=generator).to(self.device)
        levels = random_levels(len(indices), generator).to(self.device)
        batch = noise_latents(latents, excerpt.num_lead, levels, noise)
        return batch, self.loss_weight(indices, excerpt)

    def loss_weight(self, indices: list[int], excerpt: Excerpt) -> Tensor:
        """How much each latent place counts (batch, 1, latent_frames, height, width): people more; mean 1."""
        person = self.latents.read("person", indices)[:, None, excerpt.latent_frames].float()
        weight = 1 + PERSON_WEIGHT * person
        return weight / weight.mean()

    def motion_tokens(self, indices: list[int], frames: Frames = EVERY) -> Tensor:
        """Tokens (batch, frames, K, motion_dim) of the driving frames as they are, for measuring."""
        return plain_tokens(self.encoder, self.clips, indices, frames)

    def augmented_motion(self, indices: list[int], frames: Frames, generator: torch.Generator) -> Tensor:
        """The same for learning."""
        return augmented_tokens(self.encoder, self.clips, indices, frames, generator)

    def _step_tokens(
        self, step: int, indices: list[int], frames: Frames, generator: torch.Generator
    ) -> Tensor:
        """Motion tokens of a step, with gradients where the encoder learns in it."""
        waits = step / self.num_steps < self.encoder_start
        if waits and self.tokens is not None:
            return self.tokens.read(indices, frames)
        with torch.set_grad_enabled(not waits and step % self.encoder_interval == 0):
            return self.augmented_motion(indices, frames, generator)

    def camera_tokens(self, indices: list[int], excerpt: Excerpt) -> Tensor:
        """Tokens (batch, frames, 1, motion_dim) of the targets' exact cameras."""
        if excerpt.begins_later:
            return self.camera_encoder(self.clips.read("later_hints", indices))
        return self.camera_encoder(self.clips.read("hints", indices, excerpt.video_frames))

    def _text(self, indices: list[int], generator: torch.Generator) -> Tensor:
        dropped = torch.rand(len(indices), generator=generator) < TEXT_DROPOUT
        texts = ["" if drop else self.clips.text(index) for index, drop in zip(indices, dropped, strict=True)]
        return self.embed(texts)

    def embed(self, texts: list[str]) -> Tensor:
        """Embeddings (batch, MAX_TEXT_TOKENS, text_dim) of texts, zeros after each text's end."""
        tokens = self.tokenizer(texts, return_tensors="pt", padding="max_length", max_length=MAX_TEXT_TOKENS)
        mask = tokens.attention_mask.to(self.device)
        embedded = self.text_encoder(tokens.input_ids.to(self.device), mask).last_hidden_state
        return embedded * mask[..., None]
