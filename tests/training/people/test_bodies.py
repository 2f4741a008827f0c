"""The baked bodies: what the file promises."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import trimesh

from threedimo_training.motion.held_out import is_held_out
from threedimo_training.motion.skeleton import HAND_JOINTS, JOINT, JOINT_NAMES, MIRROR, NUM_JOINTS
from threedimo_training.people.baked import NUM_BODIES, body_of, is_held_out_person, load_bodies
from threedimo_training.people.regions import REGION, REGIONS

_TWIN = [
    JOINT[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
    for name in JOINT_NAMES
]


def _dense(body) -> np.ndarray:
    dense = np.zeros((len(body.points), NUM_JOINTS))
    np.put_along_axis(dense, body.bones, body.weights, axis=1)
    return dense


def test_the_file_is_small_and_holds_what_the_package_says():
    file = resources.files("threedimo_training.people").joinpath("bodies.npz")
    assert len(file.read_bytes()) < 4_000_000
    assert len(load_bodies().points) == NUM_BODIES >= 30
    assert 8000 <= len(load_bodies().body(0).faces) <= 10000


def test_the_axis_map_was_measured_and_is_exact_to_a_centimetre():
    measured = load_bodies().measured
    assert measured["joints_max_mm"] < 10
    assert measured["surface_mean_mm"] < 2
    assert measured["stored_mm"] < 0.05


def test_every_body_is_finite_stands_on_the_floor_and_has_a_human_height():
    bodies = load_bodies()
    assert np.isfinite(bodies.points).all()
    assert np.isfinite(bodies.rest_joints).all()
    assert np.abs(bodies.points[..., 2].min(axis=1)).max() < 1e-3
    heights = bodies.points[..., 2].max(axis=1)
    assert heights.min() > 0.9
    assert heights.max() < 2.1
    assert np.ptp(heights) > 0.5
    assert (bodies.ages < 0.52).sum() >= 5
    assert (bodies.ages > 0.82).sum() >= 5


def test_no_two_bodies_have_the_same_shape():
    points = load_bodies().points
    scaled = points / points[..., 2].max(axis=1)[:, None, None]
    for index in range(1, NUM_BODIES):
        assert np.linalg.norm(scaled[:index] - scaled[index], axis=-1).mean(axis=1).min() > 0.003


@pytest.mark.parametrize("index", range(0, NUM_BODIES, 7))
def test_the_rest_pose_is_a_t(index: int):
    joints = load_bodies().rest_joints[index]
    for sign, side in ((1, "left"), (-1, "right")):
        arm = joints[[JOINT[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist")]]
        assert np.ptp(arm[:, 1:], axis=0).max() < 1e-4
        assert (np.diff(sign * arm[:, 0]) > 0.1).all()
        leg = joints[[JOINT[f"{side}_{name}"] for name in ("hip", "knee", "ankle")]]
        assert np.ptp(leg[:, :2], axis=0).max() < 1e-5
        assert (np.diff(leg[:, 2]) < -0.1).all()
        for finger in ("index", "middle", "ring", "pinky"):
            bones = np.diff(joints[[JOINT[f"{side}_{finger}{part}"] for part in (1, 2, 3)]], axis=0)
            bones /= np.linalg.norm(bones, axis=1, keepdims=True)
            assert bones[0] @ bones[1] > 0.9999
            assert sign * bones[0, 0] > 0.95
            assert abs(bones[0, 2]) < 1e-3
        assert joints[JOINT[f"{side}_foot"], 1] < joints[JOINT[f"{side}_ankle"], 1] - 0.05
        assert joints[JOINT[f"{side}_thumb3"], 1] < joints[JOINT[f"{side}_wrist"], 1] - 0.03
    assert np.abs(joints - joints[_TWIN] @ MIRROR).max() < 1e-6
    assert np.allclose(joints[0, :2], 0)


def test_surface_and_weights_are_symmetric():
    body = load_bodies().body(3)
    order = np.lexsort(np.round(body.points, 4).T)
    image = body.points @ MIRROR
    twin_order = np.lexsort(np.round(image, 4).T)
    assert np.allclose(body.points[order], image[twin_order], atol=1e-3)
    twins = np.empty(len(order), int)
    twins[order] = twin_order
    assert np.abs(_dense(body) - _dense(body)[twins][:, _TWIN]).max() < 1e-4


def test_weights_are_shares_and_every_joint_that_has_skin_moves_some():
    body = load_bodies().body(0)
    assert np.abs(body.weights.sum(axis=1) - 1).max() < 1e-5
    assert body.weights.min() >= 0
    moved = _dense(body).sum(axis=0)
    without_skin = {"left_hand", "right_hand"}
    assert {JOINT_NAMES[joint] for joint in np.flatnonzero(moved < 1)} == without_skin


@pytest.mark.parametrize("index", [0, 1, 12, 39])
def test_joints_lie_inside_the_mesh(index: int):
    body = load_bodies().body(index)
    mesh = trimesh.Trimesh(body.points, body.point_faces, process=False)
    corners = mesh.triangles[None] - body.rest_joints[:, None, None]
    lengths = np.linalg.norm(corners, axis=-1)
    a, b, c = np.moveaxis(corners, 2, 0)
    la, lb, lc = np.moveaxis(lengths, 2, 0)
    # the solid angle of a closed surface is 4 pi inside and 0 outside (Van Oosterom and Strackee 1983)
    spat = (a * np.cross(b, c)).sum(-1)
    beside = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    winding = 2 * np.arctan2(spat, beside).sum(axis=1) / (4 * np.pi)
    outside = {JOINT_NAMES[joint] for joint in np.flatnonzero(winding < 0.5)}
    assert not outside


def test_regions_divide_the_body():
    body = load_bodies().body(0)
    regions = body.vertex_regions()
    assert set(body.regions) == set(range(len(REGIONS)))
    # a vertex serves one region only
    assert (regions[body.faces] == body.regions[:, None]).all()
    assert body.along.min() >= 0
    assert body.along.max() <= 1
    places = body.points[body.vertex_points]
    for name in ("arm", "hand", "leg", "foot"):
        assert (places[regions == REGION[f"left_{name}"], 0] > 0).all()
        assert (places[regions == REGION[f"right_{name}"], 0] < 0).all()
    assert (body.regions == REGION["left_hand"]).sum() > 800
    face = regions == REGION["head"]
    nose = places[face, 1].argmin()
    assert body.along[face][nose] == 0
    assert body.along[face][places[face, 2].argmax()] > 0.8


def test_fingers_are_five_separate_tubes():
    """Cut across the fingers: five outlines, not one."""
    body = load_bodies().body(0)
    mesh = trimesh.Trimesh(body.points, body.point_faces, process=False)
    at = body.rest_joints[JOINT["left_middle2"]] - [0.004, 0, 0]
    assert len(mesh.section([1, 0, 0], at).discrete) == 4
    thumb = body.rest_joints[JOINT["left_thumb3"]]
    bones = body.bones[:, 0]
    hand = body.points[(bones >= HAND_JOINTS[0].start) & (bones < HAND_JOINTS[0].stop)]
    assert np.linalg.norm(hand - thumb, axis=1).min() < 0.02


def test_contacts_reach_the_floor_and_cover_the_body():
    body = load_bodies().body(0)
    places = body.points[body.vertex_points]
    soles = places[body.sole_vertices]
    assert soles[..., 2].max() < 0.012
    assert (soles[0, :, 0] > 0).all()
    assert (soles[1, :, 0] < 0).all()
    # the heel is behind the ball
    assert (soles[:, 0, 1] > soles[:, 1, 1] + 0.1).all()
    contacts = places[body.contact_vertices]
    distance = np.linalg.norm(places[:, None] - contacts[None], axis=-1).min(axis=1)
    assert distance.max() < 0.2


def test_held_out_people_follow_from_bodies_and_seeds():
    held = [is_held_out_person(seed) for seed in range(2000)]
    assert 0.1 < np.mean(held) < 0.35
    for seed in range(300):
        if is_held_out("identity", f"anny-{body_of(seed)}"):
            assert held[seed]
    kept = {body_of(seed) for seed, out in enumerate(held) if not out}
    assert kept == {index for index in range(NUM_BODIES) if not is_held_out("identity", f"anny-{index}")}
