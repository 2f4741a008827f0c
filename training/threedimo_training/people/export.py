"""People as files that other programs open: checks of a body's mesh, and export with colours."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import numpy as np
import trimesh

from threedimo.errors import InvalidBody, NoSpace, UnwritableFolder
from threedimo_training.motion.skeleton import Posed
from threedimo_training.people.person import Person

logger = logging.getLogger(__name__)
FORMATS = (".glb", ".obj", ".ply")
# glTF and OBJ are y up: x stays, our z becomes y.
_Y_UP = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
# Around the eyes, behind them and at brows a body may be open.
_LARGEST_OPEN_SHARE = 0.02


def export_person(person: Person, output: Path, posed: Posed | None = None, frame: int = 0) -> None:
    """Check a person's mesh and write it: what `threedimo-train body` does.

    Args:
        person: Whom to write.
        output: A .glb, .obj or .ply file; an existing one is replaced.
        posed: Poses of that person; without, the person stands in the rest pose.
        frame: Which of the poses.

    Raises:
        InvalidBody: The format is unknown, or the mesh fails its checks.
        StorageError: The file cannot be written.
    """
    _check_format(output)
    check_person(person)
    write_mesh(mesh_of(person, posed, frame), output)
    logger.info("%s: %.2f m, %d faces, %s", output, person.height_m, len(person.faces), person.identity)


def check_person(person: Person) -> None:
    """Check that a person can be skinned and rendered.

    Raises:
        InvalidBody: Values are not finite, weights do not sum to 1, or faces name vertices that do not exist,
            are wound inconsistently or inside out, share an edge with several others, or leave holes.
    """
    for name in ("vertices", "normals", "weights", "rest_joints", "along", "tints"):
        if not np.isfinite(getattr(person, name)).all():
            raise InvalidBody(f"{name} of a body are not finite", given=person.identity)
    if not np.allclose(person.weights.sum(axis=1), 1, atol=1e-4):
        raise InvalidBody("weights of a body do not sum to 1", given=person.identity)
    if person.faces.min() < 0 or person.faces.max() >= len(person.vertices):
        raise InvalidBody("faces of a body name vertices that do not exist", given=person.identity)
    mesh = trimesh.Trimesh(person.vertices, person.faces, process=False)
    # regions have vertices of their own at their seams
    mesh.merge_vertices(merge_norm=True, merge_tex=True)
    if not mesh.is_winding_consistent or mesh.volume <= 0:
        raise InvalidBody("faces of a body are not all wound counter-clockwise", given=person.identity)
    _, times = np.unique(np.sort(mesh.edges, axis=1), axis=0, return_counts=True)
    if times.max() > 2 or np.mean(times == 1) > _LARGEST_OPEN_SHARE:
        torn, crowded = int((times == 1).sum()), int((times > 2).sum())
        raise InvalidBody(
            "the mesh of a body is torn",
            given=f"{person.identity}: {torn} open and {crowded} crowded edges of {len(times)}",
            allowed=f"no crowded edges, at most {_LARGEST_OPEN_SHARE:.0%} open ones",
        )


def mesh_of(person: Person, posed: Posed | None = None, frame: int = 0) -> trimesh.Trimesh:
    """A person as a mesh with vertex colours, z up, in metres.

    Colours are those of front and back without patterns, which are finer than the mesh.

    Args:
        person: Whom to show.
        posed: Poses of that person; without, the person stands in the rest pose.
        frame: Which of the poses.
    """
    vertices = person.vertices if posed is None else person.skinned(posed)[frame]
    colours = np.concatenate([_vertex_colours(person), np.ones((len(vertices), 1))], axis=1)
    return trimesh.Trimesh(
        vertices, person.faces, vertex_colors=np.round(255 * colours).astype(np.uint8), process=False
    )


def _vertex_colours(person: Person) -> np.ndarray:
    materials = np.zeros(len(person.vertices), int)
    materials[person.faces.ravel()] = np.repeat(person.materials, 3)
    cloth = person.cloth
    band = (person.along[:, None] >= cloth.cuts[materials]).sum(axis=1)
    side = np.where(person.vertices[:, 1] > person.back_from_m, 2, 0)
    return np.clip(cloth.colours[materials, band, side] * person.tints, 0, 1)


def write_mesh(mesh: trimesh.Trimesh, path: Path) -> None:
    """Write a mesh; GLB and OBJ are turned y up, as their readers expect.

    Raises:
        InvalidBody: The format is unknown.
        UnwritableFolder: The folder is missing or cannot be written.
        NoSpace: The disk is full.
    """
    _check_format(path)
    turned = mesh.copy()
    if path.suffix.lower() != ".ply":
        turned.apply_transform(_Y_UP)
    exported = turned.export(file_type=path.suffix.lower()[1:])
    data = exported if isinstance(exported, bytes) else str(exported).encode()
    unfinished = path.with_name(f".{path.name}.part")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        kind = NoSpace if error.errno == errno.ENOSPC else UnwritableFolder
        raise kind("the body cannot be written", given=f"{path}: {error.strerror}") from error


def read_mesh(path: Path) -> trimesh.Trimesh:
    """Read a mesh that `write_mesh` wrote, or another .glb, .obj or .ply file with one mesh, as it is.

    Raises:
        InvalidBody: The file is missing, damaged, of another format, or holds no triangles.
    """
    _check_format(path)
    if not path.is_file():
        raise InvalidBody("there is no mesh at this path", given=path, remedy="check the path")
    try:
        mesh = trimesh.load_mesh(path, process=False)
    # readers of damaged files fail in many ways; each means the same
    except Exception as error:
        raise InvalidBody(
            "the mesh cannot be read", given=f"{path}: {error}", remedy="export it again"
        ) from error
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0 or not np.isfinite(mesh.vertices).all():
        raise InvalidBody("the file holds no usable mesh", given=path, remedy="export one mesh of triangles")
    return mesh


def _check_format(path: Path) -> None:
    if path.suffix.lower() not in FORMATS:
        raise InvalidBody(
            "this format of meshes is unknown",
            given=path.name,
            allowed=", ".join(FORMATS),
            remedy="rename it",
        )
