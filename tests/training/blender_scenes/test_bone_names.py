"""Bones of common rigs are understood, by the scheme that explains most of them."""

from __future__ import annotations

import pytest

from threedimo_training.blender_scenes.bone_names import MAIN_JOINTS, SCHEMES, map_bones, split_name
from threedimo_training.motion.skeleton import JOINT_NAMES

# Thirty bones or so of each kind of rig, as its files spell them.
RIGS = {
    "Mixamo": """mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck
        mixamorig:Head mixamorig:HeadTop_End
        mixamorig:{Left,Right}{Shoulder,Arm,ForeArm,Hand,UpLeg,Leg,Foot,ToeBase,Toe_End}
        mixamorig:{Left,Right}Hand{Thumb,Index,Middle,Ring,Pinky}{1,2,3,4}""",
    "CMU": """Hips {L,R}HipJoint {Left,Right}{UpLeg,Leg,Foot,ToeBase,Shoulder,Arm,ForeArm,Hand,FingerBase}
        LowerBack Spine Spine1 Neck Neck1 Head {L,R}Thumb {Left,Right}HandIndex1""",
    "Rigify": """root torso ORG-spine MCH-spine DEF-spine DEF-spine.001 DEF-spine.002 DEF-spine.003
        DEF-spine.004 DEF-spine.005 DEF-spine.006
        {upper_arm_fk,thigh_ik,hand_ik,foot_ik,shoulder,toe,f_index.01}.{L,R}
        DEF-{shoulder,upper_arm,forearm,hand,thigh,shin,foot,toe}.{L,R}
        DEF-{upper_arm,forearm,thigh,shin}.{L,R}.001
        DEF-{f_index,f_middle,f_ring,f_pinky,thumb}.{01,02,03}.{L,R}""",
    "Unreal": """root pelvis spine_01 spine_02 spine_03 neck_01 head ik_foot_root
        {clavicle,upperarm,upperarm_twist_01,lowerarm,lowerarm_twist_01,hand}_{l,r}
        {thigh,thigh_twist_01,calf,foot,ball}_{l,r}
        {thumb,index,middle,ring,pinky}_{01,02,03}_{l,r}""",
    "Unity, VRM": """Root J_Bip_C_Hips J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest J_Bip_C_Neck
        J_Bip_C_Head J_Sec_Hair1_01
        J_Bip_{L,R}_{Shoulder,UpperArm,LowerArm,Hand,UpperLeg,LowerLeg,Foot,ToeBase}
        J_Bip_{L,R}_{Thumb,Index,Middle,Ring,Little}{1,2,3}""",
    "MakeHuman": """root spine05 spine04 spine03 spine02 spine01 neck01 neck02 neck03 head jaw
        pelvis.L pelvis.R
        {upperleg01,upperleg02,lowerleg01,lowerleg02,foot,toe1-1,toe2-1,clavicle,shoulder01}.{L,R}
        {upperarm01,upperarm02,lowerarm01,lowerarm02,wrist,metacarpal1}.{L,R}
        {finger1,finger2,finger3,finger4,finger5}-{1,2,3}.{L,R}""",
    "Biped": """Bip001 Bip001_Pelvis Bip001_Spine Bip001_Spine1 Bip001_Spine2 Bip001_Neck Bip001_Head
        Bip001_{L,R}_{Clavicle,UpperArm,Forearm,Hand,Thigh,Calf,Foot,Toe0}
        Bip001_{L,R}_Finger{0,01,02,1,11,12,2,21,22,3,31,32,4,41,42}""",
    "SMPL": """root pelvis spine1 spine2 spine3 neck head jaw
        {left,right}_{hip,knee,ankle,foot,collar,shoulder,elbow,wrist}
        {left,right}_{index,middle,pinky,ring,thumb}{1,2,3}""",
}


def spelled_out(text: str) -> list[str]:
    """All names of a text in which {a,b} stands for either."""
    names = []
    for word in text.split():
        opened = [word]
        while any("{" in part for part in opened):
            opened = [
                part[: part.index("{")] + choice + part[part.index("}") + 1 :]
                for part in opened
                for choice in part[part.index("{") + 1 : part.index("}")].split(",")
            ]
        names += opened
    return names


