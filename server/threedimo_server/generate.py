"""One shot from the client's side: check the inputs, send them, follow the job, write the output folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from threedimo.errors import ServerUnreachable
from threedimo.media import read_footage, read_image, write_png
from threedimo.wire.client import Client
from threedimo.wire.connection import find_server, home_folder
from threedimo.wire.messages import ModelInfo, ResultInfo
from threedimo.wire.model_ids import choose_model
from threedimo_server.contact_sheet import CELL_HEIGHT_PX, Row, Sheet, chosen_frames, draw_contact_sheet
from threedimo_server.job_progress import JobProgress
from threedimo_server.job_run import CheckAlive, connected_client, fetch_result, wait_for_result
from threedimo_server.output_folder import check_output, written_folder
from threedimo_server.own_server import own_server
from threedimo_server.shot_inputs import PreparedShot, ShotOptions, prepare_shot, read_inputs


@dataclass(frozen=True)
class FinishedShot:
    """A shot that lies in its output folder."""

    output: Path
    info: ResultInfo
    model: ModelInfo

    def lines(self) -> list[str]:
        """What to tell a person: what was made and where it is."""
        info = self.info
        return [
            f"{info.num_frames} frames of {info.width}x{info.height} at {info.fps:g} fps in "
            f"{_making_s(info):.1f} s, seed {info.seed}, model {info.model_id}",
            f"camera: {info.text or '(no text)'}",
            f"frames         {self.output / 'frames'}",
            f"video          {self.output / 'video.mp4'}",
            f"comparison     {self.output / 'comparison.mp4'}",
            f"contact sheet  {self.output / 'contact_sheet.png'}",
            f"facts          {self.output / 'result.json'}",
        ]


def generate(options: ShotOptions, server: str | None = None) -> FinishedShot:
    """Make a shot with the server at `server`, or this user's running one, or one started for this shot.

    Raises:
        ThreeDimoError: Of any family; the output folder is then as it was before.
    """
    check_output(options.output, overwrite=options.overwrite)
    inputs = read_inputs(options)  # before a server is started for them
    with JobProgress() as progress, some_server(server, progress) as (client, check_alive):
        prepared = prepare_shot(model_of(client, options.model_id), options, inputs)
        return _make(client, prepared, progress, check_alive)


def make_shot(
    client: Client, options: ShotOptions, progress: JobProgress, check_alive: CheckAlive | None = None
) -> FinishedShot:
    """Make a shot with a connected client. Inputs are checked here, before anything is sent.

    Raises:
        ThreeDimoError: Of any family; the output folder is then as it was before.
    """
    check_output(options.output, overwrite=options.overwrite)
    prepared = prepare_shot(model_of(client, options.model_id), options, read_inputs(options))
    return _make(client, prepared, progress, check_alive)


def _make(
    client: Client, prepared: PreparedShot, progress: JobProgress, check_alive: CheckAlive | None
) -> FinishedShot:
    job_id, output = str(uuid.uuid4()), prepared.options.output
    with written_folder(output) as folder:
        prepared.submit(client, job_id, label=output.name)
        result = wait_for_result(client, job_id, progress, check_alive)
        fetch_result(client, result, folder, progress)
        write_sheet(folder, prepared, result.info)
    return FinishedShot(output, result.info, prepared.model)


def write_sheet(folder: Path, prepared: PreparedShot, info: ResultInfo) -> None:
    """Add the contact sheet to a fetched result.

    Raises:
        MediaError, StorageError: A file of the shot cannot be read by now, or the sheet not be written.
    """
    footage, options = prepared.inputs.footage, prepared.options
    driving = read_footage(
        prepared.inputs.files,
        fps=options.drive_fps,
        start_s=options.drive_start_s,
        num_frames=prepared.shot.num_frames,
        sample_fps=prepared.shot.fps,
        size=(max(1, round(footage.width * CELL_HEIGHT_PX / footage.height)), CELL_HEIGHT_PX),
    )
    sheet = _sheet(folder, read_image(options.reference), driving, info, prepared.model)
    write_png(folder / "contact_sheet.png", draw_contact_sheet(sheet))


def _sheet(
    folder: Path, reference_image: np.ndarray, driving: np.ndarray, info: ResultInfo, model: ModelInfo
) -> Sheet:
    columns = chosen_frames(info.num_frames)
    return Sheet(
        reference_image=reference_image,
        rows=(
            Row("driving footage", driving[columns]),
            Row("result", read_result_frames(folder, columns)),
        ),
        times_s=tuple(index / info.fps for index in columns),
        captions=(
            f"camera: {info.text or '(no text)'}",
            model_caption(model),
            f"seed: {info.seed}    {info.num_frames} frames of {info.width}x{info.height} at {info.fps:g} fps"
            f"    {info.num_inference_steps} steps in {_making_s(info):.1f} s",
        ),
    )


def read_result_frames(folder: Path, indices: list[int]) -> np.ndarray:
    """These frames of a shot's folder, `(len(indices), height, width, 3)` uint8 RGB."""
    return np.stack([read_image(folder / "frames" / f"{index:05d}.png") for index in indices])


def model_caption(model: ModelInfo) -> str:
    """Which model made a sheet's pictures, and whether they mean anything."""
    trained = "" if model.trained else " (not trained: motion and camera have no effect)"
    return f"model: {model.id}{trained}"


def _making_s(info: ResultInfo) -> float:
    """Seconds of work on the shot itself; the model is loaded once for many."""
    return sum(seconds for phase, seconds in info.seconds.items() if phase != "loading")


def model_of(client: Client, model_id: str = "") -> ModelInfo:
    """What the server's model of this id makes; "" is its first.

    Raises:
        ModelNotFound: It has no such model.
        ServerUnreachable: It has none at all.
    """
    models = [] if client.capabilities is None else client.capabilities.models
    if not models:
        raise ServerUnreachable("the server has no model loaded", remedy="look at it with `threedimo doctor`")
    return choose_model(models, model_id)


@contextmanager
def some_server(server: str | None, progress: JobProgress) -> Iterator[tuple[Client, CheckAlive | None]]:
    """A client of the server at `server`, or of this user's running one, or of one for this command alone.

    Raises:
        ServerError: None answers, or none can be started.
    """
    if server is None:
        try:
            find_server()
        except ServerUnreachable:
            progress.note("no server is running: starting one for this command")
            with own_server(home_folder()) as own, connected_client(own.connection) as client:
                yield client, own.check_alive
            return
    with connected_client(partial(find_server, server)) as client:
        yield client, None
