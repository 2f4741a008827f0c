"""Looking at samples: a contact sheet and a film, with the labels drawn on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from threedimo.errors import InvalidRequest, InvalidShard
from threedimo.media import write_png
from threedimo.media.writing import storage_errors
from threedimo_training.shards.durable import whole_file
from threedimo_training.shards.reader import ShardFolder, indexed_scan, unpack
from threedimo_training.shards.sheet import FilmFrame, SampleBlock, arrange
from threedimo_training.shards.tar import PackedSample
from threedimo_training.shards.video import write_film

SHEET_FILE, FILM_FILE = "contact_sheet.png", "samples.mp4"


def show(path: Path, output: Path, count: int, seed: int) -> tuple[Path, Path]:
    """Draw random samples of a shard or a folder of shards.

    Args:
        path: A shard, or a folder of shards.
        output: Folder to write `contact_sheet.png` and `samples.mp4` into; made where it is missing.
        count: How many samples at most.
        seed: Decides which; the same seed shows the same ones.

    Returns:
        The contact sheet and the film: driving and target side by side, one sample after the other.

    Raises:
        InvalidRequest: `count` is below 1.
        InvalidShard: The shards are damaged, not as indexed, or empty.
        UnwritableFolder, NoSpace: The output cannot be written.
    """
    if count < 1:
        raise InvalidRequest("there is nothing to show", given=f"{count} samples", allowed="1 or more")
    chosen = _chosen(path, count, seed)
    facts = [packed.facts() for packed in chosen]
    with storage_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    pictures: list[Image.Image] = []
    fps, layout = max(each.fps for each in facts), FilmFrame.fitting(facts)
    frames = _film(chosen, fps, layout, pictures)
    with whole_file(output / FILM_FILE) as file, storage_errors(output / FILM_FILE):
        write_film(file, frames, layout.width, layout.height, fps)
    write_png(output / SHEET_FILE, np.asarray(arrange(pictures)))
    return output / SHEET_FILE, output / FILM_FILE


def _chosen(path: Path, count: int, seed: int) -> list[PackedSample]:
    rng = np.random.default_rng(seed)
    if path.is_dir():
        folder = ShardFolder(path)
        return [folder.packed(index) for index in _draw_numbers(rng, len(folder), count, path)]
    packed = indexed_scan(path)
    return [packed[index] for index in _draw_numbers(rng, len(packed), count, path)]


def _draw_numbers(rng: np.random.Generator, total: int, count: int, path: Path) -> list[int]:
    if not total:
        raise InvalidShard("there are no samples to show", given=path)
    return sorted(int(index) for index in rng.permutation(total)[:count])


def _film(
    chosen: list[PackedSample], fps: float, layout: FilmFrame, pictures: list[Image.Image]
) -> Iterator[np.ndarray]:
    """The film's frames; on the way, each sample's block of the sheet is put into `pictures`.

    One pass, because at full size only one sample fits into memory at a time.
    """
    for packed in chosen:
        sample = unpack(packed)
        pictures.append(SampleBlock(sample).draw())
        yield from layout.play(sample, fps)
