"""Which bone of a BVH file is which joint: the names of MotionBuilder, CMU, Mixamo, LAFAN and simple rigs.

Names are compared without case, name space ("mixamorig:"), spaces, underscores, dots and dashes.
"""

from __future__ import annotations

import re

from threedimo_training.motion.skeleton import FINGERS

# Middle bones; those of the spine are put in order along the chain.
_MIDDLE = {"hips": "pelvis", "hip": "pelvis", "pelvis": "pelvis", "neck": "neck", "head": "head"}
_SPINE = re.compile(r"(lowerback|upperback|spine|chest|upperchest|torso|abdomen|thorax)(\d*)")
# Bones of one side, after "left", "l" and the like; "shoulder" depends on whether there is an "arm".
_SIDED = {
    "upleg": "hip", "thigh": "hip", "upperleg": "hip", "hip": "hip", "uplegs": "hip",
    "leg": "knee", "lowleg": "knee", "lowerleg": "knee", "shin": "knee", "calf": "knee", "knee": "knee",
    "foot": "ankle", "ankle": "ankle", "toe": "foot", "toebase": "foot", "toes": "foot", "ball": "foot",
    "collar": "collar", "clavicle": "collar", "arm": "shoulder", "uparm": "shoulder", "upperarm": "shoulder",
    "shldr": "shoulder", "forearm": "elbow", "lowarm": "elbow", "lowerarm": "elbow", "elbow": "elbow",
    "hand": "wrist", "wrist": "wrist",
}  # fmt: skip
_FINGER = re.compile(rf"(?:hand|finger)?({'|'.join((*FINGERS, 'little'))})(?:finger)?0?([1-3])")
# Bones that turn with others or move nothing that we have: ends, face, helpers, roots above the hips.
_HELPER = re.compile(
    r"root|reference|armature|.*(end|nub|site|effector|eye|eyes|jaw|tongue|brow|twist\d*|roll\d*|hipjoint|fingerbase|"
    r"thumb|(index|middle|ring|pinky|little|thumb)(finger)?4|topend|props?|weapon|ik)|neck\d+|head\d+|spineend"
)
ALLOWED = (
    "Hips, LowerBack, Spine..., Chest..., Neck..., Head; Left/Right (or L/R) with UpLeg/Thigh/Hip, "
    "Leg/Shin/Knee, Foot/Ankle, Toe..., Shoulder/Collar, Arm/UpArm/Shoulder, ForeArm/Elbow, Hand/Wrist, "
    "HandIndex1...HandPinky3; ends and twist bones"
)
REQUIRED = (
    "pelvis",
    "neck",
    *(
        f"{side}_{name}"
        for side in ("left", "right")
        for name in ("hip", "knee", "ankle", "shoulder", "elbow")
    ),
)


def joints_of_bones(names: list[str]) -> tuple[dict[str, int], list[int], list[str]]:
    """Finds the joints among the bones.

    Args:
        names: The file's names in its order.

    Returns:
        Bone numbers by joint name ("pelvis", "left_hip", ...), the numbers of the spine's bones from below to
        above, and the names that nobody knows.
    """
    split = [_side_and_base(name) for name in names]
    upper_arms = {side for side, base in split if _SIDED.get(base) == "shoulder"}
    joints: dict[str, int] = {}
    spine, unknown = [], []
    for number, (side, base) in enumerate(split):
        joint = _joint(side, base, side in upper_arms)
        if joint == "spine":
            spine.append(number)
        elif joint:
            joints.setdefault(joint, number)
        elif joint is None:
            unknown.append(names[number])
    return joints, spine, unknown


def _joint(side: str, base: str, has_upper_arm: bool) -> str | None:
    """The joint's name, "spine", "" for a helper, or None for a bone that nobody knows."""
    if not side:
        if base in _MIDDLE:
            return _MIDDLE[base]
        if _SPINE.fullmatch(base):
            return "spine"
        return "" if _HELPER.fullmatch(base) else None
    if base == "shoulder":
        return f"{side}_collar" if has_upper_arm else f"{side}_shoulder"
    if base in _SIDED:
        return f"{side}_{_SIDED[base]}"
    finger = _FINGER.fullmatch(base)
    if finger:
        name = "pinky" if finger[1] == "little" else finger[1]
        return f"{side}_{name}{finger[2]}"
    return "" if _HELPER.fullmatch(base) else None


def _side_and_base(name: str) -> tuple[str, str]:
    """The side ("left", "right" or "") and what remains of a name."""
    bare = re.sub(r"^(mixamorig\d*|bip01|bip001)[_ ]?", "", name.rpartition(":")[2], flags=re.IGNORECASE)
    for pattern in (r"(?P<side>left|right)(?P<base>.+)", r"(?P<base>.+?)[_ .-]?(?P<side>left|right)"):
        match = re.fullmatch(pattern, bare, flags=re.IGNORECASE)
        if match:
            return match["side"].lower(), _plain(match["base"])
    # one letter counts only where it stands apart: L_Hip, LHipJoint, Thigh_L, but not "Lowerback"
    for pattern in (
        r"(?P<side>[LlRr])[_ .-](?P<base>.+)",
        r"(?P<base>.+)[_ .-](?P<side>[LlRr])",
        r"(?P<side>[LRlr])(?P<base>[A-Z].*)",
    ):
        match = re.fullmatch(pattern, bare)
        if match:
            return {"l": "left", "r": "right"}[match["side"].lower()], _plain(match["base"])
    return "", _plain(bare)


def _plain(name: str) -> str:
    return re.sub(r"[\s_.\-]", "", name).lower()
