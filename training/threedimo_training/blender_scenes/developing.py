"""From the files of a rendered shot to a `FilmedClip`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from threedimo.camera import CameraPath, describe
from threedimo.media.images import read_image
from threedimo_training.samples.hands import HAND_CROP_SIZE
from threedimo_training.samples.sample import FilmedClip

# A silhouette is rendered this many times as wide and high, so that it knows how much of a pixel is covered.
MASK_SAMPLES = 4
# Of a hand's joints: with fewer in sight the hand is behind something.
HAND_SEEN_SHARE = 0.3
_WHITE_FROM = 128


def develop(
    folder: Path, path: CameraPath, origin: np.ndarray, boxes: np.ndarray | None, person_id: str
) -> tuple[FilmedClip, np.ndarray | None]:
    """Read a shot, delete its files, and give it with its hand crops (F, 2, C, C, 3), black where unseen.

    Args:
        folder: What `inside_blender.py` wrote.
        path: The camera, in the clip's world.
        origin: (3,) metres, the clip's world's origin in the scene.
        boxes: (F, 2, 4) where hands would be, or None where the rig has no fingers.
        person_id: Who is seen.
    """
    frames = np.stack([read_image(folder / f"frame-{index}.png") for index in range(path.num_frames)])
    silhouettes = np.stack([_silhouette(folder / f"mask-{index}.png") for index in range(path.num_frames)])
    with np.load(folder / "labels.npz", allow_pickle=False) as labels:
        joints, hand_seen = labels["joints"] - origin, labels["hand_seen"]
    crops = None
    if boxes is not None:
        boxes = np.where((hand_seen >= HAND_SEEN_SHARE)[..., None], boxes, np.float32(np.nan))
        crops = np.zeros((path.num_frames, 2, HAND_CROP_SIZE, HAND_CROP_SIZE, 3), np.uint8)
        for frame, hand in np.argwhere(np.isfinite(boxes[..., 0])):
            file = folder / f"hand-{frame}-{hand}.png"
            if file.is_file():
                crops[frame, hand] = read_image(file)
    shutil.rmtree(folder)
    clip = FilmedClip(
        frames=frames,
        person_id=person_id,
        text=describe(path),
        path=path,
        silhouette=silhouettes,
        joints_world=joints.astype(np.float32),
        hand_boxes=boxes,
    )
    return clip, crops


def _silhouette(file: Path) -> np.ndarray:
    """(H, W) bool, where the person covers at least half of the pixel."""
    fine = read_image(file)[..., 1] >= _WHITE_FROM
    height, width = (side // MASK_SAMPLES for side in fine.shape)
    blocks = fine.reshape(height, MASK_SAMPLES, width, MASK_SAMPLES)
    return blocks.mean(axis=(1, 3)) >= 0.5
