"""The bodies that come with the package: 40 identities of one topology, made by `tools/bake_bodies.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from threedimo_training.motion.held_out import is_held_out
from threedimo_training.people.bare_body import BareBody

# Body 0 is the standard adult; the others differ in age, stature, build and face.
NUM_BODIES = 40


@dataclass(frozen=True, eq=False)
class BakedBodies:
    """The file's arrays; what bodies share is told in `BareBody`.

    Attributes:
        points: (B, N, 3) float64 metres.
        rest_joints: (B, 54, 3) float64 metres.
        ages: (B,) see `BareBody.age`.
        genders: (B,) see `BareBody.gender`.
        shared: The arrays that all bodies share, by `BareBody`'s names.
        measured: Errors of the bake by name, millimetres.
    """

    points: np.ndarray
    rest_joints: np.ndarray
    ages: np.ndarray
    genders: np.ndarray
    shared: dict[str, np.ndarray]
    measured: dict[str, float]

    def body(self, index: int) -> BareBody:
        """One of them, undressed."""
        return BareBody(
            name=f"anny-{index}",
            points=self.points[index],
            rest_joints=self.rest_joints[index],
            age=float(self.ages[index]),
            gender=float(self.genders[index]),
            **self.shared,
        )


@cache
def load_bodies() -> BakedBodies:
    """Read the package's file, once per process."""
    file = resources.files("threedimo_training.people").joinpath("bodies.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        whole = ("faces", "bones", "regions", "contact_vertices", "sole_vertices")
        real = ("weights", "along", "lips")
        shared = {name: arrays[name].astype(np.int32) for name in whole}
        shared |= {name: arrays[name].astype(np.float64) for name in real}
        shared["vertex_points"] = arrays["points"].astype(np.int32)
        measured = zip(arrays["measured_names"].tolist(), arrays["measured"].tolist(), strict=True)
        return BakedBodies(
            arrays["vertices"] * float(arrays["unit_m"]),
            arrays["rest_joints"].astype(np.float64),
            arrays["ages"],
            arrays["genders"],
            shared,
            dict(measured),
        )


def body_of(seed: int) -> int:
    """Which body a person's seed has, 0 to `NUM_BODIES` - 1."""
    return int(np.random.default_rng([11, seed]).integers(NUM_BODIES))


def is_held_out_person(seed: int) -> bool:
    """Whether the person of a seed is kept for evaluation.

    Held out are whole bodies, ``is_held_out("identity", "anny-<body index>")``, in whatever clothes, and
    single people on other bodies, ``is_held_out("identity", "anny-<body index>-<seed>")``.
    """
    body = f"anny-{body_of(seed)}"
    return is_held_out("identity", body) or is_held_out("identity", f"{body}-{seed}")
