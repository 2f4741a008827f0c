"""The standard metrics of two folders of real videos, in the layout of the paper's table.

PSNR and SSIM are computed. LPIPS, FID and FVD are defined by the weights of particular networks (AlexNet with
the LPIPS heads, Inception v3, I3D), which are published as pickles or TorchScript only. This project reads
neither, and computed with other features they would bear other names: their cells stay empty, and
`NOT_COMPUTED` says where they can be had. The evaluation of models has GMSD in the place of LPIPS.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidRequest, MediaError, UnreadableMedia
from threedimo.media import VideoInfo, probe_footage, read_footage
from threedimo_training.evaluation.intervals import Figure, summarise
from threedimo_training.evaluation.metrics import psnr, ssim

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi"}
NOT_COMPUTED = {
    "LPIPS": "needs AlexNet and its linear heads: the package `lpips` (Zhang et al. 2018)",
    "FID": "needs Inception v3 of the original TensorFlow release: the package `pytorch-fid`",
    "FVD": "needs I3D trained on Kinetics-400 (Unterthiner et al. 2018): `i3d_torchscript.pt` of StyleGAN-V",
}
_RATE_TOLERANCE = 0.01


@dataclass(frozen=True)
class VideoFigures:
    """Means over videos; each video's value is the mean over its frames.

    Attributes:
        ssim: Structural similarity.
        psnr: Decibels.
        names: Of the videos, without suffix.
    """

    ssim: Figure
    psnr: Figure
    names: tuple[str, ...]

    def table(self, title: str) -> str:
        """A Markdown table with the paper's columns, and below it why cells are empty."""
        head = "| | SSIM ↑ | PSNR ↑ | LPIPS ↓ | FID ↓ | FVD ↓ |\n| --- | --- | --- | --- | --- | --- |"
        row = f"| {title} | {self.ssim.mean:.4f} | {self.psnr.mean:.2f} | – | – | – |"
        notes = "\n".join(f"- {name}: not computed here; {reason}." for name, reason in NOT_COMPUTED.items())
        return f"{head}\n{row}\n\n{len(self.names)} videos.\n{notes}\n"


def compare_folders(made: Path, wanted: Path) -> VideoFigures:
    """Compare videos of the same name (without suffix) frame by frame.

    Raises:
        InvalidRequest: A video of one folder has no partner in the other, or there are none.
        MediaError: A video cannot be read, or partners differ in size, rate or number of frames.
    """
    made_files, wanted_files = _videos(made), _videos(wanted)
    lonely = sorted(made_files.keys() ^ wanted_files.keys())
    if lonely or not made_files:
        raise InvalidRequest(
            "every video needs one of the same name in the other folder",
            given=", ".join(lonely[:5]) or "no videos",
            allowed=f"files that end in {', '.join(sorted(VIDEO_SUFFIXES))}",
            remedy=f"compare the names in {made} and {wanted}",
        )
    values = {name: _compare(made_files[name], wanted_files[name]) for name in sorted(made_files)}
    return VideoFigures(
        ssim=summarise([each[0] for each in values.values()]),
        psnr=summarise([each[1] for each in values.values()]),
        names=tuple(values),
    )


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UnreadableMedia("no such folder", given=folder)
    files: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            if file.stem in files:
                raise InvalidRequest("two videos of one name", given=f"{files[file.stem].name}, {file.name}")
            files[file.stem] = file
    return files


def _compare(made: Path, wanted: Path) -> tuple[float, float]:
    """SSIM and PSNR of one pair."""
    facts = probe_footage([made], fps=None), probe_footage([wanted], fps=None)
    counts = [_num_frames(info) for info in facts]
    same_size = (facts[0].width, facts[0].height) == (facts[1].width, facts[1].height)
    same_rate = abs(facts[0].fps / facts[1].fps - 1) < _RATE_TOLERANCE
    if not (same_size and same_rate and counts[0] == counts[1]):
        raise MediaError(
            f"{made.name} and its partner cannot be compared frame by frame",
            given=" and ".join(
                f"{count} frames of {info.width}x{info.height} at {info.fps:g} fps"
                for count, info in zip(counts, facts, strict=True)
            ),
            remedy="make both with the same size, rate and number of frames",
        )
    clips = [
        read_footage([file], fps=None, start_s=0.0, num_frames=counts[0], sample_fps=facts[0].fps)
        for file in (made, wanted)
    ]
    # frame by frame: long clips of large frames would not fit into memory as floats
    pairs = [(first[None], second[None]) for first, second in zip(*clips, strict=True)]
    return (
        float(np.mean([ssim(first, second) for first, second in pairs])),
        float(np.mean([psnr(first, second) for first, second in pairs])),
    )


def _num_frames(info: VideoInfo) -> int:
    return info.num_frames or round(info.duration_s * info.fps)
