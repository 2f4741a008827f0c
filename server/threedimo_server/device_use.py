"""How a worker uses its device: speed and memory, and pictures by rounding alone. Without torch."""

from __future__ import annotations

import msgspec

from threedimo.model_info import AUTO_PLAN, NATIVE_ATTENTION


class DeviceUse(msgspec.Struct, frozen=True):
    """As `threedimo.checkpoints.load_pipeline` takes it, whatever the model.

    Attributes:
        device: "auto", "cpu", "cuda:0" and so on.
        memory: Plan of `threedimo.memory_plans`, or "auto".
        attention: Kernel of `threedimo.kernels`.
        compiled: Compile the generator's blocks.
    """

    device: str
    memory: str = AUTO_PLAN
    attention: str = NATIVE_ATTENTION
    compiled: bool = False

    def options(self) -> list[str]:
        """The options of a worker that say it."""
        named = ("--device", self.device, "--memory", self.memory, "--attention", self.attention)
        return [*named, *(("--compile",) if self.compiled else ())]
