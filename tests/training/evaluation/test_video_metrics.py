from __future__ import annotations

import numpy as np
import pytest

from threedimo.errors import InvalidRequest, MediaError, UnreadableMedia
from threedimo.media import write_video
from threedimo_training.evaluation.video_metrics import compare_folders


def clip(value: int, num_frames: int = 5, size: int = 32) -> np.ndarray:
    return np.full((num_frames, size, size, 3), value, np.uint8)


@pytest.fixture
def folders(tmp_path):
    made, wanted = tmp_path / "made", tmp_path / "wanted"
    made.mkdir()
    wanted.mkdir()
    return made, wanted


def test_figures_of_known_differences(folders):
    made, wanted = folders
    for name, difference in (("a", 10), ("b", 20)):
        write_video(made / f"{name}.mp4", clip(100 + difference), 8.0)
        write_video(wanted / f"{name}.mp4", clip(100), 8.0)
    figures = compare_folders(made, wanted)
    assert figures.names == ("a", "b")
    # 8-bit video levels round the greys by up to one
    expected = np.mean([20 * np.log10(255 / 10), 20 * np.log10(255 / 20)])
    assert figures.psnr.mean == pytest.approx(expected, abs=0.7)
    assert 0.97 < figures.ssim.mean < 1
    assert figures.psnr.n == 2


def test_the_table_says_what_is_missing_and_where_it_is_to_be_had(folders):
    made, wanted = folders
    for folder in folders:
        write_video(folder / "a.mp4", clip(100), 8.0)
    table = compare_folders(made, wanted).table("ours")
    assert "| ours | 1.0000 | 58.92 | – | – | – |" in table
    assert all(f"- {name}: not computed here" in table for name in ("LPIPS", "FID", "FVD"))


def test_videos_without_partners_are_named(folders):
    made, wanted = folders
    write_video(made / "alone.mp4", clip(1), 8.0)
    with pytest.raises(InvalidRequest, match="alone"):
        compare_folders(made, wanted)
    with pytest.raises(UnreadableMedia, match="no such folder"):
        compare_folders(made, made / "none")


@pytest.mark.parametrize("other", [{"num_frames": 6}, {"size": 48}])
def test_partners_that_differ_are_refused_and_not_cut(folders, other):
    made, wanted = folders
    write_video(made / "a.mp4", clip(1), 8.0)
    write_video(wanted / "a.mp4", clip(1, **other), 8.0)
    with pytest.raises(MediaError, match="frame by frame"):
        compare_folders(made, wanted)
