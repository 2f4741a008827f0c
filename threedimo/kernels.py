"""How a generator is computed: which attention kernel, and whether its blocks are compiled.

Neither changes a picture but by rounding, and so both belong to the machine, not to the shot. Kernels are
some of those of diffusers (`set_attention_backend`); of others it would download the code from a hub.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from threedimo.errors import InvalidRequest
from threedimo.model_info import ATTENTION_KERNELS

if TYPE_CHECKING:
    from threedimo.memory_plans import MemoryPlan
    from threedimo.models import MotionWanTransformer3DModel

logger = logging.getLogger(__name__)

COMPILED_PLANS: tuple[MemoryPlan, ...] = ("full", "offload")
"""The other memory plans cast or fetch layers one by one, in the middle of what would be compiled."""


def check_attention(name: str) -> None:
    """Refuse a kernel that does not exist, before a model is loaded for it.

    Raises:
        InvalidRequest: Its name is not among `ATTENTION_KERNELS`.
    """
    if name not in ATTENTION_KERNELS:
        allowed = ", ".join(ATTENTION_KERNELS)
        raise InvalidRequest("there is no such attention kernel", given=name, allowed=allowed)


def choose_attention(transformer: MotionWanTransformer3DModel, name: str) -> None:
    """Compute every attention of a generator, that to the motion included, with one kernel.

    Args:
        transformer: Whose process it is: diffusers keeps the choice for all that is computed there.
        name: One of `ATTENTION_KERNELS`; "native" is torch's own choice.

    Raises:
        InvalidRequest: The package that brings the kernel is not there.
    """
    try:
        transformer.set_attention_backend(name)
    except (RuntimeError, ImportError) as error:
        raise InvalidRequest(
            f"the attention kernel cannot be used here: {error}",
            given=name,
            remedy="install its package, or leave --attention out",
        ) from error


def compile_blocks(transformer: MotionWanTransformer3DModel, plan: MemoryPlan) -> None:
    """Compile a generator's blocks, one for all. The first step of every size takes much longer.

    Args:
        transformer: With the hooks of its memory plan.
        plan: Nothing is compiled with those that are not among `COMPILED_PLANS`, and the log says so.
    """
    if plan not in COMPILED_PLANS:
        logger.warning("not compiled: the memory plan %s moves layers about inside the blocks", plan)
        return
    logger.info("the generator is compiled at the first step of every size")
    # not as one graph: step caches decide in the middle of a block's hooks, where they forbid compilation
    transformer.compile_repeated_blocks()


def interpret_blocks(transformer: MotionWanTransformer3DModel) -> None:
    """Take compilation back."""
    for block in transformer.blocks:
        block._compiled_call_impl = None
