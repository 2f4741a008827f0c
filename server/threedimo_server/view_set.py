"""The folder of a set of novel views. Notable: a set that was broken off goes on where it stopped.

    views.json          what was asked for (`ViewSetFacts`)
    reference.png       the picture, as it was read
    cameras/NAME.json   the camera of each view, as `threedimo generate --camera-path` takes it
    views/NAME/         each view, as `threedimo generate` writes a shot
    contact_sheet.png   all views in one picture

Until everything is there the folder is called OUTPUT.unfinished.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np

from threedimo.camera import CameraPath
from threedimo.errors import UnwritableFolder
from threedimo.media import write_png
from threedimo.media.writing import storage_errors
from threedimo.shot import Shot
from threedimo_server.output_folder import RESULT_FILE, Layout, check_output, publish_folder, written_folder

FACTS_FILE, REFERENCE_FILE, SHEET_FILE = "views.json", "reference.png", "contact_sheet.png"
VIEW_SET = Layout(FACTS_FILE, frozenset({FACTS_FILE, REFERENCE_FILE, SHEET_FILE, "cameras", "views"}))


class ViewSetFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides the pictures of a set; equal facts, equal pictures on the same machine.

    Attributes:
        picture_hash: Of the picture's file, as assets are named (`threedimo.wire`).
        seen_from: Which side of the person the picture shows.
        views: Names of the views, in order.
        model_id: The model that makes them.
        shot: The numbers of every view.
    """

    picture_hash: str
    seen_from: str
    views: list[str]
    model_id: str
    shot: Shot

    def differences(self, other: ViewSetFacts) -> list[str]:
        """What the other set asked for that this one does not, in words."""
        mine, others = (msgspec.to_builtins(facts) for facts in (self, other))
        mine, others = (facts.pop("shot") | facts for facts in (mine, others))
        return [f"{name} {others.get(name)}" for name in mine | others if mine.get(name) != others.get(name)]


def unfinished_folder(output: Path) -> Path:
    """Where a set grows."""
    output = output.absolute()
    return output.with_name(f"{output.name}.unfinished")


def view_folder(folder: Path, name: str) -> Path:
    """The folder of one view in a set's folder."""
    return folder / "views" / name


def camera_file(folder: Path, name: str) -> Path:
    """The camera of one view in a set's folder."""
    return folder / "cameras" / f"{name}.json"


def finished_views(folder: Path, facts: ViewSetFacts) -> list[str]:
    """The views that are whole, as every one appears in one step."""
    return [name for name in facts.views if (view_folder(folder, name) / RESULT_FILE).exists()]


def begin_set(
    output: Path,
    facts: ViewSetFacts,
    reference_image: np.ndarray,
    paths: dict[str, CameraPath],
    *,
    overwrite: bool,
) -> Path:
    """The folder in which the set grows: a new one, or that of the same set when it was broken off.

    Args:
        output: The name that the set will get.
        facts: What is asked for.
        reference_image: The picture, (height, width, 3) uint8 RGB.
        paths: The camera of each view.
        overwrite: Begin again where another set was broken off.

    Raises:
        UnwritableFolder: Another set was broken off under this name, or something else is there.
        NoSpace: The disk is full.
    """
    folder = unfinished_folder(output)
    check_output(folder, overwrite=True, layout=VIEW_SET)
    if (folder / FACTS_FILE).exists():
        found = _read_facts(folder)
        if found == facts:
            return folder
        if not overwrite:
            raise UnwritableFolder(
                "other views were begun for this output folder and not finished",
                given=f"{folder}, with {', '.join(facts.differences(found))}",
                remedy="repeat the command that began them, add --overwrite to begin again, or choose "
                "another folder",
            )
    with written_folder(folder) as new, storage_errors(folder):
        (new / "cameras").mkdir(parents=True)
        for name, path in paths.items():
            path.to_json(camera_file(new, name))
        write_png(new / REFERENCE_FILE, reference_image)
        (new / FACTS_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(facts)))
    return folder


def publish_set(folder: Path, output: Path) -> None:
    """Give a whole set its name; an earlier set there is deleted.

    Raises:
        StorageError: The system refused; both folders are as they were.
    """
    # A command that was killed while it wrote a view leaves the half beside it, under a hidden name.
    for half in (folder / "views").glob(".*"):
        shutil.rmtree(half, ignore_errors=True)
    publish_folder(folder, output)


def _read_facts(folder: Path) -> ViewSetFacts:
    try:
        return msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=ViewSetFacts)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnwritableFolder(
            f"the folder of unfinished views cannot be read: {error}",
            given=folder / FACTS_FILE,
            remedy="delete that folder, or choose another output",
        ) from error
