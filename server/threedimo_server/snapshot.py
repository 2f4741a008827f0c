"""The server at one moment, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Snapshot:
    """What `threedimo_server.metrics` shows.

    Attributes:
        jobs: How many there are in each state.
        oldest_waiting_s: For how long the oldest queued job has waited; 0 without one.
        workers: The state of each, by device.
        clients: How many are connected at each door.
        free_bytes: Of the disk that holds queue, inputs and results.
    """

    jobs: Mapping[str, int]
    oldest_waiting_s: float
    workers: Mapping[str, str]
    clients: Mapping[str, int]
    free_bytes: int
