"""3DiMo: implicit, view-agnostic motion control for video diffusion, with cameras as text and as exact hints.

`import threedimo` is light: it imports neither torch nor Blender. Names that need torch load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from threedimo.version import VERSION

if TYPE_CHECKING:
    from threedimo.camera import CameraPath
    from threedimo.checkpoints import load_pipeline
    from threedimo.pipeline import MotionTransferPipeline

__version__ = VERSION

__all__ = ["CameraPath", "MotionTransferPipeline", "__version__", "load_pipeline"]

_HOME_OF = {
    "CameraPath": "threedimo.camera",
    "MotionTransferPipeline": "threedimo.pipeline",
    "load_pipeline": "threedimo.checkpoints",
}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
