"""Bodies from the licensed models SMPL, SMPL-H and SMPL-X, through the third-party package `smplx`.

Nothing of these models comes with this package: the user names a file that they have a licence for, and
installs `smplx` (extra ``smplx``), which has a non-commercial licence of its own. Only ``.npz`` files are
read, and only their numbers: pickles can run code, so ``.pkl`` files are refused with advice how to convert
them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from threedimo.errors import InvalidBody
from threedimo_training.motion.skeleton import BODY_JOINTS, FINGERS, JOINT, NUM_JOINTS, PARENTS, SIDES
from threedimo_training.motion.smpl_labels import SMPL_AXES
from threedimo_training.people.baked import load_bodies
from threedimo_training.people.bare_body import BareBody
from threedimo_training.people.looks import dress
from threedimo_training.people.person import Person
from threedimo_training.people.regions import (
    REGION,
    along_regions,
    face_regions,
    floor_contacts,
    split_at_seams,
)

_FINGER_JOINTS = tuple(f"{side}_{finger}{part}" for side in SIDES for finger in FINGERS for part in (1, 2, 3))
# Everything on the head belongs to our head joint.
_FACE = ("head", "head", "head")
_JOINTS = {
    "SMPL": BODY_JOINTS,
    "SMPL-H": BODY_JOINTS[:22] + _FINGER_JOINTS,
    "SMPL-X": BODY_JOINTS[:22] + _FACE + _FINGER_JOINTS,
}
_SIZES = {"SMPL": 6890, "SMPL-H": 6890, "SMPL-X": 10475}
_EYE_JOINTS = (23, 24)  # of SMPL-X
_NEEDED = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
_ALSO_NEEDED = {
    "SMPL": (),
    "SMPL-H": ("hands_componentsl", "hands_componentsr", "hands_meanl", "hands_meanr"),
    "SMPL-X": (
        *("hands_componentsl", "hands_componentsr", "hands_meanl", "hands_meanr"),
        *("lmk_faces_idx", "lmk_bary_coords"),
    ),
}
_NUM_BETAS = 10
_LARGEST_BETA = 2.5
_SOURCES = (
    "download it under its licence from https://smpl-x.is.tue.mpg.de (SMPL-X), https://mano.is.tue.mpg.de "
    "(SMPL-H) or https://smpl.is.tue.mpg.de (SMPL)"
)


def load_smplx_person(path: Path, seed: int) -> Person:
    """A person with a licensed body: shape, hair and clothes follow from the seed.

    Args:
        path: A ``.npz`` file of SMPL (24 joints), SMPL-H (52) or SMPL-X (55).
        seed: Decides the shape (ten normal coefficients, at most 2.5 away from the mean) and the looks.

    Returns:
        A person with all 54 joints; the fingers of SMPL, which has none, are stiff. The identity is
        "smplx-<file stem>-<seed>".

    Raises:
        InvalidBody: The file is missing, damaged, a pickle or of another layout, or `smplx` is not there.
    """
    if not path.is_file():
        raise InvalidBody(
            "there is no body model at this path", given=path, remedy=f"{_SOURCES}, and give its path"
        )
    if path.suffix.lower() != ".npz":
        raise InvalidBody(
            "only .npz body models are read, because a pickle can run code when it is opened",
            given=path,
            allowed=".npz files of SMPL, SMPL-H and SMPL-X",
            remedy="choose the .npz download, or convert a .pkl that you trust with numpy.savez in an "
            "environment of its own",
        )
    return dress(_bare(_load(path, path.stat().st_mtime_ns), seed), seed)


@dataclass(frozen=True, eq=False)
class _Licensed:
    """A model file, checked: its kind, its name, and the arrays that are needed of it."""

    kind: str
    name: str
    arrays: dict[str, np.ndarray]
    model: Any


@lru_cache(maxsize=2)
def _load(path: Path, changed_ns: int) -> _Licensed:
    """Read a file once, and again when it has changed."""
    del changed_ns
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            kind = _kind(path, file)
            arrays = {name: np.asarray(file[name]) for name in (*_NEEDED, *_ALSO_NEEDED[kind])}
    except (OSError, ValueError, BadZipFile, EOFError, KeyError) as error:
        raise InvalidBody(
            "the body model cannot be read", given=f"{path}: {error}", remedy=_SOURCES
        ) from error
    _check(path, kind, arrays)
    return _Licensed(kind, path.stem, arrays, _model(kind, arrays))


def _kind(path: Path, file: Any) -> str:
    missing = [name for name in _NEEDED if name not in file.files]
    if missing:
        raise InvalidBody(
            "the body model lacks arrays", given=f"{path}: {', '.join(missing)}", allowed=", ".join(_NEEDED)
        )
    joints = file["weights"].shape[-1]
    for kind, names in _JOINTS.items():
        if len(names) == joints:
            return kind
    hint = " (a hand alone is no body: choose SMPL-H or SMPL-X)" if joints == 16 else ""
    raise InvalidBody(
        f"no body model that is known has so many joints{hint}",
        given=f"{path}: {joints} joints",
        allowed="24 (SMPL), 52 (SMPL-H), 55 (SMPL-X)",
    )


def _check(path: Path, kind: str, arrays: dict[str, np.ndarray]) -> None:
    size, joints = _SIZES[kind], len(_JOINTS[kind])
    shapes = {"v_template": (size, 3), "weights": (size, joints), "J_regressor": (joints, size)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise InvalidBody(
                f"{name} of this {kind} file has another shape",
                given=f"{path}: {arrays[name].shape}",
                allowed=str(shape),
            )
    if arrays["shapedirs"].shape[:2] != (size, 3) or arrays["shapedirs"].shape[-1] < _NUM_BETAS:
        given = f"{path}: {arrays['shapedirs'].shape}"
        raise InvalidBody(
            f"shapedirs has another shape in this {kind} file", given=given, allowed=f"({size}, 3, 10+)"
        )
    if not all(np.isfinite(arrays[name]).all() for name in (*shapes, "shapedirs")):
        raise InvalidBody("the body model has values that are not finite", given=path, remedy=_SOURCES)
    if arrays["f"].min() < 0 or arrays["f"].max() >= size:
        raise InvalidBody("faces name vertices that do not exist", given=path, remedy=_SOURCES)
    if not _same_tree(kind, arrays["kintree_table"][0].astype(np.int64)):
        raise InvalidBody(f"joints hang together otherwise than in {kind}", given=path, remedy=_SOURCES)


def _same_tree(kind: str, parents: np.ndarray) -> bool:
    joints = [JOINT[name] for name in _JOINTS[kind]]
    for joint, parent in zip(joints[1:], parents[1:], strict=True):
        ours = joints[parent] if 0 <= parent < len(joints) else -1
        # jaw and eyes hang on the head, which is what they are here
        if ours not in (PARENTS[joint], joint):
            return False
    return True


def _model(kind: str, arrays: dict[str, np.ndarray]) -> Any:
    try:
        import smplx  # pyright: ignore[reportMissingImports]
        from smplx.utils import Struct  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InvalidBody(
            "the package smplx is not installed",
            remedy='pip install "threedimo-training[smplx]"; read its licence first: it is non-commercial',
        ) from error
    options = {"num_betas": _NUM_BETAS, "use_pca": False, "flat_hand_mean": True}
    if kind == "SMPL":
        return smplx.SMPL("", data_struct=Struct(**arrays), num_betas=_NUM_BETAS)
    if kind == "SMPL-H":
        return smplx.SMPLH("", data_struct=Struct(**arrays), **options)
    # this class only reads files, and trusts pickles in them: it gets one with the numbers alone
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "numbers.npz"
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return smplx.SMPLX(str(file), ext="npz", **options)


def _bare(licensed: _Licensed, seed: int) -> BareBody:
    rng = np.random.default_rng([13, seed])
    betas = np.clip(rng.normal(size=_NUM_BETAS), -_LARGEST_BETA, _LARGEST_BETA)
    with torch.no_grad():
        made = licensed.model(betas=torch.tensor(betas[None], dtype=torch.float32))
    points = made.vertices[0].double().numpy() @ SMPL_AXES.T
    own_joints = made.joints[0, : len(_JOINTS[licensed.kind])].double().numpy() @ SMPL_AXES.T
    joints = _all_joints(licensed.kind, own_joints)
    floor = np.array([*joints[0, :2], points[:, 2].min()])
    points, joints = points - floor, joints - floor
    bones, weights = _four_strongest(licensed)
    faces = licensed.arrays["f"].astype(np.int64)
    regions = face_regions(points, faces, bones, weights, joints)
    if licensed.kind == "SMPL-X":
        eyes = licensed.arrays["weights"][:, _EYE_JOINTS].sum(axis=1) > 0.5
        regions[eyes[faces].all(axis=1)] = REGION["eyes"]
    vertex_points, vertex_regions, split = split_at_seams(faces, regions)
    contacts, soles = floor_contacts(points, joints)
    first = np.full(len(points), -1)
    first[vertex_points[::-1]] = np.arange(len(vertex_points))[::-1]
    ears = np.zeros(len(vertex_points))
    name = licensed.name.upper()
    return BareBody(
        name=f"smplx-{licensed.name}",
        points=points,
        vertex_points=vertex_points,
        faces=split,
        regions=regions,
        along=along_regions(points[vertex_points], vertex_regions, joints, ears),
        bones=bones,
        weights=weights,
        rest_joints=joints,
        lips=np.zeros(len(points)),
        contact_vertices=first[contacts],
        sole_vertices=first[soles],
        age=0.67,
        gender=1.0 if "FEMALE" in name else 0.0 if "MALE" in name else 0.5,
    )


def _all_joints(kind: str, own: np.ndarray) -> np.ndarray:
    """(54, 3): the model's joints, and where it has none, places that go with them."""
    joints = np.zeros((NUM_JOINTS, 3))
    # the head comes before jaw and eyes, which must not replace it
    for name, place in reversed(list(zip(_JOINTS[kind], own, strict=True))):
        joints[JOINT[name]] = place
    standard = load_bodies().rest_joints[0]
    for side in SIDES:
        wrist, hand = JOINT[f"{side}_wrist"], JOINT[f"{side}_hand"]
        knuckles = [JOINT[f"{side}_{finger}1"] for finger in FINGERS if finger != "thumb"]
        if kind == "SMPL":
            fingers = [JOINT[f"{side}_{finger}{part}"] for finger in FINGERS for part in (1, 2, 3)]
            size = np.linalg.norm(joints[hand] - joints[wrist]) / np.linalg.norm(
                standard[hand] - standard[wrist]
            )
            joints[fingers] = joints[wrist] + size * (standard[fingers] - standard[wrist])
        else:
            joints[hand] = joints[knuckles].mean(axis=0)
    return joints


def _four_strongest(licensed: _Licensed) -> tuple[np.ndarray, np.ndarray]:
    given = licensed.arrays["weights"].astype(np.float64)
    dense = np.zeros((len(given), NUM_JOINTS))
    for column, name in enumerate(_JOINTS[licensed.kind]):
        dense[:, JOINT[name]] += given[:, column]
    bones = np.argsort(-dense, axis=1, kind="stable")[:, :4]
    weights = np.take_along_axis(dense, bones, axis=1)
    return bones, weights / weights.sum(axis=1, keepdims=True)
