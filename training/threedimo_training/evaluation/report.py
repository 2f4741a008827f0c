"""The evaluation as one HTML page: figures, and the best, median and worst clips as moving pictures.

The page needs no other file and no network: pictures lie in it, and there are no scripts.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from threedimo.media.writing import storage_errors
from threedimo_training.evaluation.clip_records import ClipRecord, picture_file
from threedimo_training.evaluation.held_out_clips import SPLITS
from threedimo_training.shards.durable import write_file

PAGE = "index.html"
RANKED_BY = "person_psnr"

_SPLIT_TITLES = {
    "same_view": ("Same view", "Driver and person filmed by one still camera."),
    "cross_view": ("Cross view", "Two still cameras at unrelated sides: the motion must be turned in space."),
    "moving_camera": ("Moving camera", "The camera makes a move of its own, which the driver does not show."),
}
_RUN_TITLES = {
    "generated": "Model, text and hints",
    "text_alone": "Model, text alone",
    "other_motion": "Another clip's motion",
    "other_camera_text": "Another clip's camera text",
    "frozen_reference": "Reference, frozen",
    "reconstruction": "Decoder's reconstruction",
    "ground_truth": "True frames (the probe's own error)",
}
# Title, digits, and whether more is better.
_METRIC_TITLES = {
    "psnr": ("PSNR, dB", 2, True),
    "person_psnr": ("Person PSNR, dB", 2, True),
    "ssim": ("SSIM", 3, True),
    "gmsd": ("GMSD", 3, False),
    "silhouette_iou": ("Silhouette IoU", 3, True),
    "pose_error_deg": ("Pose error, °", 1, False),
    "camera_error_deg": ("Camera move error, °", 1, False),
    "arc_camera_error_deg": ("… over arcs of 30° and more", 1, False),
    "camera_view_error_deg": ("Camera view error, °", 1, False),
    "identity_agreement": ("Identity agreement", 3, True),
}
_PICTURE_TITLES = {
    "reference": "Reference image",
    "driving": "Driving frames",
    "generated": "Model, text and hints",
    "ground_truth": "Target",
    "text_alone": "Text alone",
    "other_driving": "Another clip's driving frames",
    "other_motion": "… its motion",
    "other_camera_text": "Another camera text",
    "reconstruction": "Decoder alone",
}


@dataclass(frozen=True)
class Case:
    """One clip of the page: its rank ("best", "median", "worst"), record and pictures as data URIs."""

    rank: str
    record: ClipRecord
    pictures: list[tuple[str, str]]


def write_report(folder: Path, document: dict[str, Any], records: list[ClipRecord], clips: Path) -> Path:
    """Write the page.

    Args:
        folder: Made where it is missing; the page is `index.html` in it.
        document: The evaluation, as in its JSON file.
        records: Of the clips.
        clips: Folder with the clips' pictures.

    Returns:
        The page.

    Raises:
        NoSpace: The disk is full.
        UnwritableFolder: The folder may not be written.
    """
    splits = [
        {
            "name": split,
            "title": _SPLIT_TITLES[split][0],
            "meaning": _SPLIT_TITLES[split][1],
            "rows": _rows(document["splits"][split]),
            "cases": _cases([record for record in records if record.split == split], clips),
        }
        for split in SPLITS
    ]
    page = _template().render(document=document, splits=splits, metrics=_METRIC_TITLES)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / PAGE, page.encode())
    return folder / PAGE


def _template():
    source = resources.files("threedimo_training.evaluation").joinpath("report.html.jinja").read_text("utf-8")
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(source)


def _rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    by_run = {"generated": figures, "text_alone": figures["text_alone"], **figures["controls"]}
    by_run["ground_truth"] = figures["ground_truth"]
    return [
        {"run": run, "title": title, "cells": [_cell(by_run[run][name], name) for name in _METRIC_TITLES]}
        for run, title in _RUN_TITLES.items()
    ]


def _cell(figure: dict[str, Any], metric: str) -> dict[str, str]:
    if figure["mean"] is None:
        return {"mean": "–", "reach": "", "n": "0"}
    digits = _METRIC_TITLES[metric][1]
    interval = figure["ci95"]
    reach = "" if interval is None else f"± {(interval[1] - interval[0]) / 2:.{digits}f}"
    return {"mean": f"{figure['mean']:.{digits}f}", "reach": reach, "n": str(figure["n"])}


def _cases(records: list[ClipRecord], clips: Path) -> list[Case]:
    """Best, median and worst clip; fewer where there are fewer clips."""
    ranked = sorted(
        (record for record in records if record.metrics["generated"][RANKED_BY] is not None),
        key=lambda record: record.metrics["generated"][RANKED_BY] or 0.0,
        reverse=True,
    )
    places = {"best": 0, "median": len(ranked) // 2, "worst": len(ranked) - 1}
    chosen: dict[int, str] = {}
    for rank, place in places.items():
        if 0 <= place < len(ranked):
            chosen.setdefault(place, rank)
    return [Case(rank, ranked[place], _pictures(ranked[place], clips)) for place, rank in chosen.items()]


def _pictures(record: ClipRecord, clips: Path) -> list[tuple[str, str]]:
    """Titles and data URIs."""
    pictures = []
    for name, title in _PICTURE_TITLES.items():
        stored = "frozen_reference" if name == "reference" else name
        content = picture_file(clips, record.split, record.index, stored).read_bytes()
        pictures.append((title, f"data:image/webp;base64,{base64.b64encode(content).decode()}"))
    return pictures
