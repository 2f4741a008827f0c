"""Reads AMASS-style npz files: SMPL, SMPL+H or SMPL-X poses over time (Mahmood et al. 2019), z up, metres."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from threedimo.errors import InvalidMotion
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.recordings import (
    MOST_FRAMES,
    on_floor,
    resample,
    standard_balls,
    standing_feet,
)
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS, NUM_HAND_JOINTS, forward_kinematics
from threedimo_training.motion.smpl_labels import rotations_from_smpl
from threedimo_training.motion.standard_body import HIP_HEIGHT_M, REST_JOINTS, lowest_m

_RATES = ("mocap_framerate", "mocap_frame_rate")
# Numbers in a pose: where the body's (with the root) end and the hands' begin.
_LAYOUTS = {72: (72, None), 156: (66, 66), 165: (66, 75)}
_WANTED = (
    "poses (F, 72) of SMPL, (F, 156) of SMPL+H or (F, 165) of SMPL-X; trans (F, 3) in metres, z up; "
    "mocap_framerate or mocap_frame_rate"
)
# Pelvis of SMPL above its origin in the model's rest pose, metres along AMASS's z.
_ROOT_ABOVE_TRANS_M = 0.03
# Sizes of performers, hip heights in metres.
_SMALLEST_M, _LARGEST_M = 0.45, 1.4


def read_amass(path: str | Path, fps: float | None = None) -> Motion:
    """A recorded motion from an npz file. Fingers are the flat hand where the file has none.

    The performer's hip height, which the file does not tell, is the one with which the lowest point of the
    body rests on z = 0 most of the time. Betas, DMPLs, jaw and eyes are not used.

    Args:
        path: The file.
        fps: Frame rate to resample to; None keeps the file's.

    Raises:
        InvalidMotion: The file is missing, damaged, of another layout, or has values that are no numbers.
    """
    path = Path(path)
    poses, trans, rate = _load(path)
    body_end, hands_from = _LAYOUTS[poses.shape[1]]
    body = np.zeros((len(poses), NUM_BODY_JOINTS, 3))
    body[:, : body_end // 3] = poses[:, :body_end].reshape(len(poses), -1, 3)
    hands = np.zeros((len(poses), 2, NUM_HAND_JOINTS, 3))
    if hands_from is not None:
        hands = poses[:, hands_from : hands_from + hands[0].size].reshape(hands.shape)
    rotations = rotations_from_smpl(body, hands)
    root = trans + np.array([0.0, 0.0, _ROOT_ABOVE_TRANS_M])
    root_path = on_floor(root / _hip_height_m(path, root, rotations), rotations)
    planted = standing_feet(standard_balls(root_path, rotations), rate)
    motion = Motion(f"amass:{path.stem}:0", rate, rotations, root_path, planted)
    return motion if fps is None else resample(motion, fps)


def _hip_height_m(path: Path, root: np.ndarray, rotations: np.ndarray) -> float:
    posed = forward_kinematics(REST_JOINTS, rotations, np.zeros(root.shape))
    height = HIP_HEIGHT_M * float(np.median(root[:, 2] / np.maximum(-lowest_m(posed), 0.05)))
    if not _SMALLEST_M < height < _LARGEST_M:
        raise InvalidMotion(
            f"{path.name} does not stand on the floor z = 0",
            given=f"a hip height of {height:.2f} m",
            allowed=f"{_SMALLEST_M} to {_LARGEST_M} m",
            remedy="export with z up, in metres, and the floor at z = 0",
        )
    return height


def _load(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    try:
        shapes = _shapes(path)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidMotion(
            "not a readable npz file", given=path, allowed=_WANTED, remedy="check the path, or copy it again"
        ) from error
    rate_key = next((key for key in _RATES if key in shapes), None)
    frames = shapes.get("poses", (0,))[0] if shapes.get("poses") else 0
    fits = (
        rate_key is not None
        and len(shapes.get("poses", ())) == 2
        and shapes["poses"][1] in _LAYOUTS
        and shapes.get("trans") == (frames, 3)
        and shapes[rate_key] in ((), (1,))
    )
    if rate_key is None or not fits:
        raise InvalidMotion(f"{path.name} is no AMASS motion", given=shapes, allowed=_WANTED)
    if not 1 <= frames <= MOST_FRAMES:
        raise InvalidMotion(
            f"{path.name} has no frames or too many", given=frames, allowed=f"1 to {MOST_FRAMES} frames"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            values = [np.asarray(arrays[key], np.float64) for key in ("poses", "trans", rate_key)]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidMotion("a damaged npz file", given=path, remedy="copy or download it again") from error
    for key, array in zip(("poses", "trans", rate_key), values, strict=True):
        if not np.isfinite(array).all():
            frame = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim else 0
            raise InvalidMotion(f"{path.name}: {key} has values that are no numbers", given=f"frame {frame}")
    rate = float(values[2].reshape(-1)[0])
    if rate <= 0:
        raise InvalidMotion(f"{path.name}: the frame rate is no rate", given=rate, allowed="above 0")
    return values[0], values[1], rate


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays by key, from their headers alone: nothing large is allocated."""
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                shapes[name.removesuffix(".npy")] = read(member)[0]
    return shapes
