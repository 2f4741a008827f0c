"""The small JSON files of a model, read within limits and without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from threedimo.errors import InvalidModel

INFO_NAME = "threedimo.json"
INDEX_NAME = "model_index.json"
MAX_JSON_BYTES = 1024 * 1024

STOCK_CLASSES = frozenset({"WanPipeline", "WanImageToVideoPipeline"})
"""Pipelines of diffusers whose generator can be given motion layers."""

OWN_CLASS = "MotionTransferPipeline"


def read_object(file: Path, *, named: str | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        file: To read.
        named: What messages call it; None means its own name.

    Raises:
        InvalidModel: It is missing, larger than a megabyte, or no JSON object.
    """
    named = named or file.name
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            raise InvalidModel(f"{named} is too large", given=file.parent, allowed=f"{MAX_JSON_BYTES} bytes")
        found: Any = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidModel(f"{named} is missing or damaged", given=file.parent) from error
    if not isinstance(found, dict):
        raise InvalidModel(f"{named} holds no JSON object", given=file.parent)
    return found


def is_stock(folder: Path) -> bool:
    """Whether a model's folder holds a Wan model without motion layers.

    Raises:
        InvalidModel: It holds neither a Wan model nor one of this project.
    """
    name = read_object(folder / INDEX_NAME).get("_class_name")
    if name == OWN_CLASS:
        return False
    if name in STOCK_CLASSES:
        return True
    allowed = ", ".join(sorted({OWN_CLASS, *STOCK_CLASSES}))
    raise InvalidModel("this kind of model cannot be used", given=f"{name} in {folder}", allowed=allowed)
