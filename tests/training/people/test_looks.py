"""Dressed people: every seed is somebody whom one can tell from any side."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo_training.motion.skeleton import (
    JOINT,
    NUM_JOINTS,
    axis_angle_matrices,
    forward_kinematics,
)
from threedimo_training.people.baked import body_of, load_bodies
from threedimo_training.people.export import check_person
from threedimo_training.people.garments import MATERIAL, MATERIALS
from threedimo_training.people.hair import HAIR_STYLES, hair_shells
from threedimo_training.people.looks import make_person
from threedimo_training.people.outfit import draw_outfit
from threedimo_training.people.person import CHECKS, DOTS, LOGO, NUM_BANDS

SEEDS = range(40)


@pytest.fixture(scope="module")
def people():
    return [make_person(seed) for seed in SEEDS]


def _outfit(seed: int):
    body = load_bodies().body(body_of(seed))
    return draw_outfit(np.random.default_rng([12, seed]), body.age, body.gender)


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.moveaxis(vertices[faces].astype(float), 1, 0)
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_seed_is_always_the_same_person_and_another_seed_another():
    first, again, other = make_person(4), make_person(4), make_person(5)
    assert first.identity == again.identity == f"anny-{body_of(4)}-4"
    for name in ("vertices", "faces", "materials", "along", "tints", "weights", "rest_joints"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert np.array_equal(first.cloth.colours, again.cloth.colours)
    assert other.identity != first.identity
    assert not np.array_equal(first.cloth.colours, other.cloth.colours)


def test_people_are_sound_meshes(people):
    for person in people:
        check_person(person)
        assert person.vertices.dtype == np.float32
        assert person.faces.dtype == np.int32
        assert np.allclose(np.linalg.norm(person.normals, axis=1), 1, atol=1e-4)
        assert person.materials.max() < len(MATERIALS) == len(person.cloth.colours)
        assert person.cloth.colours.shape == (len(MATERIALS), NUM_BANDS, 3, 3)
        assert (np.diff(person.cloth.cuts, axis=1) >= 0).all()
        assert person.cloth.colours.min() >= 0
        assert person.cloth.colours.max() <= 1
        assert abs(person.vertices[:, 2].min()) < 1e-5
        assert 0.9 < person.height_m < 2.15


def test_skinning_at_rest_changes_nothing(people):
    identity = np.broadcast_to(np.eye(3), (1, NUM_JOINTS, 3, 3))
    for person in people[:8]:
        posed = forward_kinematics(person.rest_joints, identity, person.rest_joints[None, 0])
        assert np.abs(person.skinned(posed)[0] - person.vertices).max() < 1e-5


def test_forward_kinematics_moves_the_mesh_along():
    person = make_person(6)
    rng = np.random.default_rng(1)
    rotations = axis_angle_matrices(rng.normal(0, 0.4, (3, NUM_JOINTS, 3)))
    posed = forward_kinematics(person.rest_joints, rotations, rng.normal(size=(3, 3)))
    moved = person.skinned(posed)
    checked = 0
    for joint in ("head", "left_index3", "right_wrist", "left_knee"):
        index = JOINT[joint]
        rigid = (person.weights[:, 0] > 0.9999) & (person.bones[:, 0] == index)
        expected = posed.positions[:, index, None] + np.einsum(
            "fab,vb->fva", posed.rotations[:, index], person.vertices[rigid] - person.rest_joints[index]
        )
        assert np.abs(moved[:, rigid] - expected).max() < 1e-3
        checked += int(rigid.sum())
    assert checked > 100


def test_everybody_is_dressed(people):
    """Torso and hips never show skin, whatever hangs over them; nor do thighs near the hips."""
    for seed, person in zip(SEEDS, people, strict=True):
        skin = _outfit(seed).skin
        torso = person.cloth.colours[MATERIAL["torso"]]
        assert np.abs(torso - skin).max(axis=-1).min() > 0.02
        for side in ("left", "right"):
            leg = MATERIAL[f"{side}_leg"]
            covered = person.cloth.cuts[leg, 0] >= 0.1
            assert covered
            if _outfit(seed).skirt is None:
                assert np.abs(person.cloth.colours[leg, 0] - skin).max(axis=-1).min() > 0.02


def test_clothes_stand_off_the_skin():
    for seed in range(6):
        bare, dressed = load_bodies().body(body_of(seed)), make_person(seed)
        regions = bare.vertex_regions()
        torso = np.flatnonzero(regions == MATERIAL["torso"])
        lift = dressed.rest_joints[0, 2] - bare.rest_joints[0, 2]
        shift = dressed.vertices[torso] - bare.points[bare.vertex_points[torso]] - [0, 0, lift]
        outwards = (shift * dressed.normals[torso]).sum(axis=1)
        assert 0.002 < np.median(outwards) < 0.03


def test_front_and_back_differ(people):
    in_front_only = {CHECKS, DOTS, LOGO}
    for person in people:
        colours, patterns = person.cloth.colours, person.cloth.patterns
        torso = MATERIAL["torso"]
        differs = np.abs(colours[torso, 2, 0] - colours[torso, 2, 2]).max() > 0.1
        assert differs or int(patterns[torso, 2]) in in_front_only
        # the plane between both goes through the body
        inside = person.vertices[:, 1]
        assert inside.min() + 0.05 < person.back_from_m < inside.max() - 0.05


def test_left_and_right_differ_in_a_share_of_people(people):
    def unlike(person, limb: str) -> bool:
        left, right = (person.cloth.colours[MATERIAL[f"{side}_{limb}"]] for side in ("left", "right"))
        return bool(np.abs(left - right).max() > 0.1)

    assert 0.2 < np.mean([any(unlike(p, limb) for limb in ("arm", "hand", "leg")) for p in people]) < 0.8


def test_plain_people_wear_one_colour_a_garment():
    for seed in range(30):
        cloth = make_person(seed, plain=True).cloth
        assert not cloth.patterns.any()
        assert np.array_equal(cloth.colours[:, :, 0], cloth.colours[:, :, 2]), "front and back differ"
    shirts = [make_person(seed, plain=True).cloth.colours[MATERIAL["torso"], -1, 0] for seed in range(30)]
    assert len({shirt.tobytes() for shirt in shirts}) == 30


def test_people_look_different():
    looks = [
        make_person(seed).cloth.colours[[MATERIAL[n] for n in ("torso", "left_leg")]] for seed in range(30)
    ]
    distances = [np.abs(a - b).max() for index, a in enumerate(looks) for b in looks[:index]]
    assert min(distances) > 0.1


def test_every_hair_style_occurs_and_fits_the_head():
    found = {_outfit(seed).hair_style for seed in range(400)}
    assert found == set(HAIR_STYLES)
    for index in (0, 1, 38):
        body = load_bodies().body(index)
        head = body.rest_joints[JOINT["head"]]
        for style in HAIR_STYLES:
            for shell in hair_shells(style, body, 0.5, np.random.default_rng(0)):
                assert np.isfinite(shell.vertices).all()
                assert np.allclose(shell.weights.sum(axis=1), 1)
                assert np.linalg.norm(shell.vertices - head, axis=1).min() < 0.3
                assert _volume(shell.vertices, shell.faces) > 0, f"{style} is inside out"


def test_hands_are_told_apart(people):
    for person in people[:6]:
        left, right = (person.vertices[person.faces[person.hands == side]].reshape(-1, 3) for side in (0, 1))
        assert (left[:, 0] > 0).all()
        assert (right[:, 0] < 0).all()
        assert 0.1 < np.ptp(left[:, 0]) < 0.28


def test_skirts_surround_the_hips_and_follow_the_legs():
    seed = next(seed for seed in range(100) if _outfit(seed).skirt is not None)
    person = make_person(seed)
    faces = person.faces[person.materials == MATERIAL["skirt"]]
    assert _volume(person.vertices, faces) > 0
    skirt = np.unique(faces)
    hips = person.rest_joints[[JOINT["left_hip"], JOINT["right_hip"]]]
    assert person.vertices[skirt, 0].max() > hips[0, 0]
    assert person.vertices[skirt, 0].min() < hips[1, 0]
    low = skirt[person.vertices[skirt, 2] < np.percentile(person.vertices[skirt, 2], 20)]
    legs = np.isin(person.bones[low], [JOINT["left_hip"], JOINT["right_hip"]])
    assert (person.weights[low] * legs).sum(axis=1).min() > 0.5
