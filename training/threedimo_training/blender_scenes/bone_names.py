"""Which bone of a rig is which joint of ours, by the names that common rigs give their bones.

A joint of ours is the head (the near end) of a bone. Rigs spell the same names in many ways
("mixamorig:LeftUpLeg", "DEF-thigh.L", "J_Bip_L_UpperLeg", "Bip001 L Thigh"), and the same word means
different joints in different schemes ("LeftShoulder" is a collar bone for Mixamo and an upper arm for SMPL).
So every name is first reduced to a side and a stem, and the scheme that explains most joints is taken as a
whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from threedimo_training.motion.skeleton import FINGERS, JOINT_NAMES, SIDES

# Without these nobody can tell what the person does.
MAIN_JOINTS = tuple(
    f"{side}_{name}" for side in SIDES for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
_SIDE_WORDS = {"l": "left", "left": "left", "r": "right", "right": "right"}
_NAMESPACE = re.compile(r"^.*[:|]")
_PREFIX = re.compile(r"^(?:mixamorig\d*_?|J_Bip_(?:C_)?|(?:ValveBiped\.)?Bip\d+[ _]?|DEF-)")
_INNER_RIG = re.compile(r"^(?:ORG|MCH|VIS|WGT)-")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NUMBERS = ("1", "2", "3")


def _fingers(
    pattern: str, words: Iterable[str] = FINGERS, numbers: Iterable[str] = _NUMBERS
) -> dict[str, tuple]:
    """Stems of all finger joints from a pattern; `words` are in the order of `FINGERS`."""
    return {
        f"{finger}{number}": (pattern.format(word, written),)
        for finger, word in zip(FINGERS, words, strict=True)
        for number, written in zip(_NUMBERS, numbers, strict=True)
    }


# The order of stems: hip, knee, ankle, foot, collar, shoulder, elbow, wrist.
_LIMBS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")


def _limbs(*stems: str) -> dict[str, tuple]:
    return {joint: tuple(stem.split("|")) for joint, stem in zip(_LIMBS, stems, strict=True)}


def _trunk(*stems: str) -> dict[str, tuple]:
    """Stems of pelvis, spine1, spine2, spine3, neck, head; "|" separates spellings, the best first."""
    names = ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
    return {joint: tuple(stem.split("|")) for joint, stem in zip(names, stems, strict=True)}


_UNITY_FINGERS = {
    f"{finger}{number}": (f"{word}{part}", f"{word}{number}")
    for finger, word in zip(FINGERS, ("index", "middle", "little", "ring", "thumb"), strict=True)
    for number, part in zip(_NUMBERS, ("proximal", "intermediate", "distal"), strict=True)
}
_BIPED_FINGERS = {
    f"{finger}{number}": (f"finger{digit}{end}",)
    for finger, digit in zip(FINGERS, "12430", strict=True)
    for number, end in zip(_NUMBERS, ("", "1", "2"), strict=True)
}
_MIXAMO_LIMBS = _limbs("upleg", "leg", "foot", "toebase", "shoulder", "arm", "forearm", "hand")
SCHEMES: dict[str, tuple[dict[str, tuple], dict[str, tuple]]] = {
    "Mixamo": (
        _trunk("hips", "spine", "spine1", "spine2", "neck", "head"),
        _MIXAMO_LIMBS | _fingers("hand{}{}"),
    ),
    "CMU": (
        _trunk("hips", "lowerback", "spine", "spine1", "neck", "head"),
        _MIXAMO_LIMBS | _fingers("hand{}{}"),
    ),
    "Rigify": (
        _trunk("spine", "spine001", "spine002", "spine003", "spine004", "spine006|spine005"),
        _limbs("thigh", "shin", "foot", "toe", "shoulder", "upperarm", "forearm", "hand")
        | _fingers("f{}0{}")
        | {f"thumb{number}": (f"thumb0{number}",) for number in _NUMBERS},
    ),
    "Unreal": (
        _trunk("pelvis", "spine01", "spine02", "spine03", "neck01", "head"),
        _limbs("thigh", "calf", "foot", "ball", "clavicle", "upperarm", "lowerarm", "hand")
        | _fingers("{}0{}"),
    ),
    "Unity, VRM": (
        _trunk("hips", "spine", "chest", "upperchest", "neck", "head"),
        _limbs("upperleg", "lowerleg", "foot", "toes|toebase|toe", "shoulder", "upperarm", "lowerarm", "hand")
        | _UNITY_FINGERS,
    ),
    "MakeHuman": (
        _trunk("root", "spine05", "spine03", "spine02", "neck01", "head"),
        _limbs("upperleg01", "lowerleg01", "foot", "toe11", "clavicle", "upperarm01", "lowerarm01", "wrist")
        | _fingers("finger{}{}", "23541"),
    ),
    "Biped": (
        _trunk("pelvis", "spine", "spine1", "spine2", "neck|neck1", "head"),
        _limbs("thigh", "calf", "foot", "toe0|toe", "clavicle", "upperarm", "forearm", "hand")
        | _BIPED_FINGERS,
    ),
    "SMPL": (
        _trunk("pelvis", "spine1", "spine2", "spine3", "neck", "head"),
        _limbs(*_LIMBS) | {"hand": ("hand",)} | _fingers("{}{}"),
    ),
}


@dataclass(frozen=True)
class BoneMap:
    """What was understood of a rig.

    Attributes:
        scheme: The naming scheme that explains most, a key of `SCHEMES`.
        bones: Joint name to bone name, in the order of `JOINT_NAMES`. SMPL's "hand" joint, which few rigs
            have, lies at the middle finger's knuckle.
        unmapped: Joints without a bone.
    """

    scheme: str
    bones: dict[str, str]
    unmapped: tuple[str, ...]

    @property
    def missing_main(self) -> tuple[str, ...]:
        """Which of `MAIN_JOINTS` are unmapped."""
        return tuple(joint for joint in MAIN_JOINTS if joint in self.unmapped)


def map_bones(bones: Iterable[tuple[str, bool]]) -> BoneMap:
    """Find our joints among a rig's bones.

    Args:
        bones: Names, each with whether the bone deforms the mesh. Where names coincide, deforming bones win.

    Returns:
        The map by the scheme that explains most main joints, and then most joints.
    """
    stems = _stems(bones)
    maps = [_mapped(scheme, *SCHEMES[scheme], stems) for scheme in SCHEMES]
    return max(maps, key=lambda found: (-len(found.missing_main), len(found.bones)))


def split_name(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and stem of a bone's name: "mixamorig:LeftUpLeg" is "left", "upleg"."""
    words = [word.lower() for word in _WORD.findall(_PREFIX.sub("", _NAMESPACE.sub("", name)))]
    sides = [word for word in words if word in _SIDE_WORDS]
    if len(sides) == 1:
        words.remove(sides[0])
        return _SIDE_WORDS[sides[0]], "".join(words)
    stem = "".join(words)
    for side in SIDES:
        if stem.startswith(side):
            return side, stem.removeprefix(side)
    return "", stem


