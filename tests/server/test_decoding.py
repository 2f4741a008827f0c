"""Media in a process of their own: what it may take, and that a worker outlives whatever happens to it."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest

from threedimo.errors import (
    JobCancelled,
    MediaTooLarge,
    MediaTooSmall,
    NoPerformer,
    ThreeDimoError,
    UnreadableMedia,
)
from threedimo.media import write_video
from threedimo.media.writing import write_png
from threedimo.shot import Shot
from threedimo.wire.assets import make_asset
from threedimo.wire.messages import Footage, GenerateRequest
from threedimo_server.decoding import Decoders, DecodingLimits, decode_inputs
from threedimo_server.served_models import ModelChoice
from threedimo_server.worker_link import Work

SIZE = (32, 32)


def write_clip(path: Path, side: int) -> Path:
    """25 frames that grow brighter."""
    grey = np.arange(25, dtype=np.uint8)[:, None, None, None] * 8
    write_video(path, np.broadcast_to(grey, (25, side, side, 3)), 8.0)
    return path


@pytest.fixture(scope="module")
def large_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "driving.mp4", 3072)


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., Work]:
    def make(video: Path | None = None) -> Work:
        reference, attempt = tmp_path / "reference.png", tmp_path / "attempt"
        write_png(reference, np.full((40, 40, 3), 90, np.uint8))
        video = video or write_clip(tmp_path / "driving.mp4", 64)
        attempt.mkdir()
        request = GenerateRequest(
            reference_image=make_asset(reference, "reference.png"),
            driving_footage=Footage(files=[make_asset(video, "driving.mp4")]),
        )
        return Work("job", 1, ModelChoice(), request, str(reference), [str(video)], str(attempt))

    return make


def work_of(work: Work, follow_person: bool) -> Work:
    request = msgspec.structs.replace(work.request, follow_person=follow_person)
    return msgspec.structs.replace(work, request=request)


def shot(num_frames: int = 9) -> Shot:
    return Shot(
        num_frames=num_frames,
        fps=8.0,
        width=32,
        height=32,
        seed=0,
        num_inference_steps=1,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
    )


def decoded(work: Work, limits: DecodingLimits | None = None, num_frames: int = 9):
    return decode_inputs(work, shot(num_frames), SIZE, lambda: False, limits)


def nothing_left(work: Work) -> bool:
    folder = Path(work.folder)
    return not list(folder.iterdir()) and not list(folder.parent.glob(".inputs-*"))


def test_the_frames_are_those_that_the_shot_wants(order):
    work = order()
    reference_image, driving_frames, hands = decoded(work)
    assert hands is None
    assert reference_image.shape == (40, 40, 3)
    assert driving_frames.shape == (9, 32, 32, 3)
    assert driving_frames[:, 16, 16, 0].tolist() == pytest.approx([8 * index for index in range(9)], abs=4)
    assert nothing_left(work)


def test_what_is_wrong_with_the_media_is_said_as_always(order):
    work = order()
    with pytest.raises(MediaTooSmall, match=r"driving\.mp4"):
        decoded(work, num_frames=49)
    Path(work.driving_footage[0]).write_bytes(b"no video at all")
    with pytest.raises(UnreadableMedia, match="not a video"):
        decoded(work)
    assert nothing_left(work)


def test_media_that_take_too_much_memory_end_their_decoder_only(order, large_clip):
    work = order(large_clip)
    with pytest.raises(MediaTooLarge, match=r"more memory.*0\.6 GB"):
        decoded(work, DecodingLimits(memory_bytes=550_000_000))
    assert nothing_left(work)


def test_media_that_take_too_much_time_end_their_decoder_only(order, large_clip):
    work = order(large_clip)
    with pytest.raises(MediaTooLarge, match="1 s of one core"):
        decoded(work, DecodingLimits(cpu_s=1), num_frames=25)
    assert nothing_left(work)


def decoders() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "threedimo_server.decoder" in " ".join(child.cmdline())
    ]


def test_a_crash_of_the_decoder_is_an_error_of_the_media(order, large_clip):
    work = order(large_clip)

    def crash() -> bool:
        for decoder in decoders():
            os.kill(decoder.pid, signal.SIGSEGV)
        return False

    with pytest.raises(UnreadableMedia, match="crash their decoder"):
        decode_inputs(work, shot(), SIZE, crash)
    assert nothing_left(work)


def test_a_cancel_ends_the_decoding_at_once(order, large_clip):
    work = order(large_clip)
    begun_s = time.monotonic()
    with pytest.raises(JobCancelled):
        decode_inputs(work, shot(), SIZE, lambda: True)
    assert time.monotonic() - begun_s < 10
    assert decoders() == []
    assert nothing_left(work)


def test_every_error_keeps_its_code(order):
    work = order()
    Path(work.reference_image).write_bytes(b"")
    with pytest.raises(ThreeDimoError) as caught:
        decoded(work)
    assert caught.value.code == "media.empty"


def test_a_decoder_that_waits_takes_the_next_job_and_ends_with_its_owner(order):
    spare = Decoders()
    spare.prepare()
    [waiting] = decoders()
    work = order()
    decode_inputs(work, shot(), SIZE, lambda: False, decoders=spare)
    assert not waiting.is_running()
    spare.prepare()
    [waiting] = decoders()
    waiting.kill()  # it dies while it waits
    waiting.wait(10)
    decode_inputs(work, shot(), SIZE, lambda: False, decoders=spare)
    spare.prepare()
    spare.close()
    assert decoders() == []


def test_the_performer_is_followed_on_request_and_hands_come_too(order, film):
    video = film("walk.mp4", 12, places=lambda i: [(40 + 8 * i, 112)])
    plain = order(video)
    asked = work_of(plain, True)
    _, middle, none = decode_inputs(plain, shot(5), SIZE, lambda: False, hand_size=16)
    _, followed, hands = decode_inputs(asked, shot(5), SIZE, lambda: False, hand_size=16)
    assert none is None
    assert middle.shape == followed.shape
    assert not np.array_equal(middle, followed)
    assert hands is not None
    assert (hands.crops.shape, hands.visible.shape) == ((5, 2, 16, 16, 3), (5, 2))
    assert nothing_left(asked)


def test_footage_without_anybody_cannot_be_followed(order, film):
    asked = work_of(order(film("wall.mp4", 12, places=lambda _: [])), True)
    with pytest.raises(NoPerformer, match="0 of 5 frames"):
        decode_inputs(asked, shot(5), SIZE, lambda: False, hand_size=16)
    assert nothing_left(asked)
