"""A synthetic person of capsules and a camera on a circle, for the renderers' tests."""

from __future__ import annotations

import numpy as np
import pytest

from threedimo_training.motion.skeleton import (
    JOINT,
    JOINT_NAMES,
    NUM_JOINTS,
    PARENTS,
    Posed,
    axis_angle_matrices,
    forward_kinematics,
)
from threedimo_training.people.person import RINGS, SOLID, Cloth, Person
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.renderers.renderer import Renderer
from threedimo_training.renderers.torch_renderer import TorchRenderer

_SKIN, _SHIRT, _TROUSERS, _SHOES, _HAIR = range(5)
_CENTRE = {"pelvis": 0.95, "spine1": 1.06, "spine2": 1.18, "spine3": 1.28, "neck": 1.48, "head": 1.57}
_SIDE = {
    "hip": (0.09, 0, 0.9), "knee": (0.1, 0, 0.49), "ankle": (0.1, 0.02, 0.08), "foot": (0.11, -0.12, 0.03),
    "collar": (0.06, 0, 1.42), "shoulder": (0.18, 0, 1.42), "elbow": (0.45, 0, 1.42),
    "wrist": (0.69, 0, 1.42), "hand": (0.78, 0, 1.42),
}  # fmt: skip
# End, radius at either end, material of the capsules that hang on a joint.
_LIMBS = {
    "pelvis": ("spine2", 0.14, 0.13, _TROUSERS), "spine2": ("neck", 0.13, 0.12, _SHIRT),
    "neck": ("head", 0.06, 0.06, _SKIN), "head": (None, 0.11, 0.1, _HAIR),
    "hip": ("knee", 0.09, 0.06, _TROUSERS), "knee": ("ankle", 0.06, 0.045, _TROUSERS),
    "ankle": ("foot", 0.05, 0.04, _SHOES), "shoulder": ("elbow", 0.06, 0.05, _SHIRT),
    "elbow": ("wrist", 0.05, 0.035, _SKIN), "wrist": ("hand", 0.03, 0.03, _SKIN),
}  # fmt: skip


def _rest_joints() -> np.ndarray:
    joints = np.zeros((NUM_JOINTS, 3))
    for joint, name in enumerate(JOINT_NAMES):
        if name in _CENTRE:
            joints[joint] = (0, 0, _CENTRE[name])
        else:
            side, part = name.split("_")
            sign = 1 if side == "left" else -1
            if part in _SIDE:
                joints[joint] = np.array(_SIDE[part]) * (sign, 1, 1)
            else:
                across = {"index": -0.03, "middle": -0.01, "ring": 0.01, "pinky": 0.03, "thumb": -0.05}[
                    part[:-1]
                ]
                joints[joint] = (sign * (0.76 + 0.03 * int(part[-1])), across, 1.42)
    return joints


