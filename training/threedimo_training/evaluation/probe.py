"""The probe: an independent network that reads pose, view and body parts from single frames.

It is trained on true renders only (`probe_training`) and never sees a generated frame, nor shares anything
with the model that it judges. Its own errors on true frames belong beside every figure that it gives.

Joints are read where they are seen: for every joint a map of attention over the picture and maps of where
the joint lies, as in location maps (Mehta et al., "VNect", 2017), which starts to learn where plain
regression stands still for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from threedimo.errors import InvalidModel, InvalidRequest, ModelNotFound
from threedimo.media import fit_frames
from threedimo_training.evaluation.body_parts import PARTS
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS

FRAME_SIZE = 64
WIDTHS = (32, 64, 128, 192)
_GRID = FRAME_SIZE // 4
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Reading:
    """What the probe sees in N frames.

    Attributes:
        joints: (N, 24, 3) metres from the pelvis, in view axes (see `pose_angles`).
        parts: (N, S, S) uint8 part numbers (see `body_parts`), at the size of the frames.
    """

    joints: np.ndarray
    parts: np.ndarray

    @property
    def silhouette(self) -> np.ndarray:
        """(N, S, S) bool, where it sees a person."""
        return self.parts > 0


class ProbeNetwork(nn.Module):
    """Frames (N, 3, 64, 64) in [-1, 1] to joints and parts.

    Args:
        widths: Channels at a half, a quarter, an eighth and a sixteenth of the picture's size.
    """

    grid: Tensor

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS):
        super().__init__()
        fine, quarter, eighth, coarse = widths
        self.down = nn.ModuleList(
            [
                nn.Sequential(_convolution(3, fine, stride=2), _Residual(fine)),
                nn.Sequential(_convolution(fine, quarter, stride=2), _Residual(quarter), _Residual(quarter)),
                nn.Sequential(_convolution(quarter, eighth, stride=2), _Residual(eighth), _Residual(eighth)),
                nn.Sequential(_convolution(eighth, coarse, stride=2), _Residual(coarse), _Residual(coarse)),
            ]
        )
        self.up = nn.ModuleList(
            [
                _convolution(coarse + eighth, eighth),
                nn.Sequential(_convolution(eighth + quarter, quarter), _Residual(quarter)),
                _convolution(quarter + fine, fine),
            ]
        )
        self.joint_maps = nn.Conv2d(quarter, 4 * NUM_BODY_JOINTS, 1)
        self.part_maps = nn.Conv2d(fine, 1 + len(PARTS), 1)
        middle = (torch.arange(_GRID) + 0.5) / _GRID
        self.register_buffer("grid", torch.stack(torch.meshgrid(middle, middle, indexing="xy"), dim=-1))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read frames.

        Returns:
            Joints (N, 24, 3) in view axes, where they are in the picture (N, 24, 2) as shares of its size,
            and logits of parts (N, 5, 64, 64).
        """
        # Measured: twice as fast on processors with bfloat16 matrix units.
        stages, features = [], frames.contiguous(memory_format=torch.channels_last)
        for stage in self.down:
            features = stage(features)
            stages.append(features)
        eighth = self._joined(0, features, stages[2])
        quarter = self._joined(1, eighth, stages[1])
        half = self._joined(2, quarter, stages[0])
        maps = self.joint_maps(quarter).float().unflatten(1, (4, NUM_BODY_JOINTS)).flatten(3)
        attention = maps[:, 0].softmax(dim=-1)
        joints = torch.einsum("njp,ncjp->njc", attention, maps[:, 1:])
        pixels = torch.einsum("njp,pc->njc", attention, self.grid.flatten(0, 1))
        parts = F.interpolate(self.part_maps(half).float(), scale_factor=2.0, mode="bilinear")
        return joints - joints[:, :1], pixels, parts

    def _joined(self, stage: int, coarse: Tensor, skipped: Tensor) -> Tensor:
        grown = F.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return self.up[stage](torch.cat([grown, skipped], dim=1))


class Probe:
    """A trained probe.

    Args:
        network: In evaluation mode.
        facts: What its file says of it: step, seed, own errors.
    """

    def __init__(self, network: ProbeNetwork, facts: dict[str, str]):
        self.network, self.facts = network.eval(), facts

    @torch.no_grad()
    def read(self, frames: np.ndarray) -> Reading:
        """Look at square frames (N, S, S, 3) uint8 of any size.

        Raises:
            InvalidRequest: They are not square.
        """
        device = next(self.network.parameters()).device
        joints, parts = [], []
        for start in range(0, len(frames), _BATCH):
            batch = probe_input(frames[start : start + _BATCH]).to(device)
            found, _, logits = self.network(batch)
            logits = F.interpolate(logits, size=frames.shape[1:3], mode="bilinear")
            joints.append(found.cpu().numpy())
            parts.append(logits.argmax(dim=1).to(torch.uint8).cpu().numpy())
        return Reading(np.concatenate(joints).astype(np.float64), np.concatenate(parts))


def probe_input(frames: np.ndarray) -> Tensor:
    """Square frames (N, S, S, 3) uint8 as (N, 3, 64, 64) in [-1, 1].

    Raises:
        InvalidRequest: They are not square.
    """
    if frames.shape[1] != frames.shape[2]:
        raise InvalidRequest(
            "the probe reads square pictures", given=f"{frames.shape[2]}x{frames.shape[1]}", allowed="S x S"
        )
    fitted = torch.from_numpy(fit_frames(frames, FRAME_SIZE, FRAME_SIZE))
    return fitted.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def load_probe(file: Path, device: str = "cpu") -> Probe:
    """Read a probe that `threedimo-train probe` wrote.

    Raises:
        ModelNotFound: There is none.
        InvalidModel: The file is damaged or no probe.
    """
    if not file.is_file():
        raise ModelNotFound(
            "no probe to judge with", given=file, remedy="train one: `threedimo-train probe --minutes 30`"
        )
    try:
        with safe_open(file, framework="pt") as stored:
            facts = dict(stored.metadata() or {})
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
        network = ProbeNetwork(_widths(facts))
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise InvalidModel(f"the probe cannot be read: {error}", given=file) from error
    return Probe(network.to(device), facts)


def _widths(facts: dict[str, str]) -> tuple[int, int, int, int]:
    fine, quarter, eighth, coarse = (int(width) for width in facts["widths"].split())
    return fine, quarter, eighth, coarse


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class _Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(features + self.body(features))