def _stems(bones: Iterable[tuple[str, bool]]) -> dict[tuple[str, str], str]:
    listed = sorted(bones, key=lambda bone: not bone[1])
    deforming = [bone for bone in listed if bone[0].startswith("DEF-")]
    # A generated Rigify rig has controls that are called like joints: its deforming bones are the body.
    chosen = deforming or [bone for bone in listed if not _INNER_RIG.match(bone[0])]
    found: dict[tuple[str, str], str] = {}
    for name, _ in chosen:
        found.setdefault(split_name(name), name)
    return found


def _mapped(scheme: str, trunk: dict, limbs: dict, stems: dict[tuple[str, str], str]) -> BoneMap:
    wanted = {joint: [("", stem) for stem in spellings] for joint, spellings in trunk.items()}
    for side in SIDES:
        wanted |= {f"{side}_{joint}": [(side, stem) for stem in limbs[joint]] for joint in limbs}
        wanted[f"{side}_hand"] = wanted.get(f"{side}_hand", []) + wanted[f"{side}_middle1"]
    found = {}
    for joint in JOINT_NAMES:
        names = [stems[key] for key in wanted.get(joint, []) if key in stems]
        if names:
            found[joint] = names[0]
    return BoneMap(scheme, found, tuple(joint for joint in JOINT_NAMES if joint not in found))
