"""Progress, contact sheets, films and data cards."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image

from threedimo.errors import InvalidRequest, InvalidShard
from threedimo_training.shards.card import write_card
from threedimo_training.shards.overlay import LEFT, RIGHT, LabelledClip, joint_pixels
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.show import show


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_projected_joints_lie_on_the_person(sample):
    for clip in (sample.driving, sample.target):
        pixels = joint_pixels(clip.path, clip.joints_world)
        inside = ((pixels >= 0) & (pixels < 64)).all(axis=-1)
        frame, joint = np.nonzero(inside)
        x, y = pixels[frame, joint].astype(int).T
        grown = np.pad(clip.silhouette, ((0, 0), (1, 1), (1, 1)))
        near = np.stack([grown[:, dy : dy + 64, dx : dx + 64] for dy in range(3) for dx in range(3)]).any(0)
        assert near[frame, y, x].mean() > 0.97


def test_joints_behind_the_camera_are_nowhere(sample):
    path = sample.target.path
    behind = path.positions[:, None] - path.rotations[:, None, :, 2]
    assert np.isnan(joint_pixels(path, behind)).all()


def test_labels_are_drawn_in_the_colours_of_their_side(sample):
    picture = np.asarray(LabelledClip(sample.driving, 256).draw(1)).astype(int)
    joints = joint_pixels(sample.driving.path, sample.driving.joints_world)[1] * 4
    for joint, colour in ((7, LEFT), (8, RIGHT), (18, LEFT), (19, RIGHT)):
        x, y = joints[joint].astype(int)
        patch = picture[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3)
        assert np.abs(patch - colour).sum(-1).min() < 60


def test_a_folder_and_a_shard_are_shown(folder, samples, tmp_path):
    sheet, film = show(folder, tmp_path / "look", 2, 0)
    with Image.open(sheet) as picture:
        assert min(picture.size) > 500
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert (stream.frames, float(stream.average_rate)) == (18, 12)
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert len(list(container.decode(stream))) == 18
    first = sheet.read_bytes()
    show(folder, tmp_path / "again", 2, 0)
    assert (tmp_path / "again" / sheet.name).read_bytes() == first
    show(folder, tmp_path / "other", 2, 1)
    assert (tmp_path / "other" / sheet.name).read_bytes() != first
    sheet, _ = show(folder / "shard-00000.tar", tmp_path / "one", 100, 0)
    assert sheet.exists()


def test_footage_without_labels_is_shown(sample, tmp_path):
    from dataclasses import replace

    from threedimo_training.shards.writer import write_shards

    labels = ("path", "silhouette", "joints_world", "hand_boxes", "smpl_pose", "mano_pose")
    bare = dict.fromkeys(labels)
    footage = replace(
        sample, driving=replace(sample.driving, **bare), target=replace(sample.target, **bare),
        hand_crops=None, source="footage",
    )  # fmt: skip
    write_shards([footage], tmp_path / "shards")
    sheet, _ = show(tmp_path / "shards", tmp_path / "look", 1, 0)
    assert sheet.exists()
    assert "consent" in write_card(tmp_path / "shards").read_text()


def test_nothing_to_show_is_said(folder, tmp_path):
    with pytest.raises(InvalidRequest, match="nothing to show"):
        show(folder, tmp_path, 0, 0)
    with pytest.raises(InvalidShard):
        show(tmp_path / "missing.tar", tmp_path, 1, 0)


def test_the_card_counts_and_tells_how_to_repeat(render, tmp_path):
    render(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    for line in (
        "10 samples in 3 shards",
        "| same_view | 5 |",
        "| moving_camera | 5 |",
        "| remains static | ",
        "0 of 10 samples show a person or a motion that is kept for evaluation",
        "target 32x32, driving 32x32, hands 16 px, 5 frames at 8 fps | 10 |",
        "threedimo-train render --clips 10 --size 32 --frames 5 --fps 8 --seed 3 --output DIR "
        "--roles same_view moving_camera",
        "CC0",
    ):
        assert line in card


def test_progress_in_a_terminal_is_a_bar():
    stream = Terminal()
    with RenderProgress(stream) as progress:
        progress.begin(4, 10)
        progress.clips(7)
    assert "4 of 10 clips are there already" in stream.getvalue()
    assert "7/10" in stream.getvalue()
    assert "clips/s" in stream.getvalue()


def test_progress_elsewhere_is_a_few_lines():
    stream = io.StringIO()
    with RenderProgress(stream) as progress:
        progress.begin(0, 1000)
        for done in range(1, 1001):
            progress.clips(done)
    assert stream.getvalue().count("\n") == 1
    assert "1000 of 1000 clips" in stream.getvalue()
