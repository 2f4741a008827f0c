"""Which of a server's models is meant: both sides of the wire read an id alike."""

from __future__ import annotations

from collections.abc import Sequence

from threedimo.errors import ModelNotFound
from threedimo.wire.messages import ModelInfo


def choose_model(models: Sequence[ModelInfo], model_id: str) -> ModelInfo:
    """The model of this id among those that a server announces; "" is the first.

    Raises:
        ModelNotFound: It is not among them.
    """
    for model in models:
        if model_id in ("", model.id):
            return model
    raise ModelNotFound(
        "the server has no such model",
        given=model_id,
        allowed=", ".join(model.id for model in models),
        remedy="choose one of these, or add it to [[models]] in the server's server.toml",
    )
