"""`threedimo novel-views`: one picture seen by moving cameras, each view a shot (paper, applications).

A still picture drives a shot as a sequence of one picture that is shown for as long as the shot lasts, which
is `threedimo.applications.novel_view` in files; the server sees a shot like any other.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from threedimo.applications import start_view
from threedimo.camera import MOVES, CameraPath, View
from threedimo.errors import InvalidCameraPath, InvalidRequest
from threedimo.media import read_image, write_png
from threedimo.shot import Shot
from threedimo.wire.client import Client, make_asset
from threedimo.wire.messages import ModelInfo, ResultInfo
from threedimo.wire.sizes import read_size
from threedimo_server.contact_sheet import Row, Sheet, chosen_frames, draw_contact_sheet
from threedimo_server.generate import make_shot, model_caption, model_of, read_result_frames, some_server
from threedimo_server.job_progress import JobProgress, estimate
from threedimo_server.job_run import CheckAlive
from threedimo_server.output_folder import RESULT_FILE, check_output
from threedimo_server.shot_inputs import ShotOptions
from threedimo_server.view_set import (
    REFERENCE_FILE,
    SHEET_FILE,
    VIEW_SET,
    ViewSetFacts,
    begin_set,
    camera_file,
    finished_views,
    publish_set,
    view_folder,
)


@dataclass(frozen=True)
class ViewMove:
    """A move of the vocabulary and how far it goes; `amount` is None for the moves that have none."""

    move: str
    amount: float | None

    @classmethod
    def parsed(cls, text: str) -> ViewMove:
        """Read MOVE or MOVE:AMOUNT, such as "arc_left:90"; without an amount it is the move's default.

        Raises:
            InvalidCameraPath: There is no such move, or it does not go so far.
        """
        name, _, amount_text = text.partition(":")
        if name not in MOVES:
            raise InvalidCameraPath(
                "no camera move of this name",
                given=text,
                allowed=", ".join(MOVES),
                remedy="write views as MOVE or MOVE:AMOUNT, for example --views arc_left:90 zoom_in",
            )
        default = MOVES[name].amount
        try:
            amount = float(amount_text) if ":" in text else default and default.default
        except ValueError:
            raise InvalidCameraPath(
                "the amount of a camera move is a number",
                given=text,
                remedy=f"write {name} alone, or a number after the colon",
            ) from None
        view = cls(name, amount)
        view.path(start_view(), 2, 1.0)  # Only to learn whether the amount is in the move's range.
        return view

    @property
    def name(self) -> str:
        """Its folder, such as "arc_left_90"."""
        return self.move if self.amount is None else f"{self.move}_{self.amount:g}"

    def path(self, start: View, num_frames: int, fps: float) -> CameraPath:
        """The camera's path from this start."""
        return MOVES[self.move](start, num_frames, fps, self.amount)


@dataclass(frozen=True)
class NovelViewsOptions:
    """What a person asks for; None means the model's own default.

    Attributes:
        image: Picture of the person.
        output: Folder to write.
        views: The camera of each view, as `ViewMove.parsed` reads it.
        seen_from: Which side of the person the picture shows, see `threedimo.applications`.
        num_frames: Frames of each view.
        fps: Frames per second.
        size: "WIDTHxHEIGHT" or a shape, "9:16"; None is the model's own.
        num_inference_steps: Denoising steps.
        preset: Of the model's; "" is its own numbers.
        step_cache: See `threedimo.presets`; None is the preset's.
        seed: Of every view.
        model_id: Of one of the server's models; "" is its first.
        overwrite: Replace an earlier set in `output`, finished or not.
    """

    image: Path
    output: Path
    views: tuple[str, ...]
    seen_from: str = "front"
    num_frames: int | None = None
    fps: float | None = None
    size: str | None = None
    num_inference_steps: int | None = None
    preset: str = ""
    step_cache: str | None = None
    seed: int = 0
    model_id: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class FinishedViews:
    """A set that lies in its output folder, and what each view's facts are."""

    output: Path
    infos: dict[str, ResultInfo]

    def lines(self) -> list[str]:
        """What to tell a person: what was made and where it is."""
        info = next(iter(self.infos.values()))
        return [
            f"{_counted(len(self.infos))} of {info.num_frames} frames of {info.width}x{info.height} at "
            f"{info.fps:g} fps, seed {info.seed}, model {info.model_id}",
            *(f"{name}: {info.text}" for name, info in self.infos.items()),
            *(f"video          {view_folder(self.output, name) / 'video.mp4'}" for name in self.infos),
            f"contact sheet  {self.output / SHEET_FILE}",
            f"cameras        {self.output / 'cameras'}",
        ]


