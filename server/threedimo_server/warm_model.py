"""The one model that a worker holds. It stays for the next job, and makes room when that asks for another."""

from __future__ import annotations

import gc
import logging
import sys
import time
from typing import TYPE_CHECKING, Protocol

from threedimo.errors import InvalidModel, OutOfMemory, ServerError, ThreeDimoError
from threedimo_server.device_use import DeviceUse
from threedimo_server.served_models import ModelChoice

if TYPE_CHECKING:
    from threedimo.pipeline import MotionTransferPipeline

logger = logging.getLogger(__name__)

_SENTENCE_LENGTH = 300


class LoadPipeline(Protocol):
    """What `threedimo.checkpoints.load_pipeline` does for a worker."""

    def __call__(self, choice: ModelChoice, use: DeviceUse, /) -> MotionTransferPipeline:
        """Make a pipeline."""
        ...


class WarmModel:
    """At most one pipeline; two would rarely fit into a device.

    Args:
        load: Makes a pipeline.
        use: Where and how.
    """

    def __init__(self, load: LoadPipeline, use: DeviceUse):
        self._load, self._use = load, use
        self._pipeline: MotionTransferPipeline | None = None
        self._choice: ModelChoice | None = None
        self._loading_s = 0.0

    def holds(self, choice: ModelChoice) -> bool:
        """Whether this model is loaded."""
        return self._choice == choice

    def pipeline(self, choice: ModelChoice) -> MotionTransferPipeline:
        """The pipeline of a model. What else was loaded is given up first, also if this one then fails.

        Raises:
            ModelError: It cannot be loaded.
            OutOfMemory: The device is too small for it.
        """
        if self._pipeline is not None and self.holds(choice):
            return self._pipeline
        self._pipeline = self._choice = None
        give_up_memory()
        started_s = time.monotonic()
        try:
            pipeline = self._load(choice, self._use)
        except ThreeDimoError:
            logger.exception("the model cannot be loaded")
            raise
        except Exception as error:
            logger.exception("the model cannot be loaded")
            unexpected = InvalidModel("the model cannot be loaded", given=first_sentence(error))
            raise as_known(error, unexpected) from error
        self._loading_s = time.monotonic() - started_s
        self._pipeline, self._choice = pipeline, choice
        logger.info("loaded %s in %.1f s", pipeline.info.id, self._loading_s)
        return pipeline

    def take_loading_s(self) -> float:
        """How long loading took, told once: to the first job after it."""
        loading_s, self._loading_s = self._loading_s, 0.0
        return loading_s


def as_known(error: Exception, unexpected: ThreeDimoError) -> ThreeDimoError:
    """The error itself if it has a code, or that of memory or compilation that failed, or `unexpected`."""
    if isinstance(error, ThreeDimoError):
        return error
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return OutOfMemory(
            "the device has too little memory for this request",
            remedy="choose fewer frames or a smaller size, or close other programs that use the device",
        )
    dynamo = sys.modules.get("torch._dynamo.exc")
    if dynamo is not None and isinstance(error, dynamo.TorchDynamoException):
        return ServerError(
            "the model cannot be compiled on this machine",
            given=first_sentence(error),
            remedy="install a C++ compiler (on a GPU also Triton), or leave --compile out",
        )
    return unexpected


def first_sentence(error: Exception) -> str:
    """An unforeseen error in a line."""
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}"[:_SENTENCE_LENGTH]


def give_up_memory() -> None:
    """Let go of a pipeline that nobody names any more: its hooks and caches still refer to it."""
    gc.collect()
    free_memory()


def free_memory() -> None:
    """Give what a device keeps for later back to it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
