"""Part of `bake_bodies`: which joint moves which bone, and the turn of every bone into the T-pose."""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import FINGERS, JOINT, JOINT_NAMES, MIRROR

MIRRORED_JOINT = np.array(
    [
        JOINT[
            name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")
        ]
        for name in JOINT_NAMES
    ]
)
# The source rig numbers its fingers from the thumb.
_FINGER_NUMBERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
# A flat hand: how far each finger turns away from the hand's axis, towards the thumb, degrees.
_SPREAD_DEG = {"index": 7.0, "middle": 0.0, "ring": -6.0, "pinky": -13.0}
_THUMB_DIRECTION = np.array([0.74, -0.62, -0.26])
# The collar bones take this share of the way from hanging to stretched arms, as in a living shoulder.
_COLLAR_SHARE = 0.22
_SPINE = {
    "pelvis": ("root", "spine05", "pelvis.L", "pelvis.R"),
    "spine1": ("spine04",),
    "spine2": ("spine03",),
    "spine3": ("spine02", "spine01", "breast.L", "breast.R"),
    "neck": ("neck01", "neck02", "neck03"),
    "head": ("head",),
}
_LIMBS = {
    "hip": ("upperleg01", "upperleg02"),
    "knee": ("lowerleg01", "lowerleg02"),
    "ankle": ("foot",),
    "foot": tuple(f"toe{toe}-{part}" for toe in range(1, 6) for part in range(1, 4)),
    "collar": ("clavicle", "shoulder01"),
    "shoulder": ("upperarm01", "upperarm02"),
    "elbow": ("lowerarm01", "lowerarm02"),
    "wrist": ("wrist", "metacarpal1", "metacarpal2", "metacarpal3", "metacarpal4"),
} | {f"{name}{part}": (f"finger{_FINGER_NUMBERS[name]}-{part}",) for name in FINGERS for part in (1, 2, 3)}


def bone_joints(labels: list[str], parents: list[int]) -> np.ndarray:
    """The joint of every bone; bones that are not named (of the face) follow their parent."""
    joints: dict[str, str] = {bone: joint for joint, bones in _SPINE.items() for bone in bones}
    for side, end in (("left", "L"), ("right", "R")):
        joints |= {f"{bone}.{end}": f"{side}_{joint}" for joint, bones in _LIMBS.items() for bone in bones}
    found = []
    for label, parent in zip(labels, parents, strict=True):
        found.append(JOINT[joints[label]] if label in joints else found[parent])
    return np.array(found)


