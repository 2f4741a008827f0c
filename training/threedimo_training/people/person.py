"""A person ready to be posed and painted: the one form that body sources make and renderers read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo_training.motion.skeleton import Posed

SOLID, RINGS, STRIPES, CHECKS, DOTS, LOGO = range(6)
NUM_BANDS = 3


@dataclass(frozen=True, eq=False)
class Cloth:
    """How the surface is coloured: M materials of up to three bands each. Colours are RGB in [0, 1].

    A face shows its material. Which band of it a point shows follows from the point's interpolated
    `Person.along` (0 at the material's beginning to 1 at its end): band 0 below ``cuts[m, 0]``, band 1 below
    ``cuts[m, 1]``, else band 2. A band has a colour in front, a second colour that its pattern mixes in, and
    a colour at the back (where the rest pose's y is above `Person.back_from_m`); patterns other than RINGS
    and STRIPES show in front only.

    Attributes:
        colours: (M, 3 bands, 3 of front, second, back, 3) float32.
        patterns: (M, 3 bands) int32, one of SOLID ... LOGO, evaluated at the rest pose's position.
        periods_m: (M, 3 bands) float32, size of the pattern.
        cuts: (M, 2) float32, rising; above 1 where a band fills the rest.
    """

    colours: np.ndarray
    patterns: np.ndarray
    periods_m: np.ndarray
    cuts: np.ndarray


@dataclass(frozen=True, eq=False)
class Person:
    """A skinned, dressed body at rest: arms stretched sideways, axes as in `motion.skeleton`, soles at z = 0.

    Attributes:
        identity: Name that decides everything about the person, for example "anny-17-4711".
        vertices: (V, 3) float32 metres, hair and skirts included.
        normals: (V, 3) float32, unit, of the rest pose.
        faces: (T, 3) int32, counter-clockwise seen from outside.
        bones: (V, 4) int16, the joints that move a vertex.
        weights: (V, 4) float32, their shares, summing to 1.
        rest_joints: (54, 3) float64 metres.
        materials: (T,) int16, which material of `cloth` a face shows.
        along: (V,) float32, position within the material, 0 to 1.
        tints: (V, 3) float32, factors on the colour (lips, brows, eyes), 1 where there is none.
        hands: (T,) int8, 0 for a face of the left hand, 1 of the right, -1 elsewhere.
        cloth: The colours.
        back_from_m: Rest-pose y above which a point counts as the back.
        contact_vertices: (C,) int32, vertices that can touch the floor: soles, knees, seat, hands, head.
        sole_vertices: (2, 2) int32, heel and ball of the left and the right foot.
    """

    identity: str
    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    rest_joints: np.ndarray
    materials: np.ndarray
    along: np.ndarray
    tints: np.ndarray
    hands: np.ndarray
    cloth: Cloth
    back_from_m: float
    contact_vertices: np.ndarray
    sole_vertices: np.ndarray

    @property
    def height_m(self) -> float:
        """Standing height with hair."""
        return float(np.ptp(self.vertices[:, 2]))

    def skinned(self, posed: Posed, vertices: np.ndarray | slice = slice(None)) -> np.ndarray:
        """World positions (F, V, 3) float32 of (some) vertices by linear blend skinning."""
        rest, bones, weights = self.vertices[vertices], self.bones[vertices], self.weights[vertices]
        shift = posed.positions - np.einsum("fjab,jb->fja", posed.rotations, self.rest_joints)
        moved = np.zeros((posed.num_frames, len(rest), 3))
        for slot in range(bones.shape[1]):
            bone = bones[:, slot]
            placed = np.einsum("fvab,vb->fva", posed.rotations[:, bone], rest) + shift[:, bone]
            moved += weights[:, slot, None] * placed
        return moved.astype(np.float32)
