"""Names of bones: the common skeletons are understood, strangers are told."""

from __future__ import annotations

import pytest

from threedimo_training.motion.bvh_names import REQUIRED, joints_of_bones

_CMU = (
    "Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase RHipJoint RightUpLeg RightLeg RightFoot "
    "RightToeBase LowerBack Spine Spine1 Neck Neck1 Head LeftShoulder LeftArm LeftForeArm LeftHand "
    "LeftFingerBase LeftHandIndex1 LThumb RightShoulder RightArm RightForeArm RightHand RightFingerBase "
    "RightHandIndex1 RThumb"
)
_MIXAMO = (
    "mixamorig:Hips mixamorig:Spine mixamorig:Spine1 mixamorig:Spine2 mixamorig:Neck mixamorig:Head "
    "mixamorig:HeadTop_End mixamorig:LeftShoulder mixamorig:LeftArm mixamorig:LeftForeArm "
    "mixamorig:LeftHand mixamorig:LeftHandThumb1 mixamorig:LeftHandThumb4 mixamorig:LeftHandPinky3 "
    "mixamorig:RightShoulder mixamorig:RightArm mixamorig:RightForeArm mixamorig:RightHand "
    "mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:LeftFoot mixamorig:LeftToeBase mixamorig:LeftToe_End "
    "mixamorig:RightUpLeg mixamorig:RightLeg mixamorig:RightFoot"
)
_LAFAN = (
    "Hips LeftUpLeg LeftLeg LeftFoot LeftToe RightUpLeg RightLeg RightFoot RightToe Spine Spine1 Spine2 "
    "Neck Head LeftShoulder LeftArm LeftForeArm LeftHand RightShoulder RightArm RightForeArm RightHand"
)
_SIMPLE = (
    "Hip Chest Neck Head LeftCollar LeftShoulder LeftElbow LeftWrist RightCollar RightShoulder RightElbow "
    "RightWrist LeftHip LeftKnee LeftAnkle LeftToe RightHip RightKnee RightAnkle RightToe"
)
_SUFFIXED = (
    "root pelvis spine_01 spine_02 spine_03 neck head clavicle_l upperarm_l lowerarm_l hand_l index_01_l "
    "clavicle_r upperarm_r lowerarm_r hand_r thigh_l calf_l foot_l ball_l thigh_r calf_r foot_r "
    "upperarm_twist_01_l"
)


@pytest.mark.parametrize("names", [_CMU, _MIXAMO, _LAFAN, _SIMPLE, _SUFFIXED])
def test_common_skeletons_are_understood(names):
    bones = names.split()
    joints, spine, unknown = joints_of_bones(bones)
    assert not unknown
    assert set(REQUIRED) <= set(joints)
    assert spine
    sides = {
        bones[number].lower().replace("mixamorig:", "") for joint, number in joints.items() if "left" in joint
    }
    assert all(name.startswith("l") or name.endswith("_l") for name in sides)


def test_shoulder_is_a_collar_only_beside_an_arm():
    cmu, simple = _CMU.split(), _SIMPLE.split()
    joints = joints_of_bones(cmu)[0]
    assert cmu[joints["left_collar"]] == "LeftShoulder"
    assert cmu[joints["left_shoulder"]] == "LeftArm"
    joints = joints_of_bones(simple)[0]
    assert simple[joints["left_collar"]] == "LeftCollar"
    assert simple[joints["left_shoulder"]] == "LeftShoulder"
    assert simple[joints["left_hip"]] == "LeftHip"


def test_strangers_are_told():
    assert joints_of_bones(["Hips", "Tail1", "LeftWing", "Rudder"])[2] == ["Tail1", "LeftWing", "Rudder"]
