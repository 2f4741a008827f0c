"""Where a stage begins: at random weights, or at those of a model that was exported before."""

from __future__ import annotations

from pathlib import Path

import torch

from threedimo.checkpoints import load_pipeline
from threedimo.errors import TrainingMismatch
from threedimo.model_info import read_model_info
from threedimo_training.embedded.recipe import EmbeddedRecipe
from threedimo_training.trainer.loop import state_file
from threedimo_training.trainer.stage import Stage

# A stage's modules, without the prefix of averaged ones, and what a pipeline calls them; others begin anew.
_COMPONENTS = {
    "autoencoder": "vae",
    "motion_encoder": "motion_encoder",
    "camera_encoder": "camera_encoder",
    "text_encoder": "text_encoder",
    "transformer": "transformer",
}
_POSITION = "picture_position."


def check_start(recipe: EmbeddedRecipe) -> None:
    """Look, before anything is rendered, whether the recipe can start from its model.

    Raises:
        ModelError: There is no such model.
        TrainingMismatch: It makes other clips.
    """
    if recipe.start is None:
        return
    info = read_model_info(recipe.start)
    made = (info.width, info.height, info.num_frames, info.fps)
    if made != (recipe.size, recipe.size, recipe.num_frames, recipe.fps):
        raise TrainingMismatch(
            "the model to start from makes other clips than the schedule",
            given=f"{recipe.start}, which makes {info.num_frames} frames of {info.width}x{info.height}",
            allowed=f"{recipe.num_frames} frames of {recipe.size}x{recipe.size} at {recipe.fps:g} fps",
            remedy="choose its --schedule, or leave --start out",
        )


def take_start(stage: Stage, recipe: EmbeddedRecipe, work: Path) -> None:
    """Give a stage that has not begun the weights of the model that its recipe starts from.

    Raises:
        ModelError: It is gone or damaged.
        TrainingMismatch: It has other layers than the recipe's.
    """
    if recipe.start is None or state_file(work, stage.name).exists():
        return
    pipeline = load_pipeline(recipe.start, device="cpu", dtype=torch.float32)
    for name, module in stage.modules.items():
        component = _COMPONENTS.get(name.removeprefix("ema_"))
        if component is None or (recipe.new_generator and component == "transformer"):
            continue
        weights = getattr(pipeline, component).state_dict()
        # Places in the picture begin as zeros, which change nothing: a model may be older than they are.
        new = {key: value for key, value in module.state_dict().items() if key.startswith(_POSITION)}
        try:
            module.load_state_dict({**new, **weights})
        except RuntimeError as error:
            raise TrainingMismatch(
                f"the {component} of the model to start from has other layers than the recipe's",
                given=recipe.start,
                allowed="a model that was exported after training by the same schedule",
                remedy="choose its --schedule, or add --new-generator, or leave --start out",
            ) from error
