"""A decoder: the process that reads one job's media, within limits that the system keeps.

    python -m threedimo_server.decoder      (an `Order` as one line on standard input)

Codecs are large and old, and what they read comes from outside. Here a file that takes all memory, never
ends, or crashes its codec costs its own job and nothing else: not the model that a worker holds, not the
worker. See `threedimo_server.decoding` for the other side.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np

from threedimo.errors import ThreeDimoError
from threedimo.media import read_footage, read_image
from threedimo_server.storage import storage_errors

REFUSED_EXIT, ORPHANED_EXIT, MEMORY_EXIT = 3, 4, 5
REFERENCE_FILE, DRIVING_FILE = "reference.npy", "driving.npy"
HANDS_FILE, VISIBLE_FILE = "hands.npy", "visible.npy"


class Order(msgspec.Struct, frozen=True):
    """What to decode, and how much of the machine it may take.

    Attributes:
        reference_image: A picture.
        driving_footage: One video, or the pictures of a sequence.
        fps, start_s, num_frames, sample_fps, size: As `threedimo.media.read_footage`.
        folder: Where the arrays go.
        memory_bytes: Of address space; kept on Linux only.
        cpu_s: Seconds of one core.
        hand_size: Find the performer, follow it, and cut its hands out at this size; 0 is none of it.
    """

    reference_image: str
    driving_footage: list[str]
    fps: float | None
    start_s: float
    num_frames: int
    sample_fps: float
    size: tuple[int, int]
    folder: str
    memory_bytes: int
    cpu_s: int
    hand_size: int = 0


class Refusal(msgspec.Struct, frozen=True):
    """On standard output, with `REFUSED_EXIT`: an error of `threedimo.errors`."""

    code: str
    message: str


def main() -> int:
    """Decode what standard input orders, when it does; returns the exit status."""
    line = sys.stdin.buffer.readline()
    if not line:
        return ORPHANED_EXIT
    order = msgspec.json.decode(line, type=Order)
    threading.Thread(target=_end_with_worker, daemon=True).start()
    if sys.platform == "linux":  # elsewhere systems refuse this limit, or do not keep it
        resource.setrlimit(resource.RLIMIT_AS, (order.memory_bytes, order.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (order.cpu_s, order.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _decode(order)
    except ThreeDimoError as error:
        sys.stdout.buffer.write(msgspec.json.encode(Refusal(error.code, str(error))))
        return REFUSED_EXIT
    except MemoryError:
        return MEMORY_EXIT
    return 0


def _decode(order: Order) -> None:
    folder = Path(order.folder)
    reference_image = read_image(Path(order.reference_image))
    driving_frames = read_footage(
        [Path(file) for file in order.driving_footage],
        fps=order.fps,
        start_s=order.start_s,
        num_frames=order.num_frames,
        sample_fps=order.sample_fps,
        size=None if order.hand_size else order.size,
    )
    hands = None
    if order.hand_size:
        from threedimo.people.performer import follow_performer

        driving_frames, hands = follow_performer(
            driving_frames, order.sample_fps, order.size[0], order.hand_size
        )
    with storage_errors("the frames of the inputs"):
        np.save(folder / REFERENCE_FILE, reference_image, allow_pickle=False)
        np.save(folder / DRIVING_FILE, driving_frames, allow_pickle=False)
        if hands is not None:
            np.save(folder / HANDS_FILE, hands.crops, allow_pickle=False)
            np.save(folder / VISIBLE_FILE, hands.visible, allow_pickle=False)


def _end_with_worker() -> None:
    """The worker holds the other end of standard input and writes nothing more to it."""
    while os.read(0, 1):
        pass
    os._exit(ORPHANED_EXIT)


if __name__ == "__main__":
    sys.exit(main())
