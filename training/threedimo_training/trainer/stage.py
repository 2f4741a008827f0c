"""What the loop trains: a stage is one optimisation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from threedimo.errors import TrainingError
from threedimo_training.trainer.state import Parts


class Stage(ABC):
    """One optimisation: modules, their learning rate, and the losses of a step."""

    name: ClassVar[str]
    learning_rate: float
    modules: dict[str, nn.Module]
    num_steps: int
    device: torch.device = torch.device("cpu")
    num_portions: int = 1
    """Portions of equal size in which a step's batch is computed, one after the other."""
    model: nn.Module | None = None
    """What several processes train together; None where a stage is made for one."""

    def begin(self, accelerator: Accelerator, optimizer: torch.optim.Optimizer) -> AcceleratedOptimizer:
        """Make ready for the processes at hand; `modules` are on their device already.

        Raises:
            TrainingError: There are several, and the stage is made for one.
        """
        if accelerator.num_processes > 1:
            raise TrainingError(
                f"stage {self.name} trains in one process",
                given=f"{accelerator.num_processes} processes",
                remedy="start it without `accelerate launch`",
            )
        prepared: Any = accelerator.prepare_optimizer(optimizer)
        return prepared

    @abstractmethod
    def losses(self, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of step `step`, `loss` among them; what else is in the dictionary is reported."""

    def portion_losses(self, step: int, portion: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of one of the step's portions in this process; their mean is the step's."""
        del portion
        return self.losses(step, generator)

    def state(self) -> Parts:
        """What is saved and comes back when the stage goes on."""
        return self.modules

    def pictures(self, step: int) -> dict[str, Tensor]:
        """Pictures (height, width, 3) uint8 to keep after step `step`, by name; in most steps none."""
        del step
        return {}

    def compile(self) -> None:  # noqa: B027 - worth its start only where a step repeats the same block often
        """Compile what repeats; changes speed alone."""

    def after_step(self) -> None:  # noqa: B027 - most stages have nothing to do here
        """Do what follows every optimizer step."""

    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer changes."""
        return [p for module in self.modules.values() for p in module.parameters() if p.requires_grad]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The same in groups; `scale` is what a group's learning rate is of the stage's."""
        return [{"params": self.parameters(), "scale": 1.0}]
