import numpy as np
import pytest

from threedimo.errors import MediaError
from threedimo.media import denormalise, fit_frames, normalise


def test_normalise_round_trip_is_exact():
    frames = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    model = normalise(frames)
    assert model.shape == (3, 1, 16, 16)
    assert model.dtype == np.float32
    assert (model.min(), model.max()) == (-1, 1)
    np.testing.assert_array_equal(denormalise(model), frames)


def test_denormalise_ends_at_black_and_white_and_refuses_what_is_no_number():
    assert denormalise(np.full((3, 1, 1, 1), -1.3)).max() == 0
    assert denormalise(np.full((3, 1, 1, 1), 1.3)).min() == 255
    with pytest.raises(MediaError, match="not finite"):
        denormalise(np.full((3, 1, 1, 1), np.nan))


@pytest.mark.parametrize(("width", "height"), [(40, 40), (80, 20), (10, 30), (200, 100)])
def test_fit_never_distorts(width, height):
    """A circle stays as wide as high."""
    y, x = np.mgrid[:90, :160]
    disc = ((x - 79.5) ** 2 + (y - 44.5) ** 2 < 15**2)[None, :, :, None].repeat(3, 3).astype(np.uint8) * 255
    fitted = fit_frames(disc, width, height)
    assert fitted.shape == (1, height, width, 3)
    inside = fitted[0, :, :, 0] > 127
    scale = max(width / 160, height / 90)
    assert abs(inside.any(0).sum() - 30 * scale) <= 1.5
    assert abs(inside.any(1).sum() - 30 * scale) <= 1.5


def test_fit_cuts_evenly_on_both_sides():
    frames = np.arange(100, dtype=np.uint8)[None, None, :, None].repeat(50, 1).repeat(3, 3)
    np.testing.assert_array_equal(fit_frames(frames, 50, 50), frames[:, :, 25:75])


def test_fit_keeps_what_fits_and_takes_one_picture():
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    assert fit_frames(frames, 30, 20) is frames
    assert fit_frames(frames[0], 15, 10).shape == (10, 15, 3)


def test_shrinking_does_not_alias():
    stripes = (np.arange(256) % 2 * 255).astype(np.uint8)[None, None, :, None].repeat(256, 1).repeat(3, 3)
    assert fit_frames(stripes, 32, 32).std() < 3
