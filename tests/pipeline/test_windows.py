from __future__ import annotations

import pytest

from threedimo.windows import Window, plan_windows


def test_a_clip_that_fits_is_one_window_led_by_the_reference_image():
    assert plan_windows(31, 31, 2) == [Window(0, 31, 1)]
    assert plan_windows(5, 31, 1) == [Window(0, 5, 1)]


@pytest.mark.parametrize("num_lead_latents", [1, 2])
@pytest.mark.parametrize("num_latent_frames", range(2, 20))
def test_windows_cover_every_latent_frame_exactly_once_beside_the_lead(num_latent_frames, num_lead_latents):
    windows = plan_windows(num_latent_frames, 5, num_lead_latents)
    made = [0, *(i for w in windows for i in range(w.start + w.num_lead_latents, w.stop))]
    assert made == list(range(num_latent_frames))
    assert all(window.num_latent_frames == 5 for window in windows[:-1])


def test_a_later_window_starts_with_the_last_latents_of_the_one_before():
    assert plan_windows(9, 5, 1) == [Window(0, 5, 1), Window(4, 5, 1)]
    assert plan_windows(9, 5, 2) == [Window(0, 5, 1), Window(3, 5, 2), Window(6, 3, 2)]


def test_video_frames_run_from_the_first_latent_frames_last_to_the_end():
    assert Window(0, 3, 1).video_frames(4) == slice(0, 9)
    assert Window(4, 5, 1).video_frames(4) == slice(16, 33)


@pytest.mark.parametrize("num_lead_latents", [0, 5])
def test_a_window_needs_a_lead_and_room_after_it(num_lead_latents):
    with pytest.raises(ValueError, match="cannot start with"):
        plan_windows(9, 5, num_lead_latents)
