"""Pictures against pictures: how near, how alike, the person where it should be, in the right colours.

Clips are (F, H, W, 3) uint8 RGB; every metric is computed for each frame and averaged over the frames.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from threedimo.errors import InvalidRequest
from threedimo_training.evaluation.body_parts import PARTS

# Pictures that round to the same 8 bits may still differ by this much: no PSNR is better than 58.9 dB.
ROUNDING_ERROR = 1 / 12
SSIM_SIGMA, SSIM_WINDOW_PX = 1.5, 11
# The person's surroundings that count as the person, as a share of the picture's width.
DILATION_SHARE = 1 / 32
# A part smaller than this share of the picture has no colour of its own.
MIN_PART_SHARE = 0.002
# The constant of GMSD that keeps flat places stable, for values up to 255.
GMSD_CONSTANT = 170.0
# The mean distance (CIE76) between the same part of different synthetic people, measured on 48 of them.
STRANGER_DELTA_E = 24.0


def psnr(frames: np.ndarray, target: np.ndarray) -> float:
    """Peak signal-to-noise ratio in decibels, 58.9 for equal frames.

    Raises:
        InvalidRequest: The clips are of different shape.
    """
    errors = _squared_errors(frames, target).mean(axis=(1, 2, 3))
    return float(_decibels(errors).mean())


def person_psnr(frames: np.ndarray, target: np.ndarray, silhouette: np.ndarray) -> float | None:
    """PSNR over the true silhouette widened by a 32nd of the picture's width, so that its outline counts.

    Args:
        frames: What was made.
        target: What it should be.
        silhouette: (F, H, W) bool, where the person is in the target.

    Returns:
        Decibels, or None where the target shows nobody; frames that show nobody are left out.

    Raises:
        InvalidRequest: The clips are of different shape.
    """
    errors = _squared_errors(frames, target).mean(axis=3)
    reach = max(1, round(frames.shape[2] * DILATION_SHARE))
    square = np.ones((1, 2 * reach + 1, 2 * reach + 1), bool)
    counted = scipy.ndimage.binary_dilation(silhouette, square)
    seen = silhouette.any(axis=(1, 2))
    if not seen.any():
        return None
    means = (errors * counted).sum(axis=(1, 2))[seen] / counted.sum(axis=(1, 2))[seen]
    return float(_decibels(means).mean())


def ssim(frames: np.ndarray, target: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window of 11 pixels, sigma 1.5, mean of R, G, B.

    Raises:
        InvalidRequest: The clips are of different shape, or smaller than the window.
    """
    _require_same_shape(frames, target)
    if min(frames.shape[1:3]) < SSIM_WINDOW_PX:
        raise InvalidRequest(
            "SSIM needs pictures of at least 11 pixels each way",
            given=f"{frames.shape[2]}x{frames.shape[1]}",
        )
    values = [
        structural_similarity(
            made, wanted, gaussian_weights=True, sigma=SSIM_SIGMA, use_sample_covariance=False,
            data_range=255, channel_axis=-1,
        )
        for made, wanted in zip(frames, target, strict=True)
    ]  # fmt: skip
    return float(np.mean(values))


def gmsd(frames: np.ndarray, target: np.ndarray) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014): perceptual distance without learned weights.

    How unevenly the edges of two pictures agree, on luminance at half the size; 0 for equal pictures, rarely
    above 0.35. It stands where LPIPS would, whose weights are not shipped (see `video_metrics`).

    Raises:
        InvalidRequest: The clips are of different shape, or smaller than 4 pixels.
    """
    _require_same_shape(frames, target)
    if min(frames.shape[1:3]) < 4:
        raise InvalidRequest(
            "GMSD needs pictures of at least 4 pixels each way", given=f"{frames.shape[2]}x{frames.shape[1]}"
        )
    first, second = _edges(frames), _edges(target)
    similarity = (2 * first * second + GMSD_CONSTANT) / (first**2 + second**2 + GMSD_CONSTANT)
    return float(similarity.std(axis=(1, 2)).mean())


def silhouette_iou(found: np.ndarray, silhouette: np.ndarray) -> float | None:
    """Intersection over union of two (F, H, W) bool, averaged over the frames that truly show somebody.

    Returns:
        0 to 1, or None where no frame shows anybody.
    """
    seen = silhouette.any(axis=(1, 2))
    if not seen.any():
        return None
    both = (found & silhouette).sum(axis=(1, 2))[seen]
    either = (found | silhouette).sum(axis=(1, 2))[seen]
    return float((both / either).mean())


def part_colours(frames: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Mean CIELAB colour of each part of the body in each frame.

    Args:
        frames: (F, H, W, 3) uint8.
        parts: (F, H, W) part numbers as in `body_parts`.

    Returns:
        (F, len(PARTS), 3), NaN where a part covers less than a 500th of the picture.
    """
    lab = rgb2lab(frames)
    colours = np.full((len(frames), len(PARTS), 3), np.nan)
    fewest = MIN_PART_SHARE * parts[0].size
    for number in range(len(PARTS)):
        here = parts == number + 1
        count = here.sum(axis=(1, 2))
        enough = count >= fewest
        sums = (lab * here[..., None]).sum(axis=(1, 2))
        colours[enough, number] = sums[enough] / count[enough, None]
    return colours


def identity_agreement(colours: np.ndarray, reference_colours: np.ndarray) -> float | None:
    """How well the colours of head, torso, arms and legs agree with those of the reference image.

    A part's agreement is 1 for equal colours and falls linearly to 0 at the mean distance of strangers (CIE76
    colour difference of 24). It is averaged over the frames in which the part can be seen, then over parts.

    Args:
        colours: (F, len(PARTS), 3) of the frames, from `part_colours`.
        reference_colours: (len(PARTS), 3) of the reference image.

    Returns:
        0 to 1, or None where no part can be seen in both.
    """
    differences = np.linalg.norm(colours - reference_colours, axis=-1)
    agreements = np.clip(1 - differences / STRANGER_DELTA_E, 0, None)
    known = ~np.isnan(agreements)
    seen = known.any(axis=0)
    if not seen.any():
        return None
    by_part = np.where(known, agreements, 0).sum(axis=0)[seen] / known.sum(axis=0)[seen]
    return float(by_part.mean())


def _edges(frames: np.ndarray) -> np.ndarray:
    """Gradient magnitudes (F, H // 2, W // 2) of the luminance."""
    luminance = frames @ np.array([0.299, 0.587, 0.114])
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    halved = (
        luminance[:, :height, :width].reshape(len(frames), height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    )
    across, down = (
        scipy.ndimage.uniform_filter1d(
            scipy.ndimage.correlate1d(halved, [-1.0, 0.0, 1.0], axis=along), 3, axis=3 - along
        )
        for along in (2, 1)
    )
    return np.hypot(across, down)


def _squared_errors(frames: np.ndarray, target: np.ndarray) -> np.ndarray:
    _require_same_shape(frames, target)
    return (frames.astype(np.float64) - target) ** 2


def _decibels(errors: np.ndarray) -> np.ndarray:
    return 20 * math.log10(255) - 10 * np.log10(np.maximum(errors, ROUNDING_ERROR))


def _require_same_shape(frames: np.ndarray, target: np.ndarray) -> None:
    if frames.shape != target.shape or frames.ndim != 4 or frames.shape[-1] != 3:
        raise InvalidRequest(
            "only clips of the same shape can be compared",
            given=f"{frames.shape} and {target.shape}",
            allowed="(F, H, W, 3) twice",
        )
