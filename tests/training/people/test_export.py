"""Checks of meshes and files of them."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest

from threedimo.errors import InvalidBody, StorageError
from threedimo_training.motion.skeleton import NUM_JOINTS, axis_angle_matrices, forward_kinematics
from threedimo_training.people.export import (
    FORMATS,
    check_person,
    export_person,
    mesh_of,
    read_mesh,
    write_mesh,
)
from threedimo_training.people.looks import make_person


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_exported_body_reads_back_with_its_colours(tmp_path, suffix):
    path = tmp_path / f"person{suffix}"
    person = make_person(3)
    export_person(person, path)
    mesh = read_mesh(path)
    assert len(mesh.faces) == len(person.faces)
    up = 2 if suffix == ".ply" else 1
    assert np.ptp(mesh.vertices[:, up]) == pytest.approx(person.height_m, abs=1e-3)
    assert mesh.vertices[:, up].min() == pytest.approx(0, abs=1e-4)
    assert mesh.vertices[:, 0].max() == pytest.approx(person.vertices[:, 0].max(), abs=1e-4)
    assert mesh.volume > 0
    assert len(np.unique(np.asarray(mesh.visual.vertex_colors), axis=0)) > 5
    assert list(tmp_path.iterdir()) == [path]


def test_posed_people_are_exported_in_their_pose(tmp_path):
    person = make_person(1)
    rotations = axis_angle_matrices(np.random.default_rng(0).normal(0, 0.3, (2, NUM_JOINTS, 3)))
    posed = forward_kinematics(person.rest_joints, rotations, np.array([[0, 0, 1.0], [0.5, 0, 1.0]]))
    export_person(person, tmp_path / "posed.ply", posed, 1)
    read = read_mesh(tmp_path / "posed.ply")
    assert np.abs(read.vertices - person.skinned(posed)[1]).max() < 1e-4


@pytest.mark.parametrize("name", ["person.fbx", "person", "person.blend"])
def test_unknown_formats_are_refused(tmp_path, name):
    with pytest.raises(InvalidBody, match=r"\.glb, \.obj, \.ply"):
        export_person(make_person(0), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="nowhere"):
        export_person(make_person(0), tmp_path / "nowhere" / "person.glb")


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_damaged_files_are_named(tmp_path, suffix, damage):
    path = tmp_path / f"person{suffix}"
    write_mesh(mesh_of(make_person(0)), path)
    data = path.read_bytes()
    noise = struct.pack("64d", *np.random.default_rng(0).normal(size=64))
    path.write_bytes({"empty": b"", "cut": data[:90], "noise": noise}[damage])
    with pytest.raises(InvalidBody, match="person"):
        read_mesh(path)


def test_a_missing_mesh_is_named(tmp_path):
    with pytest.raises(InvalidBody, match=r"gone\.glb"):
        read_mesh(tmp_path / "gone.glb")


def _broken(what: str):
    person = make_person(2)
    if what == "vertices":
        vertices = person.vertices.copy()
        vertices[7, 1] = np.nan
        return dataclasses.replace(person, vertices=vertices)
    if what == "weights":
        return dataclasses.replace(person, weights=person.weights * 0.9)
    if what == "name vertices":
        return dataclasses.replace(person, faces=person.faces + 100)
    if what == "wound":
        faces = person.faces.copy()
        faces[:40] = faces[:40, ::-1]
        return dataclasses.replace(person, faces=faces)
    return dataclasses.replace(person, faces=person.faces[::2], materials=person.materials[::2])


@pytest.mark.parametrize("what", ["vertices", "weights", "name vertices", "wound", "torn"])
def test_broken_bodies_are_told(what):
    with pytest.raises(InvalidBody, match=what):
        check_person(_broken(what))
