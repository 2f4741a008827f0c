"""A job's media as frames: decoded in a process of their own, which the worker can do without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from threedimo.errors import JobCancelled, MediaTooLarge, ThreeDimoError, UnreadableMedia, from_code
from threedimo.people.hands import Hands
from threedimo.shot import Shot
from threedimo_server.decoder import (
    DRIVING_FILE,
    HANDS_FILE,
    MEMORY_EXIT,
    REFERENCE_FILE,
    REFUSED_EXIT,
    VISIBLE_FILE,
    Order,
    Refusal,
)
from threedimo_server.storage import storage_errors
from threedimo_server.worker_link import Work

_COMMAND = (sys.executable, "-m", "threedimo_server.decoder")
# Each thread of a numerics library reserves address space, of which the process has little.
_FEW_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_LOOK_INTERVAL_S = 0.2


@dataclass(frozen=True)
class DecodingLimits:
    """How much of the machine the media of one job may take.

    Attributes:
        memory_bytes: Of address space: twice what the largest clip may be.
        cpu_s: Seconds of one core: 1000 pictures of the largest size.
    """

    memory_bytes: int = 8 * 1024**3
    cpu_s: int = 1800


class Decoders:
    """Decoders for one job each. The next one waits ready: to start it takes longer than most media."""

    def __init__(self) -> None:
        self._ready: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Start the next one, if none waits."""
        if self._ready is None or self._ready.poll() is not None:
            self.close()
            self._ready = _start()

    def take(self) -> subprocess.Popen[bytes]:
        """One that nobody else uses."""
        self.prepare()
        assert self._ready is not None
        taken, self._ready = self._ready, None
        return taken

    def close(self) -> None:
        """End the one that waits."""
        if self._ready is not None:
            with self._ready:
                self._ready.kill()
            self._ready = None


def decode_inputs(
    work: Work,
    shot: Shot,
    driving_size: tuple[int, int],
    should_stop: Callable[[], bool],
    limits: DecodingLimits | None = None,
    decoders: Decoders | None = None,
    hand_size: int = 0,
) -> tuple[np.ndarray, np.ndarray, Hands | None]:
    """Read a job's reference image, its driving frames, and the performer's hands if it asks for them.

    Args:
        work: The job.
        shot: What is made of it.
        driving_size: Width and height of the driving frames.
        should_stop: Asked a few times a second; true ends the decoding.
        limits: What it may take; None means the usual.
        decoders: Of the worker; None means one that is started for this job.
        hand_size: Width and height of the close-ups of hands that the model reads.

    Returns:
        `(height, width, 3)` and `(num_frames, height, width, 3)`, uint8 RGB; and the hands.

    Raises:
        NoPerformer: The performer was to be followed, and hardly anybody is seen.
        MediaError: The media cannot be used, take too much, or crash their decoder.
        StorageError: There is no space for the frames.
        JobCancelled: `should_stop` answered true.
    """
    limits = limits or DecodingLimits()
    with (
        storage_errors("the frames of the inputs"),
        tempfile.TemporaryDirectory(prefix=".inputs-", dir=Path(work.folder).parent) as folder,
    ):
        footage = work.request.driving_footage
        order = Order(
            work.reference_image,
            work.driving_footage,
            footage.fps,
            footage.start_s,
            shot.num_frames,
            shot.fps,
            driving_size,
            folder,
            limits.memory_bytes,
            limits.cpu_s,
            hand_size if work.request.follow_person else 0,
        )
        _run((decoders or Decoders()).take(), order, should_stop)
        hands = None
        if order.hand_size:
            hands = Hands(_loaded(folder, HANDS_FILE), _loaded(folder, VISIBLE_FILE))
        return _loaded(folder, REFERENCE_FILE), _loaded(folder, DRIVING_FILE), hands


def _loaded(folder: str, name: str) -> np.ndarray:
    return np.load(Path(folder, name), allow_pickle=False)


def _start() -> subprocess.Popen[bytes]:
    # Whatever it says beside its answer goes into the worker's log.
    return subprocess.Popen(
        _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | _FEW_THREADS
    )


def _run(decoder: subprocess.Popen[bytes], order: Order, should_stop: Callable[[], bool]) -> None:
    with decoder:
        assert decoder.stdin is not None
        assert decoder.stdout is not None
        try:
            decoder.stdin.write(msgspec.json.encode(order) + b"\n")
            decoder.stdin.flush()
            while not _ended(decoder):
                if should_stop():
                    raise JobCancelled("the job was cancelled")
        finally:
            decoder.kill()
        answer = decoder.stdout.read()
    if decoder.returncode != 0:
        raise _error(decoder.returncode, answer, order)


def _ended(decoder: subprocess.Popen[bytes]) -> bool:
    try:
        decoder.wait(_LOOK_INTERVAL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _error(status: int, answer: bytes, order: Order) -> ThreeDimoError:
    if status == REFUSED_EXIT:
        refusal = msgspec.json.decode(answer, type=Refusal)
        return from_code(refusal.code, refusal.message)
    if status == MEMORY_EXIT:
        return MediaTooLarge(
            "the media need more memory than may be taken to decode them",
            allowed=f"{order.memory_bytes / 1e9:.1f} GB",
            remedy="export them smaller",
        )
    if status == -signal.SIGXCPU:
        return MediaTooLarge(
            "the media were still not decoded when their time was over",
            allowed=f"{order.cpu_s} s of one core",
            remedy="export them shorter, smaller, or as H.264",
        )
    return UnreadableMedia(
        "the media crash their decoder",
        given=f"status {status}",
        remedy="they are damaged, or made to harm: export them again with another program",
    )