def novel_views(options: NovelViewsOptions, server: str | None = None) -> FinishedViews:
    """Make every view, one job after the other, with a server as `generate` finds it.

    Views that an interrupted command has finished are kept beside the output and not made again.

    Raises:
        ThreeDimoError: Of any family; the output folder is then as it was before.
    """
    views = _distinct([ViewMove.parsed(text) for text in options.views])
    start_view(options.seen_from)  # Only to learn at once whether it is a side of a person.
    check_output(options.output, overwrite=options.overwrite, layout=VIEW_SET)
    picture = read_image(options.image)
    with JobProgress() as progress, some_server(server, progress) as (client, check_alive):
        model = model_of(client, options.model_id)
        width, height = (None, None) if options.size is None else read_size(options.size, model)
        shot = Shot.checked(
            model,
            num_frames=options.num_frames,
            fps=options.fps,
            width=width,
            height=height,
            num_inference_steps=options.num_inference_steps,
            preset=options.preset,
            step_cache=options.step_cache,
            seed=options.seed,
        )
        start = start_view(options.seen_from, width=shot.width, height=shot.height)
        facts = ViewSetFacts(
            picture_hash=make_asset(options.image, options.image.name).hash,
            seen_from=options.seen_from,
            views=[view.name for view in views],
            model_id=model.id,
            shot=shot,
        )
        paths = {view.name: view.path(start, shot.num_frames, shot.fps) for view in views}
        folder = begin_set(options.output, facts, picture, paths, overwrite=options.overwrite)
        with _kept_when_broken_off(folder, facts, progress):
            _make_missing(client, folder, facts, shot, progress, check_alive)
            infos = {name: _read_info(folder, name) for name in facts.views}
            sheet = _sheet(folder, infos, model)
            write_png(folder / SHEET_FILE, draw_contact_sheet(sheet))
            publish_set(folder, options.output)
    return FinishedViews(options.output, infos)


def _distinct(views: list[ViewMove]) -> list[ViewMove]:
    names = [view.name for view in views]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRequest("a view is asked for twice", given=", ".join(twice), remedy="name it once")
    return views


def _make_missing(
    client: Client,
    folder: Path,
    facts: ViewSetFacts,
    shot: Shot,
    progress: JobProgress,
    check_alive: CheckAlive | None,
) -> None:
    done = finished_views(folder, facts)
    if done:
        progress.note(f"{_counted(len(done))} of {len(facts.views)} done before: {', '.join(done)}")
    missing = [name for name in facts.views if name not in done]
    started_s = time.monotonic()
    for index, name in enumerate(missing):
        left_s = (time.monotonic() - started_s) / index * (len(missing) - index) if index else None
        about = f", {estimate(left_s)} for all" if left_s else ""
        progress.note(f"view {len(done) + index + 1} of {len(facts.views)}: {name}{about}")
        make_shot(client, _shot_options(folder, name, facts.model_id, shot), progress, check_alive)


def _shot_options(folder: Path, name: str, model_id: str, shot: Shot) -> ShotOptions:
    picture = folder / REFERENCE_FILE
    return ShotOptions(
        reference=picture,
        drive=(picture,),
        drive_fps=shot.fps / shot.num_frames,
        camera_path=camera_file(folder, name),
        num_frames=shot.num_frames,
        fps=shot.fps,
        size=f"{shot.width}x{shot.height}",
        num_inference_steps=shot.num_inference_steps,
        preset=shot.preset,
        step_cache=shot.step_cache,
        seed=shot.seed,
        model_id=model_id,
        output=view_folder(folder, name),
    )


@contextmanager
def _kept_when_broken_off(folder: Path, facts: ViewSetFacts, progress: JobProgress) -> Iterator[None]:
    try:
        yield
    except BaseException:
        done = finished_views(folder, facts)
        if done:
            progress.note(
                f"{len(done)} of {_counted(len(facts.views))} done and kept in {folder}: the same command "
                "makes the rest"
            )
        else:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _read_info(folder: Path, name: str) -> ResultInfo:
    return msgspec.json.decode((view_folder(folder, name) / RESULT_FILE).read_bytes(), type=ResultInfo)


def _sheet(folder: Path, infos: dict[str, ResultInfo], model: ModelInfo) -> Sheet:
    info = next(iter(infos.values()))
    columns = chosen_frames(info.num_frames)
    return Sheet(
        reference_image=read_image(folder / REFERENCE_FILE),
        rows=tuple(Row(name, read_result_frames(view_folder(folder, name), columns)) for name in infos),
        times_s=tuple(index / info.fps for index in columns),
        captions=(
            *(f"{name}: {info.text}" for name, info in infos.items()),
            model_caption(model),
            f"seed: {info.seed}    {info.num_frames} frames of {info.width}x{info.height} at {info.fps:g} fps"
            f"    {info.num_inference_steps} steps",
        ),
    )


def _counted(number: int) -> str:
    return f"{number} view{'s' if number > 1 else ''}"
