"""Which models a server makes shots with: how each is loaded, and what it makes. Without torch."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from threedimo.errors import ServerError
from threedimo.model_info import EMBEDDED, FEW_STEPS, read_model_info, with_step_lora
from threedimo.presets import presets_of
from threedimo.wire.messages import ModelInfo


class ModelChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model is loaded, as `threedimo.checkpoints.load_pipeline` takes it.

    Attributes:
        model: "embedded", a folder, or a hub id; see `threedimo.model_info`.
        adapter: Folder of what was trained in the model, or None.
        untrained: A stock Wan model without an adapter, in which motion and camera do nothing.
        lora: File of a LoRA for few steps, or None.
        lora_steps: Steps that it was made for.
    """

    model: str = EMBEDDED
    adapter: str | None = None
    untrained: bool = False
    lora: str | None = None
    lora_steps: int = FEW_STEPS

    def info(self) -> ModelInfo:
        """What it makes. Raises as `read_model_info` does."""
        info = read_model_info(self.model, self.adapter, untrained=self.untrained)
        return info if self.lora is None else with_step_lora(info, self.lora, self.lora_steps)

    def options(self) -> list[str]:
        """The options of a command that name it."""
        return [
            *("--model", self.model),
            *(() if self.adapter is None else ("--adapter", self.adapter)),
            *(("--untrained",) if self.untrained else ()),
            *(() if self.lora is None else ("--lora", self.lora, "--lora-steps", str(self.lora_steps))),
        ]


class ServedModels:
    """The models of a server; the first is the one that a request without a model gets.

    Args:
        choices: At least one.

    Attributes:
        infos: What each makes.
        choices: How each is loaded, by its id.

    Raises:
        ModelNotFound, InvalidModel: There is no such model or adapter.
        UntrainedModel: One is a stock Wan model without an adapter.
        ServerError: Two call themselves the same.
    """

    def __init__(self, choices: Sequence[ModelChoice]):
        self.infos: list[ModelInfo] = []
        self.choices: dict[str, ModelChoice] = {}
        for choice in choices:
            info = choice.info()
            if info.id in self.choices:
                raise ServerError(
                    "two models of the server have the same id, by which clients could not tell them apart",
                    given=f"{info.id}: {_words(self.choices[info.id])}; {_words(choice)}",
                    remedy='leave one out, or give it another "id" in the threedimo.json of its folder',
                )
            self.infos.append(info)
            self.choices[info.id] = choice

    def told(self) -> list[ModelInfo]:
        """What clients are told: `infos` with the presets that follow from a model's numbers."""
        return [msgspec.structs.replace(info, presets=presets_of(info)) for info in self.infos]


def _words(choice: ModelChoice) -> str:
    return choice.model if choice.adapter is None else f"{choice.model} with {choice.adapter}"
