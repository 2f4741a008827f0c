"""Second stage: the motion encoder alone, on single frames.

Without it a small generator was seen to learn pictures and ignore the motion.
"""

from __future__ import annotations

import torch
from torch import Tensor

from threedimo_training.embedded.cached_clips import CachedClips, picked, video_tensor
from threedimo_training.embedded.place_head import PlaceHead, hidden_states
from threedimo_training.embedded.recipe import EmbeddedRecipe, make_motion_encoder, seeded
from threedimo_training.embedded.warm_up_heads import WarmUpHeads
from threedimo_training.method.augment import jitter_colours
from threedimo_training.trainer.stage import Stage


class WarmUpStage(Stage):
    """One frame of each of many driving clips."""

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
        crops, visible = self.clips.read_hands(indices, one)
        with hidden_states(self.encoder.body.layers) as seen:
            tokens = self.encoder(video, crops, visible)[:, 0]
        names = ("rotations", "body_joints", "camera_joints", "driving_places", "driving_silhouette")
        *labels, silhouette = (self.clips.read(name, indices, one) for name in names)
        found = self.heads.losses(tokens, *(label[:, 0] for label in labels))
        patches = seen[0][:, self.encoder.body.num_tokens :]
        side = self.encoder.config["frame_size"] // self.encoder.config["patch_size"]
        # Asked of the patches, so that there is something for the tokens to gather.
        found["patches"] = self.patches.loss(patches, (1, side, side), silhouette, labels[-1])
        return found | {"loss": found["loss"] + found["patches"]}
