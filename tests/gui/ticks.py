"""What the stopwatch inside Blender measured, as figures, a table and a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Milliseconds."""

    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values_ms: np.ndarray) -> Spread:
        """Of some measured calls."""
        return cls(
            *(round(float(value), 3) for value in (*np.percentile(values_ms, (50, 99)), values_ms.max()))
        )


@dataclass(frozen=True)
class Figures:
    """How long the calls of one kind took while one thing went on.

    Attributes:
        what: For example "tick: the server is frozen".
        num_calls: How many were measured.
        cpu_ms: Of the main thread's processor.
        clock_ms: From beginning to end, with what other programs took meanwhile.
    """

    what: str
    num_calls: int
    cpu_ms: Spread
    clock_ms: Spread


def figures_of(calls: Mapping[str, Sequence[Sequence[float]]]) -> list[Figures]:
    """From the pairs of milliseconds (clock, processor) of each kind of call."""
    found = []
    for what, pairs in calls.items():
        clock, cpu = np.array(pairs).T
        found.append(Figures(what, len(pairs), Spread.of(cpu), Spread.of(clock)))
    return found


def table(found: Sequence[Figures]) -> list[str]:
    """As lines for a terminal."""
    lines = [f"{'milliseconds':<48}{'calls':>6}   {'processor p50/p99/max':>24} {'clock p50/p99/max':>26}"]
    for each in found:
        cpu, clock = (f"{s.p50:.2f} / {s.p99:.2f} / {s.max:.1f}" for s in (each.cpu_ms, each.clock_ms))
        lines.append(f"{each.what:<48}{each.num_calls:>6}   {cpu:>24} {clock:>26}")
    return lines


def write(found: Sequence[Figures], blender_version: str, file: Path) -> None:
    """Write the figures with what they were measured on."""
    machine = {
        "blender": blender_version,
        "processors": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }
    file.write_text(json.dumps({**machine, "figures": [asdict(each) for each in found]}, indent=2) + "\n")
