from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest
from threedimo_training.evaluation.body_parts import PARTS
from threedimo_training.evaluation.intervals import summarise
from threedimo_training.evaluation.metrics import (
    gmsd,
    identity_agreement,
    part_colours,
    person_psnr,
    psnr,
    silhouette_iou,
    ssim,
)


def grey(value: int, size: int = 32, num_frames: int = 2) -> np.ndarray:
    return np.full((num_frames, size, size, 3), value, np.uint8)


def test_psnr_of_a_constant_difference():
    # 20 log10(255 / 10)
    assert psnr(grey(110), grey(100)) == pytest.approx(28.1308, abs=1e-3)


def test_psnr_is_averaged_over_frames():
    frames = np.concatenate([grey(110, num_frames=1), grey(101, num_frames=1)])
    assert psnr(frames, grey(100)) == pytest.approx((28.1308 + 48.1308) / 2, abs=1e-3)


def test_equal_frames_have_the_psnr_of_rounding():
    assert psnr(grey(9), grey(9)) == pytest.approx(58.92, abs=0.01)


def test_person_psnr_counts_the_widened_silhouette_and_nothing_else():
    silhouette = np.zeros((2, 32, 32), bool)
    silhouette[:, 10:20, 10:20] = True
    frames = grey(100)
    frames[:, :9] = 0  # beyond the one pixel by which the silhouette is widened
    assert person_psnr(frames, grey(100), silhouette) == pytest.approx(58.92, abs=0.01)
    frames[:, 9, 9:21] = 0  # the added row: 12 of 144 pixels
    expected = 10 * np.log10(255**2 / (100**2 * 12 / 144))
    assert person_psnr(frames, grey(100), silhouette) == pytest.approx(expected, abs=1e-6)


def test_person_psnr_without_a_person_is_unknown():
    assert person_psnr(grey(1), grey(2), np.zeros((2, 32, 32), bool)) is None


def test_ssim_of_constants_is_its_luminance_term():
    # structure and contrast of constants agree: (2ab + C1) / (a^2 + b^2 + C1), C1 = (0.01 * 255)^2
    expected = (2 * 100 * 120 + 6.5025) / (100**2 + 120**2 + 6.5025)
    assert ssim(grey(100), grey(120)) == pytest.approx(expected, abs=1e-6)


def test_gmsd_of_an_edge_that_is_missing():
    # Columns of halved pixels: 0 before the edge, 200 after it. Prewitt's mean finds 200 in the two columns
    # beside the edge and 0 elsewhere, where both clips agree.
    target, frames = grey(0), grey(0)
    target[:, :, 16:] = 200
    similarity = np.ones(16)
    similarity[7:9] = 170 / (200**2 + 170)
    assert gmsd(frames, target) == pytest.approx(similarity.std(), abs=1e-6)


def test_gmsd_is_a_distance_of_frames_one_by_one():
    noisy = np.random.default_rng(0).integers(0, 256, (2, 33, 32, 3), dtype=np.uint8)
    assert gmsd(noisy, noisy) == 0
    changed = noisy.copy()
    changed[1] = 128
    assert gmsd(changed, noisy) == pytest.approx(gmsd(changed[1:], noisy[1:]) / 2)
    with pytest.raises(InvalidRequest, match="at least 4 pixels"):
        gmsd(grey(1, size=3), grey(1, size=3))


def test_ssim_falls_with_blur_and_is_one_for_equals():
    noisy = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    blurred = ((noisy.astype(int) + np.roll(noisy, 1, axis=2)) // 2).astype(np.uint8)
    assert ssim(noisy, noisy) == pytest.approx(1)
    assert 0.3 < ssim(blurred, noisy) < 0.9


def test_ssim_refuses_pictures_smaller_than_its_window():
    with pytest.raises(InvalidRequest, match="11 pixels"):
        ssim(grey(1, size=8), grey(1, size=8))


def test_clips_of_different_shape_are_refused():
    with pytest.raises(InvalidRequest, match="same shape"):
        psnr(grey(1), grey(1, size=16))


def test_silhouette_iou_by_hand():
    found, true = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    found[0, 0], true[0, :2] = True, True  # 4 of 8; the second frame shows nobody and does not count
    found[1] = True
    assert silhouette_iou(found, true) == pytest.approx(0.5)
    assert silhouette_iou(found, np.zeros_like(true)) is None


def test_identity_agreement_of_equal_and_of_other_colours():
    parts = np.repeat(np.arange(1, 5, dtype=np.uint8), 256).reshape(1, 32, 32)
    frames = grey(120, num_frames=1)
    frames[parts == 2] = (200, 30, 30)
    own = part_colours(frames, parts)
    assert own.shape == (1, len(PARTS), 3)
    assert identity_agreement(own, own[0]) == pytest.approx(1)
    stranger = frames.copy()
    stranger[parts == 2] = (30, 30, 200)  # one of four parts is entirely another's
    assert identity_agreement(part_colours(stranger, parts), own[0]) == pytest.approx(0.75)


def lightness(value: int) -> float:
    """CIE L* of an sRGB grey, by the standards' formulas."""
    linear = ((value / 255 + 0.055) / 1.055) ** 2.4
    return 116 * linear ** (1 / 3) - 16


def test_colour_difference_is_measured_in_cielab():
    parts = np.ones((1, 32, 32), np.uint8)
    first, second = (part_colours(grey(value, num_frames=1), parts) for value in (119, 145))
    expected = 1 - (lightness(145) - lightness(119)) / 24
    assert identity_agreement(second, first[0]) == pytest.approx(expected, abs=1e-3)


def test_parts_that_cannot_be_seen_say_nothing():
    parts = np.zeros((1, 32, 32), np.uint8)
    parts[0, 0, 0] = 1
    colours = part_colours(grey(5, num_frames=1), parts)
    assert np.isnan(colours).all()
    assert identity_agreement(colours, colours[0]) is None


def test_interval_of_student():
    figure = summarise([1.0, 2.0, None, 3.0])
    # t(0.975, 2) = 4.3027, standard error 1 / sqrt(3)
    assert figure.mean == pytest.approx(2)
    assert figure.ci95 == pytest.approx((2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert figure.n == 3


def test_too_few_values_have_no_interval():
    assert summarise([4.0]).ci95 is None
    assert summarise([None]).mean is None