def test_every_scheme_has_a_rig_here():
    assert RIGS.keys() == SCHEMES.keys()


@pytest.mark.parametrize("scheme", RIGS)
def test_rigs_are_understood(scheme):
    found = map_bones((name, True) for name in spelled_out(RIGS[scheme]))
    assert found.scheme == scheme
    assert not found.missing_main
    assert {"pelvis", "spine1", "spine2", "spine3", "neck", "head"} <= found.bones.keys()
    assert len(set(found.bones.values())) >= len(found.bones) - 2  # the two "hands" share the middle knuckles
    if scheme != "CMU":
        assert found.unmapped == ()


@pytest.mark.parametrize(
    ("scheme", "joint", "bone"),
    [
        ("Mixamo", "left_shoulder", "mixamorig:LeftArm"),
        ("Mixamo", "left_collar", "mixamorig:LeftShoulder"),
        ("Mixamo", "right_knee", "mixamorig:RightLeg"),
        ("Mixamo", "left_hand", "mixamorig:LeftHandMiddle1"),
        ("CMU", "spine1", "LowerBack"),
        ("CMU", "spine2", "Spine"),
        ("Rigify", "left_collar", "DEF-shoulder.L"),
        ("Rigify", "pelvis", "DEF-spine"),
        ("Rigify", "right_thumb2", "DEF-thumb.02.R"),
        ("Unreal", "left_foot", "ball_l"),
        ("Unity, VRM", "left_pinky3", "J_Bip_L_Little3"),
        ("Unity, VRM", "left_hip", "J_Bip_L_UpperLeg"),
        ("MakeHuman", "left_index1", "finger2-1.L"),
        ("MakeHuman", "right_foot", "toe1-1.R"),
        ("Biped", "right_thumb1", "Bip001_R_Finger0"),
        ("Biped", "right_thumb2", "Bip001_R_Finger01"),
        ("Biped", "right_index2", "Bip001_R_Finger11"),
        ("SMPL", "left_shoulder", "left_shoulder"),
    ],
)
def test_single_bones(scheme, joint, bone):
    assert map_bones((name, True) for name in spelled_out(RIGS[scheme])).bones[joint] == bone


def test_a_humanoid_of_unity():
    names = """Hips Spine Chest UpperChest Neck Head
        {Left,Right}{Shoulder,UpperArm,LowerArm,Hand,UpperLeg,LowerLeg,Foot,Toes}
        {Left,Right}{Thumb,Index,Middle,Ring,Little}{Proximal,Intermediate,Distal}"""
    found = map_bones((name, True) for name in spelled_out(names))
    assert found.unmapped == ()
    assert found.bones["left_pinky2"] == "LeftLittleIntermediate"


def test_a_rigify_metarig_has_no_deforming_copies():
    names = """spine spine.001 spine.002 spine.003 spine.004 spine.005 spine.006 pelvis.L pelvis.R
        {shoulder,upper_arm,forearm,hand,thigh,shin,foot,toe,heel.02}.{L,R}
        {f_index,thumb}.{01,02,03}.{L,R}"""
    found = map_bones((name, True) for name in spelled_out(names))
    assert found.scheme == "Rigify"
    assert not found.missing_main
    assert "left_ring1" in found.unmapped


def test_deforming_bones_win():
    assert map_bones([("hips", False), ("Hips", True)]).bones["pelvis"] == "Hips"
    assert map_bones([("Hips", True), ("hips", False)]).bones["pelvis"] == "Hips"


def test_a_dog_is_no_person():
    found = map_bones(
        [("spine", True), ("tail.001", True), ("paw.L", True), ("thigh.L", True), ("thigh.R", True)]
    )
    assert set(found.missing_main) == set(MAIN_JOINTS) - {"left_hip", "right_hip"}
    assert set(found.bones) | set(found.unmapped) == set(JOINT_NAMES)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("Armature|LeftUpLeg", ("left", "upleg")),
        ("mixamorig7:RightHand", ("right", "hand")),
        ("upper_arm.L.001", ("left", "upperarm001")),
        ("LHipJoint", ("left", "hipjoint")),
        ("leftforearm", ("left", "forearm")),
        ("Spine", ("", "spine")),
    ],
)
def test_names_are_split(name, split):
    assert split_name(name) == split
