import numpy as np
import pytest

from threedimo.errors import InvalidMotion
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.motion.smpl_labels import smpl_pose
from threedimo_training.samples.motions import LongMotions, RecordedMotions
from threedimo_training.samples.synthetic import draw_synthetic
from threedimo_training.shards.render_options import RenderOptions


def _record(file, seed: int, num_frames: int = 40) -> None:
    """An AMASS-style recording of a procedural motion at 20 frames a second."""
    motion = procedural_motion(seed, num_frames, 20.0)
    body, hands = smpl_pose(motion)
    poses = np.concatenate([body[:, :22].reshape(num_frames, -1), hands.reshape(num_frames, -1)], axis=1)
    trans = motion.root_path * 0.9
    np.savez(file, poses=poses, trans=trans, mocap_framerate=20.0)


def _names(held_out: bool) -> list[str]:
    names = [f"walk{number}" for number in range(60)]
    return [name for name in names if is_held_out("motion", f"amass:{name}") == held_out]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for seed, name in enumerate([*_names(False)[:2], _names(True)[0]]):
        _record(folder / f"{name}.npz", seed)
    return folder


def test_stretches_of_recordings_are_drawn_and_whole_files_held_out(recordings):
    source, rng = RecordedMotions(recordings), np.random.default_rng(0)
    for held_out in (False, True):
        drawn = [source.draw(rng, 9, 10.0, held_out) for _ in range(12)]
        stems = {motion.motion_id.split(":")[1] for motion in drawn}
        assert stems == (set(_names(True)[:1]) if held_out else set(_names(False)[:2]))
        assert len({motion.motion_id for motion in drawn}) > 4
        for motion in drawn:
            assert (motion.num_frames, motion.fps) == (9, 10.0)
            np.testing.assert_allclose(motion.root_path[0, :2], 0)


def test_samples_perform_recordings(recordings):
    options = RenderOptions(48, 5, 10.0, ("cross_view",), False)
    sample = draw_synthetic(0, 0, 0, options, motions=str(recordings))
    assert sample.motion_id.startswith("amass:walk")
    assert sample.driving.silhouette.any()


def test_a_recording_shorter_than_a_clip_is_named(tmp_path):
    name = _names(False)[0]
    _record(tmp_path / f"{name}.npz", 0, num_frames=6)
    with pytest.raises(InvalidMotion, match=f"{name}.*too short"):
        RecordedMotions(tmp_path).draw(np.random.default_rng(0), 9, 20.0, False)


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(InvalidMotion, match=r"\.bvh"):
        RecordedMotions(tmp_path)


def test_a_side_without_recordings_says_so(tmp_path):
    _record(tmp_path / f"{_names(True)[0]}.npz", 0)
    with pytest.raises(InvalidMotion, match="all of the recordings are held out"):
        RecordedMotions(tmp_path).draw(np.random.default_rng(0), 9, 20.0, False)


def test_a_long_motion_goes_forth_and_back_without_a_jump():
    fps = 4.0
    short = LongMotions().draw(np.random.default_rng(5), 100, fps, True)
    long = LongMotions().draw(np.random.default_rng(5), 300, fps, True)
    assert is_held_out("motion", long.motion_id)
    assert np.array_equal(long.root_path[:100], short.root_path)
    # 32 s are 128 frames: 0 to 127, and back
    assert np.array_equal(long.root_path[127:255], long.root_path[127::-1])
    assert np.array_equal(long.joint_rotations[254:300], long.joint_rotations[:46])
    steps = np.linalg.norm(np.diff(long.root_path, axis=0), axis=1)
    assert steps.max() == pytest.approx(steps[:127].max())
