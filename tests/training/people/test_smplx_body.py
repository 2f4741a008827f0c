"""Licensed body models, by stand-in files of the same layout."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from threedimo.errors import InvalidBody
from threedimo_training.motion.skeleton import JOINT, NUM_JOINTS, axis_angle_matrices, forward_kinematics
from threedimo_training.people.baked import load_bodies
from threedimo_training.people.export import check_person, export_person
from threedimo_training.people.garments import MATERIAL
from threedimo_training.people.smplx_body import load_smplx_person


@pytest.mark.parametrize("kind", ["SMPL", "SMPLH", "SMPLX"])
def test_a_stand_in_becomes_a_dressed_person(make_model, kind):
    pytest.importorskip("smplx")
    person = load_smplx_person(make_model(kind), 3)
    check_person(person)
    assert person.identity == f"smplx-{kind}_NEUTRAL-3"
    assert person.vertices[:, 2].min() == pytest.approx(0, abs=1e-4)
    standard = load_bodies().rest_joints[0]
    scale = person.rest_joints[JOINT["neck"], 2] / standard[JOINT["neck"], 2]
    assert 0.9 < scale < 1.1
    # joints are those of the stand-in, scaled by its first shape direction; soles are thicker than feet
    assert np.abs(person.rest_joints - scale * standard).max() < 0.03
    for name in ("head", "torso", "left_arm", "right_hand", "left_leg", "right_foot"):
        assert (person.materials == MATERIAL[name]).sum() > 50
    rotations = axis_angle_matrices(np.random.default_rng(0).normal(0, 0.3, (1, NUM_JOINTS, 3)))
    moved = person.skinned(forward_kinematics(person.rest_joints, rotations, person.rest_joints[None, 0]))
    assert np.isfinite(moved).all()
    assert np.ptp(moved[0], axis=0).max() < 2.5


def test_fingers_move_where_the_model_has_them_and_are_stiff_in_smpl(make_model):
    pytest.importorskip("smplx")
    finger = JOINT["left_index2"]
    moved = {
        kind: (load_smplx_person(make_model(kind), 0).bones == finger).any() for kind in ("SMPL", "SMPLX")
    }
    assert moved == {"SMPL": False, "SMPLX": True}


def test_shape_and_looks_follow_from_the_seed(make_model):
    pytest.importorskip("smplx")
    path = make_model("SMPLH")
    first, again, other = (load_smplx_person(path, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.vertices, again.vertices)
    assert not np.allclose(first.rest_joints, other.rest_joints, atol=1e-3)
    assert not np.array_equal(first.cloth.colours, other.cloth.colours)


def test_a_licensed_body_can_be_exported(make_model, tmp_path):
    pytest.importorskip("smplx")
    export_person(load_smplx_person(make_model("SMPLX"), 0), tmp_path / "person.glb")
    assert (tmp_path / "person.glb").stat().st_size > 100_000


def test_a_missing_file_is_named_with_where_it_comes_from(tmp_path):
    with pytest.raises(InvalidBody, match=r"SMPLX_MALE\.npz.*https://smpl-x\.is\.tue\.mpg\.de"):
        load_smplx_person(tmp_path / "SMPLX_MALE.npz", 0)


def test_pickles_are_never_opened(tmp_path):
    path = tmp_path / "SMPL_MALE.pkl"
    path.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InvalidBody, match="pickle"):
        load_smplx_person(path, 0)


def test_pickles_inside_npz_files_are_never_opened(make_model):
    path = make_model("SMPLH", weights=np.array([{"surprise": 1}], dtype=object))
    with pytest.raises(InvalidBody, match="cannot be read"):
        load_smplx_person(path, 0)


def test_damaged_files_are_named(make_model, tmp_path):
    whole = make_model("SMPL").read_bytes()
    path = tmp_path / "damaged.npz"
    for data in (b"", b"not a zip file", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(InvalidBody, match=r"damaged\.npz"):
            load_smplx_person(path, 0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"weights": None}, "lacks arrays"),
        ({"hands_meanl": None}, "hands_meanl"),
        ({"weights": np.full((778, 16), 1 / 16)}, "a hand alone is no body"),
        ({"v_template": np.zeros((100, 3))}, "v_template"),
        ({"v_template": np.full((6890, 3), np.nan)}, "not finite"),
        ({"f": np.full((10, 3), 6890)}, "vertices that do not exist"),
        ({"shapedirs": np.zeros((6890, 3, 4))}, "shapedirs"),
        ({"kintree_table": np.zeros((2, 52), np.int64)}, "hang together otherwise"),
    ],
)
def test_other_layouts_are_refused(make_model, changes, told):
    with pytest.raises(InvalidBody, match=told):
        load_smplx_person(make_model("SMPLH", **changes), 0)


def test_without_the_package_it_is_named(make_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(InvalidBody, match=r"threedimo-training\[smplx\]"):
        load_smplx_person(make_model("SMPL"), 0)