def joint_positions(heads: dict[str, np.ndarray], symmetric: bool = True) -> np.ndarray:
    """(54, 3) positions of our joints from those of the bones, made exactly symmetric if asked (at rest)."""
    first = {joint: bones[0] for joint, bones in _SPINE.items()} | {"pelvis": "spine05"}
    positions = np.zeros((len(JOINT_NAMES), 3))
    for joint, bone in first.items():
        positions[JOINT[joint]] = heads[bone]
    for joint, bones in _LIMBS.items():
        for side, end in (("left", "L"), ("right", "R")):
            sources = (
                [f"toe{toe}-1.{end}" for toe in range(1, 6)] if joint == "foot" else [f"{bones[0]}.{end}"]
            )
            positions[JOINT[f"{side}_{joint}"]] = np.mean([heads[name] for name in sources], axis=0)
    for side in ("left", "right"):
        knuckles = [positions[JOINT[f"{side}_{name}1"]] for name in ("index", "middle", "ring", "pinky")]
        positions[JOINT[f"{side}_hand"]] = np.mean(knuckles, axis=0)
    return 0.5 * (positions + positions[MIRRORED_JOINT] @ MIRROR) if symmetric else positions


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = _unit(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation that turns one direction into another."""
    start, end = _unit(start), _unit(end)
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis)
    return np.eye(3) if sine < 1e-9 else _about(axis, float(np.arctan2(sine, start @ end)))


def _left_arm(heads: dict[str, np.ndarray], tails: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    side = np.array([1.0, 0.0, 0.0])
    shoulder, elbow, wrist = (heads[f"{name}.L"] for name in ("upperarm01", "lowerarm01", "wrist"))
    upper = elbow - shoulder
    raise_by = _COLLAR_SHARE * np.arctan2(-upper[2], upper[0])
    turns = dict.fromkeys(("clavicle", "shoulder01"), _about(np.array([0.0, -1.0, 0.0]), raise_by))
    turn = _swing(upper, side)
    # the elbow bends forward: its slight bend at rest says where that is
    bend = turn @ (wrist - elbow)
    turn = _about(side, np.arctan2(bend[2], -bend[1])) @ turn
    turns |= dict.fromkeys(("upperarm01", "upperarm02"), turn)
    fore = _swing(turn @ (wrist - elbow), side) @ turn
    middle = _unit(heads["finger3-1.L"] - wrist)
    back = _unit(np.cross(heads["finger2-1.L"] - wrist, heads["finger5-1.L"] - wrist))
    across = _unit(np.cross(back, middle))
    back = np.cross(middle, across)
    # columns: along the hand, across it, out of its back
    hand = np.array([side, np.cross([0, 0, 1.0], side), [0, 0, 1.0]]).T @ np.array([middle, across, back])
    twist = hand @ fore.T
    # about the bone itself, which leaves the wrist where it is
    bone = fore @ (wrist - heads["lowerarm02.L"])
    half = _about(bone, 0.5 * np.arctan2(twist[2, 1] - twist[1, 2], twist[1, 1] + twist[2, 2]))
    turns |= {"lowerarm01": fore, "lowerarm02": half @ fore}
    turns |= dict.fromkeys(_LIMBS["wrist"], hand)
    return turns | _left_fingers(heads, tails, hand)


def _left_fingers(
    heads: dict[str, np.ndarray], tails: dict[str, np.ndarray], hand: np.ndarray
) -> dict[str, np.ndarray]:
    turns = {}
    for name, number in _FINGER_NUMBERS.items():
        goal = _THUMB_DIRECTION
        if name != "thumb":
            angle = np.radians(_SPREAD_DEG[name])
            goal = np.array([np.cos(angle), -np.sin(angle), 0.0])
        turn = hand
        ends = [heads[f"finger{number}-{part}.L"] for part in (1, 2, 3)] + [tails[f"finger{number}-3.L"]]
        for part in range(3):
            turn = _swing(turn @ (ends[part + 1] - ends[part]), goal) @ turn
            turns[f"finger{number}-{part + 1}"] = turn
    return turns


def _left_leg(heads: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    down = np.array([0.0, 0.0, -1.0])
    hip, knee, ankle = (heads[f"{name}.L"] for name in ("upperleg01", "lowerleg01", "foot"))
    toes = np.mean([heads[f"toe{toe}-1.L"] for toe in range(1, 6)], axis=0) - ankle
    # a foot that points outwards does so from the hip: half of it is taken back there
    yaw = -np.arctan2(toes[0], -toes[1])
    thigh = _about(down, -0.5 * yaw) @ _swing(knee - hip, down)
    shin = _swing(thigh @ (ankle - knee), down) @ thigh
    turns = dict.fromkeys(("upperleg01", "upperleg02"), thigh) | dict.fromkeys(
        ("lowerleg01", "lowerleg02"), shin
    )
    return turns | dict.fromkeys((*_LIMBS["ankle"], *_LIMBS["foot"]), _about(down, -yaw))


def t_pose_turns(
    labels: list[str], parents: list[int], heads: dict[str, np.ndarray], tails: dict[str, np.ndarray]
) -> np.ndarray:
    """(bones, 3, 3) world rotations from the source's rest pose into arms stretched sideways, palms down."""
    left = _left_arm(heads, tails) | _left_leg(heads)
    turns = []
    for label, parent in zip(labels, parents, strict=True):
        name, _, side = label.partition(".")
        if name in left:
            turns.append(left[name] if side == "L" else MIRROR @ left[name] @ MIRROR)
        else:
            turns.append(turns[parent] if parent >= 0 else np.eye(3))
    return np.array(turns)


def moved_bones(parents: list[int], heads: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(bones, 3) positions of the bones' heads after every bone has turned in the world."""
    moved = heads.copy()
    for bone, parent in enumerate(parents):
        if parent >= 0:
            moved[bone] = moved[parent] + turns[parent] @ (heads[bone] - heads[parent])
    return moved
