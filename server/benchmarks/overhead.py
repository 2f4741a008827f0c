"""What the server costs beside the model: python server/benchmarks/overhead.py [--only NAME ...].

Every part compares two things in turn in one run, on this machine, with a real server of its own and the
embedded model, and prints medians. Run it on a quiet machine.

shots     a job against the same work in one process without a server, for a short and for a long job
previews  a job with previews against one without
cancel    from the request to the confirmed end, beside the time of a denoising step
submit    from the request to the durable acceptance
stream    chunks through the server's door against copying the same bytes in memory
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
from stream import stream

from threedimo.media import read_footage, read_image, write_frames, write_video
from threedimo.model_info import EMBEDDED, model_folder
from threedimo.wire.client import Accepted, Client, Event, Progress, Result
from threedimo_server.demo import CAMERA_PATH, DRIVING, REFERENCE
from threedimo_server.generate import model_of
from threedimo_server.job_progress import JobProgress
from threedimo_server.job_run import cancel, connected_client, first_answer, wait_for_result
from threedimo_server.own_server import own_server
from threedimo_server.shot_inputs import PreparedShot, ShotOptions, prepare_shot, read_inputs

LONG_STEPS = 180
"""So many denoising steps take the embedded model half a minute and more on two cores."""
NUM_SUBMITS, NUM_CANCELS = 1000, 20


def main() -> None:
    """Measure and write a table."""
    parts = {"shots": shots, "previews": previews, "cancel": cancels, "submit": submits, "stream": stream}
    parser = argparse.ArgumentParser(description="What the server costs beside the model.")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--rounds", type=int, default=5, help="of each pair of jobs")
    options = parser.parse_args()
    with served() as client:
        for name in options.only:
            for line in parts[name](client, options.rounds):
                sys.stdout.write(f"{name:9} {line}\n")
                sys.stdout.flush()


@contextmanager
def served() -> Iterator[Client]:
    """A client of a server of its own, whose model is warm."""
    with (
        tempfile.TemporaryDirectory(prefix="threedimo-benchmark-") as home,
        own_server(Path(home)) as server,
        connected_client(server.connection) as client,
    ):
        make(client, demo_shot(client))
        yield client


def demo_shot(client: Client, num_inference_steps: int | None = None) -> PreparedShot:
    """The packaged shot."""
    folder = model_folder(EMBEDDED) / "demo"
    options = ShotOptions(
        reference=folder / REFERENCE,
        drive=(folder / DRIVING,),
        camera_path=folder / CAMERA_PATH,
        output=Path("nowhere"),
        num_inference_steps=num_inference_steps,
    )
    return prepare_shot(model_of(client), options, read_inputs(options))


def make(client: Client, shot: PreparedShot) -> Result:
    """Queue it and wait for its result, which stays at the server."""
    job_id = str(uuid.uuid4())
    shot.submit(client, job_id, "benchmark")
    with JobProgress() as progress:
        return wait_for_result(client, job_id, progress)


def shots(client: Client, rounds: int) -> Iterator[str]:
    """Jobs, and the same work by hand: read the inputs, call the pipeline, write frames and video."""
    from threedimo.checkpoints import load_pipeline

    pipeline = load_pipeline(EMBEDDED)

    def by_hand(shot: PreparedShot, folder: Path) -> None:
        reference = read_image(shot.options.reference)
        driving = read_footage(
            shot.inputs.files,
            fps=None,
            start_s=0.0,
            num_frames=shot.shot.num_frames,
            sample_fps=shot.shot.fps,
            size=pipeline.driving_size,
        )
        output = pipeline(reference, driving, shot.request.text, shot.inputs.camera, **asdict(shot.shot))
        write_frames(folder / "frames", output.frames)
        write_video(folder / "video.mp4", output.frames, shot.shot.fps)

    for steps in (None, LONG_STEPS):
        shot = demo_shot(client, steps)
        with tempfile.TemporaryDirectory() as scratch:
            by_hand(shot, Path(scratch) / "first")
            bare, served_s = in_turn(
                rounds,
                lambda index, shot=shot, scratch=scratch: by_hand(shot, Path(scratch) / str(index)),
                lambda _, shot=shot: make(client, shot),
            )
        yield (
            f"{shot.shot.num_inference_steps} steps: by hand {bare:.2f} s, as a job {served_s:.2f} s: "
            f"ratio {served_s / bare:.3f}, {served_s - bare:+.2f} s ({rounds} rounds)"
        )


def previews(client: Client, rounds: int) -> Iterator[str]:
    """Jobs that show themselves while they are made."""
    silent = demo_shot(client, LONG_STEPS)
    shown = replace(silent, request=msgspec.structs.replace(silent.request, previews=True))
    without, with_them = in_turn(rounds, lambda _: make(client, silent), lambda _: make(client, shown))
    yield f"without {without:.2f} s, with {with_them:.2f} s: {with_them / without - 1:+.1%} ({rounds} rounds)"


def cancels(client: Client, _rounds: int) -> Iterator[str]:
    """Jobs that are cancelled at a later and later step."""
    shot, step_s, times_s = demo_shot(client, LONG_STEPS), 0.0, []
    for index in range(NUM_CANCELS):
        job_id = str(uuid.uuid4())
        shot.submit(client, job_id, "benchmark")
        while (
            progress := first_answer(client, Progress)
        ).phase != "denoising" or progress.step < 2 + index % 5:
            step_s = progress.elapsed_s / max(1, progress.step)
        began_s = time.perf_counter()
        cancel(client, job_id)
        times_s.append(time.perf_counter() - began_s)
    p95 = statistics.quantiles(times_s, n=20)[-1]
    yield (
        f"median {statistics.median(times_s):.2f} s, p95 {p95:.2f} s, at a step of about {step_s:.2f} s "
        f"({NUM_CANCELS} cancels)"
    )


def submits(client: Client, _rounds: int) -> Iterator[str]:
    """Jobs behind one that keeps the worker busy."""
    shot, times_s, job_ids = demo_shot(client, LONG_STEPS), [], []
    for _ in range(NUM_SUBMITS):
        job_ids.append(str(uuid.uuid4()))
        began_s = time.perf_counter()
        shot.submit(client, job_ids[-1], "benchmark")
        while first_answer(client, Accepted).job_id != job_ids[-1]:
            pass
        times_s.append(1000 * (time.perf_counter() - began_s))
    for job_id in reversed(job_ids):  # the newest first, so that none of them begins
        client.cancel(job_id)
    open_ids = set(job_ids)
    while open_ids:
        events = [event for event in client.pump() if isinstance(event, Event)]
        open_ids -= {event.job_id for event in events if event.state == "cancelled"}
        client.wait(0.1)
    p99 = statistics.quantiles(times_s, n=100)[-1]
    yield f"median {statistics.median(times_s):.1f} ms, p99 {p99:.1f} ms ({NUM_SUBMITS} submits)"


def in_turn(
    rounds: int, first: Callable[[int], object], second: Callable[[int], object]
) -> tuple[float, float]:
    """Median seconds of two things that are done in turn, each as often before the other as after it."""
    taken_s: tuple[list[float], list[float]] = ([], [])
    both = list(zip((first, second), taken_s, strict=True))
    for index in range(rounds):
        for what, times_s in both if index % 2 == 0 else reversed(both):
            began_s = time.perf_counter()
            what(index)
            times_s.append(time.perf_counter() - began_s)
    return statistics.median(taken_s[0]), statistics.median(taken_s[1])


if __name__ == "__main__":
    main()