def _capsule(start: np.ndarray, end: np.ndarray, radii: tuple[float, float], rings: int, sides: int):
    """Vertices, outward normals, faces and position along the axis (0 to 1) of a rounded tube."""
    axis = (end - start) / np.linalg.norm(end - start)
    first = np.cross(axis, [0.0, 1.0, 0.0] if abs(axis[1]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    tilt = np.concatenate([np.linspace(-np.pi / 2 + 0.02, 0, rings), np.linspace(0, np.pi / 2 - 0.02, rings)])
    at = np.repeat([0.0, 1.0], rings)
    middle = start + at[:, None] * (end - start)
    radius = np.repeat(radii, rings)
    angle = 2 * np.pi * np.arange(sides) / sides
    around = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    normals = np.cos(tilt)[:, None, None] * around + np.sin(tilt)[:, None, None] * axis
    vertices = middle[:, None] + radius[:, None, None] * normals
    faces = []
    for ring in range(2 * rings - 1):
        for i in range(sides):
            j = (i + 1) % sides
            a, b, c, d = ring * sides + i, ring * sides + j, (ring + 1) * sides + j, (ring + 1) * sides + i
            faces += [(a, b, c), (a, c, d)]
    for ring, flip in ((0, True), (2 * rings - 1, False)):  # lids
        for i in range(1, sides - 1):
            lid = [ring * sides, ring * sides + i, ring * sides + i + 1]
            faces.append(tuple(lid[::-1] if flip else lid))
    return vertices.reshape(-1, 3), normals.reshape(-1, 3), np.array(faces), np.repeat(at, sides)


def _cloth(rng: np.random.Generator, patterns: tuple[int, ...]) -> Cloth:
    colours = rng.uniform(0.2, 0.95, (5, 3, 3, 3)).astype(np.float32)
    kinds = np.full((5, 3), SOLID, np.int32)
    kinds[_SHIRT, :] = patterns[0]
    kinds[_TROUSERS, :] = patterns[1]
    colours[_SKIN] = (0.8, 0.6, 0.5)
    cuts = np.full((5, 2), 2.0, np.float32)
    cuts[_HAIR] = (0.3, 0.5)
    return Cloth(colours, kinds, np.full((5, 3), 0.12, np.float32), cuts)


def capsule_person(
    rings: int = 3, sides: int = 8, patterns: tuple[int, int] = (RINGS, SOLID), seed: int = 0
) -> Person:
    """A person of capsules; 12 sides and 12 rings give about 9,000 faces."""
    joints = _rest_joints()
    pieces = []
    for name in _LIMBS:
        for full in [name] if name in _CENTRE else [f"left_{name}", f"right_{name}"]:
            end, *radii, material = _LIMBS[name]
            prefix = "" if name in _CENTRE else full.split("_")[0] + "_"
            start = joints[JOINT[full]]
            to = (
                start + np.array([0, 0, 0.1])
                if end is None
                else joints[JOINT[end if end in _CENTRE else prefix + end]]
            )
            hand = {"left_wrist": 0, "right_wrist": 1}.get(full, -1)
            pieces.append((JOINT[full], _capsule(start, to, tuple(radii), rings, sides), material, hand))
    for joint, name in enumerate(JOINT_NAMES[24:], start=24):
        start = joints[joint]
        tube = _capsule(
            start, start + np.array([np.sign(start[0]) * 0.025, 0, 0]), (0.008, 0.007), max(2, rings // 2), 5
        )
        pieces.append((joint, tube, _SKIN, 0 if name.startswith("left") else 1))
    starts = np.cumsum([0] + [len(tube[0]) for _, tube, _, _ in pieces])
    bones = np.concatenate([np.full((len(tube[0]), 4), joint) for joint, tube, _, _ in pieces]).astype(
        np.int16
    )
    weights = np.zeros((len(bones), 4), np.float32)
    weights[:, 0] = 1.0
    along = np.concatenate([tube[3] for _, tube, _, _ in pieces]).astype(np.float32)
    shared = np.array([PARENTS[b] for b in bones[:, 0]])
    near = (along == 0) & (shared >= 0)
    bones[near, 1] = shared[near]
    weights[near, :2] = 0.5
    vertices = np.concatenate([tube[0] for _, tube, _, _ in pieces]).astype(np.float32)
    faces = np.concatenate([tube[2] + s for (_, tube, _, _), s in zip(pieces, starts[:-1], strict=True)])
    counts = [len(tube[2]) for _, tube, _, _ in pieces]
    rng = np.random.default_rng(seed)
    return Person(
        identity="capsules", vertices=vertices,
        normals=np.concatenate([tube[1] for _, tube, _, _ in pieces]).astype(np.float32),
        faces=faces.astype(np.int32), bones=bones, weights=weights, rest_joints=joints,
        materials=np.repeat([material for *_, material, _ in pieces], counts).astype(np.int16), along=along,
        tints=rng.uniform(0.9, 1.0, vertices.shape).astype(np.float32),
        hands=np.repeat([hand for *_, hand in pieces], counts).astype(np.int8), cloth=_cloth(rng, patterns),
        back_from_m=0.02, contact_vertices=np.arange(8, dtype=np.int32),
        sole_vertices=np.zeros((2, 2), np.int32),
    )  # fmt: skip


def stand(person: Person, num_frames: int = 1, arms: float = 1.2, turn: float = 0.0) -> Posed:
    """Standing with the arms lowered by `arms` radians, one leg forward, turning by `turn` over the clip."""
    vectors = np.zeros((num_frames, NUM_JOINTS, 3))
    vectors[:, JOINT["left_shoulder"], 1] = arms
    vectors[:, JOINT["right_shoulder"], 1] = -arms
    vectors[:, JOINT["left_hip"], 0] = np.linspace(-0.3, 0.2, num_frames)
    vectors[:, JOINT["right_elbow"], 2] = np.linspace(0.2, 1.2, num_frames)
    vectors[:, 0, 2] = np.linspace(0, turn, num_frames)
    roots = np.tile(person.rest_joints[0], (num_frames, 1))
    return forward_kinematics(person.rest_joints, axis_angle_matrices(vectors), roots)


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) world from an OpenCV camera."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def around(
    num_frames: int, *, azimuth: float = 0.0, sweep: float = 0.0, distance: float = 3.2, height: float = 1.3
):
    """(F, 4, 4) cameras that look at the middle of a person; azimuth 0 stands in front."""
    angles = azimuth + np.linspace(0, sweep, num_frames)
    target = np.array([0, 0, 0.9])
    return np.stack(
        [look_at(np.array([distance * np.sin(a), -distance * np.cos(a), height]), target) for a in angles]
    )


def lens(num_frames: int, width: int, height: int, focal: float = 1.3) -> np.ndarray:
    """(F, 3, 3) with a focal length in picture heights."""
    matrix = np.array([[focal * height, 0, width / 2], [0, focal * height, height / 2], [0, 0, 1]])
    return np.tile(matrix, (num_frames, 1, 1))


def flat_person(
    vertices: list[tuple[float, float, float]], faces: list[tuple[int, int, int]], pattern: int = SOLID
) -> Person:
    """Bare faces on the pelvis, red in front, green where the pattern marks, blue at the back (y > 0.5)."""
    points = np.array(vertices, np.float32)
    count = len(points)
    colours = np.zeros((1, 3, 3, 3), np.float32)
    colours[:] = np.eye(3)
    joints = np.zeros((NUM_JOINTS, 3))
    joints[JOINT["left_shoulder"]], joints[JOINT["right_shoulder"]] = (0.4, 0, 1.2), (-0.4, 0, 1.2)
    joints[JOINT["spine3"], 2] = 0.8
    cloth = Cloth(
        colours, np.full((1, 3), pattern, np.int32), np.full((1, 3), 0.2, np.float32), np.full((1, 2), 2.0)
    )
    weights = np.zeros((count, 4), np.float32)
    weights[:, 0] = 1.0
    return Person(
        identity="flat", vertices=points, normals=np.tile(np.float32([0, -1, 0]), (count, 1)),
        faces=np.array(faces, np.int32), bones=np.zeros((count, 4), np.int16), weights=weights,
        rest_joints=joints, materials=np.zeros(len(faces), np.int16), along=np.zeros(count, np.float32),
        tints=np.ones((count, 3), np.float32), hands=np.full(len(faces), -1, np.int8), cloth=cloth,
        back_from_m=0.5, contact_vertices=np.zeros(1, np.int32), sole_vertices=np.zeros((2, 2), np.int32),
    )  # fmt: skip


class Studio:
    """What the tests film with, in one fixture: tests cannot import from here."""

    capsules = staticmethod(capsule_person)
    flat = staticmethod(flat_person)
    stand = staticmethod(stand)
    look_at = staticmethod(look_at)
    around = staticmethod(around)
    lens = staticmethod(lens)


@pytest.fixture(scope="session")
def studio() -> type[Studio]:
    return Studio


@pytest.fixture(scope="session")
def person() -> Person:
    return capsule_person()


@pytest.fixture(scope="session", params=["cpu", "torch"])
def renderer(request: pytest.FixtureRequest) -> Renderer:
    return CpuRenderer() if request.param == "cpu" else TorchRenderer("cpu")
