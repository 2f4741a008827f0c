"""Films of a real portrait (public domain, in scikit-image) before painted walls, with known camera moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from threedimo.media import write_video

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / ".cache" / "test-media" / "demo.mp4"
WIDTH, HEIGHT, FPS = 512, 320, 12.0
PORTRAIT = 208
# Her outline in the picture of 512 x 512 pixels, by eye.
OUTLINE = (
    *((150, 60), (180, 15), (225, 0), (275, 15), (305, 70), (300, 150), (330, 190), (400, 230), (440, 330)),
    *((470, 511), (0, 511), (30, 330), (70, 240), (150, 190), (160, 130)),
)


@pytest.fixture(scope="session")
def demo_clip() -> Path:
    """A real film of two people in turn, 1768x994 pixels, 30 frames a second, 7.7 s."""
    if not DEMO.is_file():
        pytest.skip("the demo clip is not there: make .cache/test-media/.ready fetches it")
    return DEMO


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """A woman from the head to the chest, cut out: RGB and how much of a pixel is hers, 0 to 1."""
    from skimage.data import astronaut
    from skimage.draw import polygon2mask
    from skimage.transform import resize

    hers = polygon2mask((512, 512), [(y, x) for x, y in OUTLINE]).astype(float)
    whole = np.concatenate([astronaut() / 255, hers[..., None]], axis=2)
    return resize(whole, (PORTRAIT, PORTRAIT), anti_aliasing=True)


def wall(seed: int, width: int = WIDTH + 128, height: int = HEIGHT + 128) -> np.ndarray:
    """A wall of flat tiles in muted colours: corners to follow, and nothing like a person."""
    tiles = np.random.default_rng(seed).integers(70, 190, (height // 32 + 1, width // 32 + 1, 1), np.uint8)
    tint = np.random.default_rng(seed + 1).integers(-40, 40, 3)
    return (
        np.clip(tiles.astype(int) + tint, 0, 255)
        .astype(np.uint8)
        .repeat(32, 0)
        .repeat(32, 1)[:height, :width]
    )


def nobody(frame: int) -> list[tuple[int, int]]:
    """Places of nobody."""
    return []


def tripod(frame: int) -> tuple[int, int]:
    """A camera that stays."""
    return (0, 0)


Film = Callable[..., Path]


@pytest.fixture(scope="session")
def film(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Write a film.

    Its frames show the wall of a seed through a window that moves by `camera(frame)` pixels, and the portrait
    at each of `places(frame)`, left and top in the picture; `noise` is the sensor's.
    """

    def write(
        name: str,
        num_frames: int,
        *,
        seed: int = 0,
        camera: Callable[[int], tuple[float, float]] = tripod,
        places: Callable[[int], Sequence[tuple[int, int]]] = lambda frame: [(60 + frame, HEIGHT - PORTRAIT)],
        fps: float = FPS,
        folder: Path | None = None,
    ) -> Path:
        path = (folder or tmp_path_factory.mktemp("films")) / name
        write_video(path, picture(num_frames, seed, camera, places), fps)
        return path

    def picture(num_frames: int, seed: int, camera, places) -> np.ndarray:
        background, rng = wall(seed), np.random.default_rng(seed)
        frames = np.empty((num_frames, HEIGHT, WIDTH, 3), np.uint8)
        for index in range(num_frames):
            x, y = (64 + round(shift) for shift in camera(index))
            frames[index] = background[y : y + HEIGHT, x : x + WIDTH]
            for left, top in places(index):
                part = portrait[: HEIGHT - top, : WIDTH - left]
                behind = frames[index, top : top + part.shape[0], left : left + part.shape[1]]
                behind[:] = 255 * part[..., 3:] * part[..., :3] + (1 - part[..., 3:]) * behind
            grain = rng.normal(0, 2, frames[index].shape)
            frames[index] = np.clip(frames[index] + grain, 0, 255).astype(np.uint8)
        return frames

    write.picture = picture  # type: ignore[attr-defined]
    return write


def still_camera(width: int, height: int, *, azimuth_deg: float = 0.0):
    """A calibrated camera two metres before a person who faces -y."""
    from threedimo.camera import View

    angle = np.deg2rad(azimuth_deg - 90)
    centre = np.array([0.0, 0.0, 1.2])
    position = centre + 2.0 * np.array([np.cos(angle), np.sin(angle), 0.0])
    view = View(position, centre, 1.2 * width, width, height, centre, np.array([0.0, -1.0, 0.0]))
    from threedimo.camera import MOVES

    return MOVES["static"](view, 1, FPS, None)
