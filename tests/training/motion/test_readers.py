"""BVH and AMASS files: written by the test, read back the same; every kind of damage has its own message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from threedimo.errors import InvalidMotion
from threedimo_training.motion.amass import read_amass
from threedimo_training.motion.bvh import read_bvh
from threedimo_training.motion.motion import Motion
from threedimo_training.motion.procedural import procedural_motion
from threedimo_training.motion.recordings import resample
from threedimo_training.motion.rotations import rotation_vectors, turn_deg
from threedimo_training.motion.skeleton import JOINT, JOINT_NAMES, PARENTS, forward_kinematics
from threedimo_training.motion.smpl_labels import smpl_pose
from threedimo_training.motion.standard_body import HIP_HEIGHT_M, REST_JOINTS

_TORSO = {"pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2"}
_MIXAMO = {
    **_TORSO, "neck": "Neck", "head": "Head", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
    "foot": "ToeBase", "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
_SIMPLE = {
    "pelvis": "HIP", "spine1": "SPINE1", "spine2": "SPINE2", "spine3": "CHEST", "neck": "NECK",
    "head": "HEAD", "hip": "Hip", "knee": "Knee", "ankle": "Ankle", "foot": "Toe", "collar": "Collar",
    "shoulder": "Shoulder", "elbow": "Elbow", "wrist": "Wrist",
}  # fmt: skip
_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # file from ours
_FILE_JOINTS = [joint for joint, name in enumerate(JOINT_NAMES) if not name.endswith("_hand")]


def _name(joint: int, table: dict[str, str], prefix: str) -> str:
    side, _, base = JOINT_NAMES[joint].rpartition("_")
    fingers = {
        f"{f}{n}": f"Hand{f.title()}{n}"
        for f in ("index", "middle", "pinky", "ring", "thumb")
        for n in (1, 2, 3)
    }
    return prefix + side.title() + (table | fingers)[base]


def _euler_deg(rotation: np.ndarray, order: str) -> list[float]:
    """Angles a, b, c with rotation = R(order[0], a) R(order[1], b) R(order[2], c)."""
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    first = np.arctan2(-sign * rotation[j, k], rotation[k, k])
    second = np.arcsin(np.clip(sign * rotation[i, k], -1, 1))
    third = np.arctan2(-sign * rotation[i, j], rotation[i, i])
    return [float(np.degrees(angle)) for angle in (first, second, third)]


def _write_bvh(
    path: Path,
    motion: Motion,
    table: dict[str, str],
    *,
    prefix: str = "",
    order: str = "ZXY",
    scale: float = 100.0,
    axes: np.ndarray = _Y_UP,
    arms_down_deg: float = 0.0,
) -> Path:
    """Writes the standard body performing the motion, resting with its arms lowered by an angle."""
    rest, align = REST_JOINTS.copy(), np.tile(np.eye(3), (54, 1, 1))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lowered = turn_deg(0, sign * arms_down_deg)
        arm = [
            j for j, name in enumerate(JOINT_NAMES) if name.startswith(side) and j >= JOINT["left_shoulder"]
        ]
        shoulder = REST_JOINTS[JOINT[f"{side}_shoulder"]]
        rest[arm] = shoulder + (REST_JOINTS[arm] - shoulder) @ lowered.T
        align[arm] = lowered
    # the file's bones rest lowered: their orientation is ours after undoing that
    world = forward_kinematics(REST_JOINTS, motion.joint_rotations, motion.root_path).rotations
    world = axes @ (world @ np.swapaxes(align, -1, -2)) @ axes.T
    lines, order_of_joints = ["HIERARCHY"], []

    def write(joint: int, depth: int) -> None:
        pad, parent = "\t" * depth, PARENTS[joint]
        order_of_joints.append(joint)
        offset = scale * axes @ (rest[joint] - (rest[parent] if parent >= 0 else rest[joint]))
        channels = [f"{axis}rotation" for axis in order]
        if parent < 0:
            channels = ["Xposition", "Yposition", "Zposition", *channels]
        lines.append(f"{pad}{'ROOT' if parent < 0 else 'JOINT'} {_name(joint, table, prefix)}")
        lines.extend([f"{pad}{{", f"{pad}\tOFFSET {offset[0]:.7f} {offset[1]:.7f} {offset[2]:.7f}"])
        lines.append(f"{pad}\tCHANNELS {len(channels)} {' '.join(channels)}")
        children = [child for child in _FILE_JOINTS if PARENTS[child] == joint]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET 0 0 1.0", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    write(0, 0)
    lines += ["MOTION", f"Frames: {motion.num_frames}", f"Frame Time: {1 / motion.fps:.8f}"]
    for frame in range(motion.num_frames):
        numbers = list(scale * axes @ (HIP_HEIGHT_M * motion.root_path[frame]))
        for joint in order_of_joints:
            parent = PARENTS[joint]
            local = world[frame, joint] if parent < 0 else world[frame, parent].T @ world[frame, joint]
            numbers += _euler_deg(local, order)
        lines.append(" ".join(f"{number:.7f}" for number in numbers))
    path.write_text("\n".join(lines) + "\n")
    return path


def _assert_same_pose(read: Motion, motion: Motion, tolerance_m: float = 0.002) -> None:
    poses = [
        forward_kinematics(REST_JOINTS, m.joint_rotations, m.root_path * HIP_HEIGHT_M).positions
        for m in (read, motion)
    ]
    ours, theirs = (pose - pose[:1, :1] * [1, 1, 0] for pose in poses)
    np.testing.assert_allclose(ours[..., :2], theirs[..., :2], atol=tolerance_m)
    # the floor is found from the recording itself
    height = ours[..., 2] - theirs[..., 2]
    assert np.ptp(height) < tolerance_m
    assert abs(height.mean()) < 0.02


@pytest.mark.parametrize(
    ("table", "prefix", "order", "scale", "axes"),
    [
        (_MIXAMO, "mixamorig:", "ZXY", 100.0, _Y_UP),
        (_MIXAMO, "", "ZYX", 1.0, np.eye(3)),
        (_SIMPLE, "", "XYZ", 39.37, _Y_UP),
        (_SIMPLE, "", "YXZ", 17.7, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])),
    ],
)
def test_bvh_round_trip(tmp_path, table, prefix, order, scale, axes):
    motion = procedural_motion(11, 24, 24.0)
    path = _write_bvh(
        tmp_path / "walk.bvh", motion, table, prefix=prefix, order=order, scale=scale, axes=axes
    )
    read = read_bvh(path)
    assert read.motion_id == "bvh:walk:0"
    assert read.fps == pytest.approx(24.0, rel=1e-5)
    _assert_same_pose(read, motion)
    difference = rotation_vectors(np.swapaxes(read.joint_rotations, -1, -2) @ motion.joint_rotations)[:, 1:]
    assert np.abs(difference).max() < 1e-3


def test_bvh_resting_with_lowered_arms_means_the_same_pose(tmp_path):
    motion = procedural_motion(4, 12, 12.0)
    read = read_bvh(_write_bvh(tmp_path / "a.bvh", motion, _MIXAMO, arms_down_deg=50.0))
    _assert_same_pose(read, motion)


def test_recorded_feet_are_found_standing(tmp_path):
    agreement = []
    for seed in (0, 3, 18, 26, 30):
        motion = procedural_motion(seed, 60, 30.0)
        read = read_bvh(_write_bvh(tmp_path / f"{seed}.bvh", motion, _MIXAMO))
        agreement.append(np.mean(read.planted == motion.planted))
    assert np.mean(agreement) > 0.85


def _broken(tmp_path: Path, change) -> Path:
    path = _write_bvh(tmp_path / "broken.bvh", procedural_motion(1, 4, 8.0), _MIXAMO)
    path.write_text(change(path.read_text()))
    return path


def _without_last_numbers(text: str) -> str:
    return text[: text.rindex(" ") - 40]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("Head\n", "Antenna\n"), "bones that nobody knows.*Antenna"),
        (lambda text: text.replace("JOINT LeftLeg", "JOINT LeftEye"), "lacks bones.*left_knee"),
        (_without_last_numbers, r"broken.bvh, line \d+: frame 4 is cut off"),
        (lambda text: text.replace("Frames: 4", "Frames: 5"), r"line \d+: another number of frames"),
        (lambda text: text.replace("Frames: 4", "Frames: 3"), r"line \d+: another number of frames"),
        (lambda text: text.replace("Frames: 4", "Frames: 0"), "without frames"),
        (lambda text: text.replace("Frames: 4", "Frames: 99999999"), "not a possible count"),
        (lambda text: text[:400], r"line \d+: the file ends too early"),
        (lambda text: text.replace("OFFSET", "SET", 1), "line 4: an unexpected word"),
        (lambda text: text.replace("Xposition", "Wposition", 1), "channels of Hips"),
        (lambda text: text[: text.rindex(" ")] + " nan\n", "frame 4 has a value that is no number"),
        (lambda text: text[: text.rindex(" ")] + " x\n", "frame 4 has a word that is no number"),
        (lambda _: "", "ends too early"),
        (lambda text: "PK\x03\x04" + text, "an unexpected word"),
    ],
)
def test_every_damage_of_a_bvh_has_its_message(tmp_path, change, message):
    with pytest.raises(InvalidMotion, match=message):
        read_bvh(_broken(tmp_path, change))


def test_a_bvh_that_rests_in_no_pose_is_refused(tmp_path):
    path = _write_bvh(tmp_path / "down.bvh", procedural_motion(1, 3, 8.0), _MIXAMO, arms_down_deg=-170.0)
    with pytest.raises(InvalidMotion, match="rests in no pose"):
        read_bvh(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InvalidMotion, match=r"nothing\.bvh"):
        read_bvh(tmp_path / "nothing.bvh")
    with pytest.raises(InvalidMotion, match=r"nothing\.npz"):
        read_amass(tmp_path / "nothing.npz")


def _amass_arrays(motion: Motion, width: int, rate_key: str) -> dict[str, np.ndarray]:
    body, hands = (array.astype(np.float64) for array in smpl_pose(motion))
    frames = motion.num_frames
    flat_hands = hands.reshape(frames, 90)
    poses = {
        72: body.reshape(frames, 72),
        156: np.concatenate([body[:, :22].reshape(frames, 66), flat_hands], axis=1),
        165: np.concatenate([body[:, :22].reshape(frames, 66), np.zeros((frames, 9)), flat_hands], axis=1),
    }[width]
    trans = motion.root_path * HIP_HEIGHT_M - np.array([0, 0, 0.03])
    return {"poses": poses, "trans": trans, rate_key: np.array(motion.fps), "gender": np.array("neutral")}


@pytest.mark.parametrize(
    ("width", "rate_key"), [(156, "mocap_framerate"), (165, "mocap_frame_rate"), (72, "mocap_framerate")]
)
def test_amass_round_trip(tmp_path, width, rate_key):
    motion = procedural_motion(11, 24, 24.0)
    np.savez(tmp_path / "clip.npz", **_amass_arrays(motion, width, rate_key))
    read = read_amass(tmp_path / "clip.npz")
    assert read.motion_id == "amass:clip:0"
    assert read.fps == 24.0
    count = 24 if width == 72 else 54
    np.testing.assert_allclose(read.joint_rotations[:, :count], motion.joint_rotations[:, :count], atol=1e-5)
    travelled = motion.root_path - motion.root_path[0]
    np.testing.assert_allclose(
        read.root_path - read.root_path[0], travelled, atol=0.02 * np.ptp(travelled) + 1e-3
    )
    assert np.mean(read.planted == motion.planted) > 0.7


def test_resampling_keeps_the_movement(tmp_path):
    motion = procedural_motion(2, 61, 60.0)
    half = resample(motion, 30.0)
    assert half.num_frames == 31
    np.testing.assert_allclose(half.joint_rotations, motion.joint_rotations[::2], atol=1e-9)
    np.testing.assert_allclose(half.root_path, motion.root_path[::2], atol=1e-9)
    np.testing.assert_array_equal(half.planted, motion.planted[::2])
    between = resample(procedural_motion(2, 31, 30.0), 60.0)
    error = rotation_vectors(np.swapaxes(between.joint_rotations, -1, -2) @ motion.joint_rotations)
    assert np.degrees(np.abs(error).max()) < 6
    with pytest.raises(InvalidMotion, match="frame rate"):
        resample(motion, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"poses": np.zeros((24, 150))}, r"no AMASS motion.*\(24, 150\).*\(F, 156\)"),
        ({"poses": None}, "no AMASS motion.*mocap_framerate"),
        ({"trans": np.zeros((23, 3))}, "no AMASS motion"),
        ({"mocap_framerate": None}, "no AMASS motion.*mocap_frame_rate"),
        ({"mocap_framerate": np.array(0.0)}, "frame rate"),
        ({"trans": np.full((24, 3), np.nan)}, "trans has values that are no numbers"),
        ({"trans": np.full((24, 3), 90.0)}, "does not stand on the floor"),
        ({"poses": np.zeros((0, 156)), "trans": np.zeros((0, 3))}, "no frames"),
        ({"poses": np.array([{}], dtype=object)}, "no AMASS motion"),
    ],
)
def test_every_damage_of_an_npz_has_its_message(tmp_path, changes, message):
    arrays = {**_amass_arrays(procedural_motion(11, 24, 24.0), 156, "mocap_framerate"), **changes}
    path = tmp_path / "clip.npz"
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(InvalidMotion, match=message):
        read_amass(path)


def test_a_cut_off_npz_is_refused(tmp_path):
    path = tmp_path / "clip.npz"
    np.savez(path, **_amass_arrays(procedural_motion(11, 24, 24.0), 156, "mocap_framerate"))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidMotion, match="not a readable npz"):
        read_amass(path)
    path.write_bytes(b"not a zip at all")
    with pytest.raises(InvalidMotion, match="not a readable npz"):
        read_amass(path)
