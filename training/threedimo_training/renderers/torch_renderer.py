"""The torch renderer: the same picture on any torch device, with everything staying there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from threedimo_training.motion.skeleton import Posed
from threedimo_training.people.person import Person
from threedimo_training.renderers.geometry import bone_matrices, pattern_places, projections, ray_matrices
from threedimo_training.renderers.picture import SAMPLES
from threedimo_training.renderers.renderer import Rendered, Shot, check_size
from threedimo_training.renderers.scene import Scene
from threedimo_training.renderers.torch_person import Hits, Paint, shade_person
from threedimo_training.renderers.torch_raster import NOTHING, cast_shadow, draw, face_of, skin, transform
from threedimo_training.renderers.torch_surroundings import (
    Looks,
    block_corners,
    places_of,
    shade_surroundings,
)

# Rays that are level in an axis would divide by zero.
_LEAST = 1e-9
# What a frame needs at its peak for each sample and each face: measured with 64 to 256 pixels and 9,000 to
# 12,000 faces, rounded up. What a pair of a face and a sample needs follows from `torch_raster._test`.
_BYTES_PER_SAMPLE = 280
_BYTES_PER_FACE = 320
_BYTES_PER_TEST = 200


@dataclass(frozen=True, eq=False)
class RenderedTensors:
    """Frames of several shots, one after the other, on the renderer's device.

    Attributes:
        frames: (F, H, W, 3) uint8 RGB.
        silhouettes: (F, H, W) bool, where the person covers at least half of the pixel.
        hand_cover: (F, 2) float32, the share of the picture that each visible hand covers.
    """

    frames: Tensor
    silhouettes: Tensor
    hand_cover: Tensor


class TorchRenderer:
    """Renders batches of frames of several people at once; see `Renderer`.

    Args:
        device: Where everything is computed and stays.
        memory_bytes: About how much the intermediate tensors may take; more frames at once are faster.
    """

    def __init__(self, device: torch.device | str, memory_bytes: int = 2 << 30):
        self.device = torch.device(device)
        self.memory_bytes = memory_bytes

    def render(
        self,
        person: Person,
        posed: Posed,
        scene: Scene,
        world_from_camera: np.ndarray,
        intrinsics: np.ndarray,
        width: int,
        height: int,
    ) -> Rendered:
        """Make one picture for every pose; arguments and errors as in `Renderer.render`."""
        check_size(width, height)
        shot = Shot(person, posed, scene, world_from_camera, intrinsics)
        made = self.render_shots([shot], width, height)
        return Rendered(
            made.frames.cpu().numpy(), made.silhouettes.cpu().numpy(), made.hand_cover.cpu().numpy()
        )

    @torch.no_grad()
    def render_shots(self, shots: Sequence[Shot], width: int, height: int) -> RenderedTensors:
        """Render all frames of several shots, of any lengths and people, without leaving the device.

        Args:
            shots: At least one.
            width: Of every picture, pixels.
            height: Of every picture, pixels.

        Returns:
            The frames of the first shot, then those of the second, and so on.

        Raises:
            UnsupportedSize: Width or height is out of range.
        """
        check_size(width, height)
        cast = _Cast(shots, self.device)
        per_frame = SAMPLES**2 * width * height * _BYTES_PER_SAMPLE + cast.faces.shape[1] * _BYTES_PER_FACE
        at_once = max(1, self.memory_bytes // per_frame)
        pieces_of = max(1, self.memory_bytes // _BYTES_PER_TEST)
        made = [
            _render_chunk(cast, chunk, SAMPLES * height, SAMPLES * width, pieces_of)
            for chunk in cast.chunks(at_once)
        ]
        return RenderedTensors(*(torch.cat(parts) for parts in zip(*made, strict=True)))


class _Cast:
    """People, poses, cameras and places of S shots as tensors, people padded to the largest of them."""

    def __init__(self, shots: Sequence[Shot], device: torch.device):
        self.device = device
        self.scenes = [shot.widened_scene() for shot in shots]
        self.lengths = [shot.num_frames for shot in shots]
        people = [shot.person for shot in shots]
        self.vertices = self._padded([p.vertices for p in people])
        self.normals = self._padded([p.normals for p in people])
        self.bones = self._padded([p.bones.astype(np.int64) for p in people])
        self.weights = self._padded([p.weights for p in people])
        self.faces = self._padded([p.faces.astype(np.int64) for p in people])
        self.materials = self._padded([p.materials.astype(np.int64) for p in people])
        self.hands = self._padded([p.hands.astype(np.int64) for p in people])
        surface = [np.concatenate([p.vertices, p.tints, p.along[:, None]], axis=1) for p in people]
        self.surface = self._padded(surface)
        self.present = self._padded([np.ones(len(p.vertices), bool) for p in people])
        self.bone_matrices = self._joined([bone_matrices(s.person, s.posed) for s in shots])
        self.projections = self._joined([projections(s.world_from_camera, s.intrinsics) for s in shots])
        self.rays = self._joined([ray_matrices(s.world_from_camera, s.intrinsics) for s in shots])
        self.eyes = self._joined([s.world_from_camera[:, :3, 3] for s in shots])
        self.paint = self._paint(people)
        self.places = places_of(self.scenes, device)
        self.block_corners, block_faces = block_corners(self.places.blocks)
        # all that is drawn: the person's faces, then those of the blocks, whose corners follow the vertices
        block_faces = (block_faces + self.vertices.shape[1]).expand(len(shots), -1, -1)
        self.drawn_faces = torch.cat([self.faces, block_faces], dim=1)

    def chunks(self, at_once: int) -> Iterator[list[tuple[int, int, int]]]:
        """Groups of up to so many frames, as (shot, first frame, end) with frames counted over all shots."""
        chunk, room, begin = [], at_once, 0
        for shot, length in enumerate(self.lengths):
            first, end = begin, begin + length
            while first < end:
                stop = min(end, first + room)
                chunk.append((shot, first, stop))
                room -= stop - first
                first = stop
                if room == 0:
                    yield chunk
                    chunk, room = [], at_once
            begin = end
        if chunk:
            yield chunk

    def _moved(self, values: np.ndarray) -> Tensor:
        if np.issubdtype(values.dtype, np.floating):
            values = values.astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _joined(self, parts: list[np.ndarray]) -> Tensor:
        return self._moved(np.concatenate(parts))

    def _padded(self, parts: list[np.ndarray]) -> Tensor:
        """(S, longest, ...) with zeros behind the shorter ones."""
        full = np.zeros((len(parts), max(len(part) for part in parts), *parts[0].shape[1:]), parts[0].dtype)
        for row, part in zip(full, parts, strict=True):
            row[: len(part)] = part
        return self._moved(full)

    def _paint(self, people: list[Person]) -> Paint:
        cloths = [p.cloth for p in people]
        counts = [len(cloth.colours) for cloth in cloths]
        return Paint(
            self._moved(np.cumsum([0, *counts[:-1]])),
            self._joined([cloth.colours for cloth in cloths]),
            self._joined([cloth.patterns.astype(np.int64) for cloth in cloths]),
            self._joined([cloth.periods_m for cloth in cloths]),
            self._joined([cloth.cuts for cloth in cloths]),
            self._moved(np.stack([pattern_places(p) for p in people])),
        )


def _render_chunk(
    cast: _Cast, chunk: list[tuple[int, int, int]], rows: int, columns: int, pieces_of: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames, silhouettes and hand cover of one chunk."""
    frames = slice(chunk[0][1], chunk[-1][2])
    counts = torch.tensor([end - first for _, first, end in chunk])
    shot = torch.repeat_interleave(torch.tensor([s for s, _, _ in chunk]), counts).to(cast.device)
    projection = cast.projections[frames, None]
    posed = skin(
        cast.bone_matrices[frames], cast.vertices[shot], cast.normals[shot], cast.bones[shot],
        cast.weights[shot], projection[:, 0],
    )  # fmt: skip
    screen = torch.cat([posed.screen, transform(projection, cast.block_corners[shot])], dim=1)
    nearest = draw(screen, cast.drawn_faces[shot], rows, columns, pieces_of).reshape(-1)
    shadow = cast_shadow(posed.world, cast.faces[shot], cast.present[shot], cast.places.lamp[shot])
    face = face_of(nearest)
    num_faces = cast.faces.shape[1]
    covered = face < num_faces
    picture = torch.empty((len(face), 3), dtype=torch.float32, device=cast.device)

    at = covered.nonzero()[:, 0]
    view = _View(at, frames, shot, rows, columns, cast)
    corner, face_at = cast.faces[view.shot, face[at]], view.frame[:, None]
    hits = Hits(
        shot=view.shot,
        material=cast.materials[view.shot, face[at]],
        x=view.x,
        y=view.y,
        screen=posed.screen[face_at, corner],
        turned=posed.turned[face_at, corner],
        surface=cast.surface[view.shot[:, None], corner],
        ray=view.ray,
    )
    picture[at] = shade_person(hits, cast.paint, cast.places)
    hand_cover = _hand_cover(view.frame, cast.hands[view.shot, face[at]], len(shot)) / (rows * columns)

    at = (~covered).nonzero()[:, 0]
    view = _View(at, frames, shot, rows, columns, cast)
    looks = Looks(
        frame=view.frame,
        shot=view.shot,
        eye=cast.eyes[frames][view.frame],
        ray=torch.where(view.ray.abs() > _LEAST, view.ray, _LEAST),
        spread=view.matrix[:, :, 0].square().sum(-1).sqrt(),
        block_side=torch.where(nearest[at] == NOTHING, -1, (face[at] - num_faces) // 2),
    )
    scenes = [cast.scenes[number] for number, _, _ in chunk]
    picture[at] = shade_surroundings(looks, cast.places, scenes, shadow)
    return (*_resolved(picture, covered, rows, columns), hand_cover)


class _View:
    """Where samples lie, numbered over all frames of a chunk, and their rays."""

    def __init__(self, at: Tensor, frames: slice, shot: Tensor, rows: int, columns: int, cast: _Cast):
        self.frame = at // (rows * columns)
        self.shot = shot[self.frame]
        inner = at - self.frame * (rows * columns)
        row = inner // columns
        self.x = (inner - row * columns).to(torch.float32) + 0.5
        self.y = row.to(torch.float32) + 0.5
        self.matrix = cast.rays[frames][self.frame]
        self.ray = (
            self.matrix[..., 0] * self.x[:, None]
            + self.matrix[..., 1] * self.y[:, None]
            + self.matrix[..., 2]
        )


def _hand_cover(frame: Tensor, hand: Tensor, num_frames: int) -> Tensor:
    """(F, 2) samples of each hand, from the frame and the hand (-1: none) of each of the person's samples."""
    samples = torch.zeros(num_frames * 3, dtype=torch.int64, device=frame.device)
    samples.scatter_add_(0, frame * 3 + hand + 1, torch.ones_like(frame))
    return samples.reshape(-1, 3)[:, 1:].to(torch.float32)


def _resolved(picture: Tensor, covered: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Frames (F, H, W, 3) uint8 and silhouettes (F, H, W) from samples (F x rows x columns, 3)."""
    shape = (-1, rows // SAMPLES, SAMPLES, columns // SAMPLES, SAMPLES)
    mean = picture.reshape(*shape, 3).mean(dim=(2, 4))
    share = covered.reshape(shape).to(torch.int32).sum(dim=(2, 4))
    return (mean * 255 + 0.5).to(torch.uint8), 2 * share >= SAMPLES**2
