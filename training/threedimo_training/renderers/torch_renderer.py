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
from threedimo_training.renderers.torch_person import Hits, Lights, Paint, shade_person
from threedimo_training.renderers.torch_raster import NOTHING, Shadow, cast_shadow, draw, face_of, skin
from threedimo_training.renderers.torch_surroundings import Colours, noise_table, palette, shade_surroundings

# Measured on the CPU with 9,000 faces: what a frame needs at its peak, rounded up.
_BYTES_PER_SAMPLE = 260
_BYTES_PER_FACE = 700
_BYTES_PER_TEST = 160


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
        self.palettes = self._moved(np.stack([palette(scene) for scene in self.scenes]))
        self.noise = noise_table(device)
        self.lights = Lights(
            *(self._moved(np.array([getattr(s, name) for s in self.scenes])) for name in Lights._fields)
        )

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
    posed = skin(
        cast.bone_matrices[frames], cast.vertices[shot], cast.normals[shot], cast.bones[shot],
        cast.weights[shot], cast.projections[frames],
    )  # fmt: skip
    faces = cast.faces[shot]
    nearest = draw(posed.screen, faces, rows, columns, pieces_of)
    shadow = cast_shadow(posed.world, faces, cast.present[shot], cast.lights.lamp[shot])
    picture = _surroundings(cast, chunk, shadow, rows, columns)
    covered = nearest != NOTHING
    frame, sample = covered.nonzero(as_tuple=True)
    face = face_of(nearest[frame, sample])
    corner = faces[frame, face]
    hits = Hits(
        shot=shot[frame],
        material=cast.materials[shot[frame], face],
        x=(sample % columns).to(torch.float32) + 0.5,
        y=(sample // columns).to(torch.float32) + 0.5,
        screen=posed.screen[frame[:, None], corner],
        turned=posed.turned[frame[:, None], corner],
        surface=cast.surface[shot[frame][:, None], corner],
        rays=cast.rays[frames][frame],
    )
    picture[frame, sample] = shade_person(hits, cast.paint, cast.lights)
    hand = cast.hands[shot[frame], face]
    hand_samples = torch.zeros(len(shot) * 3, dtype=torch.int64, device=cast.device)
    hand_samples.scatter_add_(0, frame * 3 + hand + 1, torch.ones_like(frame))  # -1: no hand
    hand_cover = hand_samples.reshape(-1, 3)[:, 1:].to(torch.float32) / (rows * columns)
    return (*_resolved(picture, covered, rows, columns), hand_cover)


def _surroundings(
    cast: _Cast, chunk: list[tuple[int, int, int]], shadow: Shadow, rows: int, columns: int
) -> Tensor:
    begin = chunk[0][1]
    parts = [
        shade_surroundings(
            cast.scenes[shot],
            Colours(cast.palettes[shot], cast.noise),
            cast.eyes[first:end],
            cast.rays[first:end],
            Shadow(*(part[first - begin : end - begin] for part in shadow)),
            rows,
            columns,
        )
        for shot, first, end in chunk
    ]
    return torch.cat(parts)


def _resolved(picture: Tensor, covered: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Frames (F, H, W, 3) uint8 and silhouettes (F, H, W) from samples (F, rows x columns, 3)."""
    shape = (rows // SAMPLES, SAMPLES, columns // SAMPLES, SAMPLES)
    mean = picture.unflatten(1, shape).mean(dim=(2, 4))
    share = covered.unflatten(1, shape).to(torch.int32).sum(dim=(2, 4))
    return (mean * 255 + 0.5).to(torch.uint8), 2 * share >= SAMPLES**2
