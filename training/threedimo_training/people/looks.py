"""People, dressed: every seed is one person with a body, a face, hair and clothes of their own.

A person is recognisable from any side: hair, front and back of the top, left and right sleeves, trousers and
shoes have colours of their own, drawn in `outfit`.
"""

from __future__ import annotations

import numpy as np

from threedimo_training.motion.skeleton import JOINT, SIDES
from threedimo_training.people.baked import body_of, load_bodies
from threedimo_training.people.bare_body import BareBody, relaxed, smooth_normals
from threedimo_training.people.garments import MATERIAL, cloth_of, skirt_shell, softening, thickness, toe_cap
from threedimo_training.people.hair import hair_shells
from threedimo_training.people.outfit import Outfit, draw_outfit
from threedimo_training.people.person import Person
from threedimo_training.people.regions import REGION
from threedimo_training.people.shells import Shell

_ADULT_M = 1.72
_SMOOTHING_ROUNDS = 4
_TOE_ROUNDS = 5
_HEM_ROUNDS = 2


def make_person(seed: int, *, plain: bool = False) -> Person:
    """The person of a seed: always the same body, face, hair and clothes. Identity "anny-<body>-<seed>".

    `plain`: in clothes without patterns; see `draw_outfit`.
    """
    return dress(load_bodies().body(body_of(seed)), seed, plain=plain)


def dress(body: BareBody, seed: int, *, plain: bool = False) -> Person:
    """Put the clothes, the hair and the colours of a seed on a body.

    The identity is the body's name and the seed. A body with shoes stands on them: it is lifted so that the
    soles are at z = 0 again.
    """
    rng = np.random.default_rng([12, seed])
    outfit = draw_outfit(rng, body.age, body.gender, plain=plain)
    points = _clothed(outfit, body)
    shells = hair_shells(outfit.hair_style, body, outfit.hair_length, rng)
    if outfit.skirt is not None:
        shells.append(skirt_shell(outfit, body, points))
    normals = smooth_normals(points, body.point_faces)
    lift = np.array([0.0, 0.0, -points[:, 2].min()])
    vertices = [points[body.vertex_points] + lift, *(shell.vertices + lift for shell in shells)]
    faces, materials = _joined_faces(body, shells)
    rest_joints = body.rest_joints + lift
    worn = [smooth_normals(shell.vertices, shell.faces) for shell in shells]
    return Person(
        identity=f"{body.name}-{seed}",
        vertices=np.concatenate(vertices).astype(np.float32),
        normals=np.concatenate([normals[body.vertex_points], *worn]).astype(np.float32),
        faces=faces,
        bones=np.concatenate([body.bones[body.vertex_points], *(s.bones for s in shells)]).astype(np.int16),
        weights=np.concatenate([body.weights[body.vertex_points], *(s.weights for s in shells)]).astype(
            np.float32
        ),
        rest_joints=rest_joints,
        materials=materials,
        along=np.concatenate([_along(outfit, body, points), *(shell.along for shell in shells)]).astype(
            np.float32
        ),
        tints=_tints(outfit, body, sum(len(shell.vertices) for shell in shells)),
        hands=_hands(materials),
        cloth=cloth_of(outfit),
        back_from_m=_back_from(rest_joints),
        contact_vertices=body.contact_vertices.astype(np.int32),
        sole_vertices=body.sole_vertices.astype(np.int32),
    )


def _clothed(outfit: Outfit, body: BareBody) -> np.ndarray:
    """(N, 3) points of the body with its clothes on, soles flat where there are shoes."""
    size = np.ptp(body.points[:, 2]) / _ADULT_M
    covered, soft = np.zeros((2, len(body.points)))
    # a point on a seam is covered as its best covered side
    np.maximum.at(covered, body.vertex_points, thickness(outfit, body) * size)
    np.maximum.at(soft, body.vertex_points, softening(outfit, body))
    faces = body.point_faces
    normals = smooth_normals(body.points, faces)
    # only out of or into the body: hems would become ragged if points moved along the surface
    shift = relaxed(body.points, faces, soft, _SMOOTHING_ROUNDS) - body.points
    points = body.points + (shift * normals).sum(axis=1, keepdims=True) * normals
    shod = np.zeros(len(points), bool)
    for name in SIDES if outfit.shoes is not None else ():
        foot = np.unique(faces[body.regions == REGION[f"{name}_foot"]])
        shod[foot] = True
        points[foot] = toe_cap(points[foot], float(body.rest_joints[JOINT[f"{name}_foot"], 1]))
    points = relaxed(points, faces, 0.5 * shod, _TOE_ROUNDS)
    normals = smooth_normals(points, faces)
    # steps from one triangle to the next would make hems and hairlines ragged
    covered = relaxed(covered[:, None], faces, np.full(len(covered), 0.6), _HEM_ROUNDS)
    points = points + covered * normals
    under = shod & (normals[:, 2] < -0.6) & (points[:, 2] < 0.03 * size)
    points[under, 2] = points[:, 2].min()
    return points


def _along(outfit: Outfit, body: BareBody, points: np.ndarray) -> np.ndarray:
    """(V,) the body's own, but shoes are divided by height above the floor."""
    along = body.along.copy()
    feet = np.isin(body.vertex_regions(), [REGION["left_foot"], REGION["right_foot"]])
    if outfit.shoes is not None:
        height = points[body.vertex_points[feet], 2]
        along[feet] = (height - height.min()) / np.ptp(height)
    return along


def _joined_faces(body: BareBody, shells: list[Shell]) -> tuple[np.ndarray, np.ndarray]:
    faces, materials, start = [body.faces], [body.regions], len(body.vertex_points)
    for shell in shells:
        faces.append(shell.faces + start)
        materials.append(np.full(len(shell.faces), MATERIAL[shell.material]))
        start += len(shell.vertices)
    return np.concatenate(faces).astype(np.int32), np.concatenate(materials).astype(np.int16)


def _tints(outfit: Outfit, body: BareBody, num_worn: int) -> np.ndarray:
    tints = (1 + body.lips[:, None] * (outfit.lips - 1))[body.vertex_points]
    return np.concatenate([tints, np.ones((num_worn, 3))]).astype(np.float32)


def _hands(materials: np.ndarray) -> np.ndarray:
    hands = np.full(len(materials), -1, np.int8)
    for side, name in enumerate(SIDES):
        hands[materials == MATERIAL[f"{name}_hand"]] = side
    return hands


def _back_from(rest_joints: np.ndarray) -> float:
    middle = [rest_joints[JOINT[f"{side}_{limb}"], 1] for side in SIDES for limb in ("shoulder", "hip")]
    return float(np.mean(middle)) + 0.01
