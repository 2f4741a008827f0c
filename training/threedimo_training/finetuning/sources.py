"""Where a training's clips come from: folders of shards, or the data engine as the training goes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from threedimo.errors import InvalidRequest, InvalidShard
from threedimo.media.writing import storage_errors
from threedimo_training.finetuning.caches import LatentFile, content_key
from threedimo_training.finetuning.clips import ClipFormat, TrainingClip
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.sample import ROLES, Role
from threedimo_training.samples.sampler import draw_sample
from threedimo_training.shards.reader import ShardFolder

SYNTHETIC = "synthetic"
# What a training step decodes of a stored sample; the target's frames are cached as latents.
_FIELDS = ("driving_frames", "hand_crops", "hand_boxes", "paths", "poses")


class ClipSource(Protocol):
    """Where a training's clips come from."""

    def clip(self, role: Role, rng: np.random.Generator) -> TrainingClip:
        """Draw a clip that may be trained on; the same state of `rng` gives the same clip."""
        ...

    def held_out(self, count: int) -> list[TrainingClip]:
        """Some that are never trained on, always the same, with their targets."""
        ...


class SyntheticClips:
    """Samples of the data engine, drawn as the training goes and never twice.

    Raises:
        InvalidRequest: The pictures are not square, which the engine's are.
    """

    def __init__(self, clip_format: ClipFormat):
        wanted = clip_format.clips
        if wanted.width != wanted.height:
            raise InvalidRequest(
                "synthetic samples are square",
                given=f"{wanted.width}x{wanted.height}",
                remedy="give a square --size, or --data with clips of this shape",
            )
        self._format, self._renderer = clip_format, CpuRenderer()

    def clip(self, role: Role, rng: np.random.Generator) -> TrainingClip:
        """Draw and film a sample."""
        return self._drawn(role, rng, held_out=False)

    def held_out(self, count: int) -> list[TrainingClip]:
        """People and motions that training never sees; roles take turns."""
        return [
            self._drawn(ROLES[number % len(ROLES)], np.random.default_rng([number]), held_out=True)
            for number in range(count)
        ]

    def _drawn(self, role: Role, rng: np.random.Generator, *, held_out: bool) -> TrainingClip:
        wanted = self._format.clips
        sample = draw_sample(
            rng,
            self._renderer,
            sample_id="drawn",
            seed=0,
            size=wanted.width,
            num_frames=wanted.num_frames,
            fps=wanted.fps,
            role=role,
            held_out=held_out,
        )
        return self._format.prepared(sample)


class ShardClips:
    """Samples of folders of shards, with cached latents.

    Args:
        folders: Each holds shards and their index.
        clip_format: Every sample must fit it.
        cache: Folder of the latents.
        autoencoder: Fingerprint of what encodes them.

    Raises:
        InvalidShard: A shard is damaged, a sample does not fit, or a role that the paper's later stages need
            is missing.
    """

    def __init__(self, folders: list[Path], clip_format: ClipFormat, cache: Path, autoencoder: str):
        self._format, self._cache = clip_format, cache
        # checksums are compared once, where targets are encoded; later damage shows in what is decoded
        self._folders = [ShardFolder(folder, fields=_FIELDS, verify=False) for folder in folders]
        self._whole = [ShardFolder(folder) for folder in folders]
        wanted = clip_format.clips
        size = f"{wanted.width}x{wanted.height}x{wanted.num_frames}"
        self._files: list[tuple[int, int, int, LatentFile]] = []
        self._by_role: dict[str, list[tuple[int, int]]] = {role: [] for role in ROLES}
        self._held_out: list[tuple[int, int]] = []
        self.texts: set[str] = set()
        self._file_of: dict[tuple[int, int], tuple[LatentFile, int]] = {}
        for number, folder in enumerate(self._folders):
            self._add(number, folder, autoencoder, size)
        self._require_roles()

    def _add(self, number: int, folder: ShardFolder, autoencoder: str, size: str) -> None:
        first = 0
        for entry in folder.entries:
            key = content_key(entry.blake2b, autoencoder, size)
            file = LatentFile(self._cache / f"{key}.safetensors")
            self._files.append((number, first, entry.samples, file))
            for index in range(first, first + entry.samples):
                facts = folder.facts(index)
                self._format.check(facts, str(folder.folder / entry.name))
                self._file_of[number, index] = file, index - first
                self.texts.add(facts.target.text)
                places = self._held_out if facts.held_out else self._by_role[facts.role]
                places.append((number, index))
            first += entry.samples

    def _require_roles(self) -> None:
        missing = [role for role, places in self._by_role.items() if not places]
        if missing:
            raise InvalidShard(
                f"the data has no samples of {' and '.join(missing)} to train on",
                given=", ".join(str(folder.folder) for folder in self._folders),
                allowed="samples of every role: the paper's three stages need them all",
                remedy="add a folder to --data, for example one made by `threedimo-train render`",
            )

    def cache_latents(
        self, encode: Callable[[Tensor], Tensor], share: tuple[int, int], report: Callable[[str], None]
    ) -> None:
        """Encode the targets of every shard that has no latents yet.

        Args:
            encode: A batch of videos to latents.
            share: Which process this is, of how many: they share the work.
            report: Is told of every shard.
        """
        with storage_errors(self._cache):
            self._cache.mkdir(exist_ok=True)
        mine = self._files[share[0] :: share[1]]
        for done, (number, first, count, file) in enumerate(mine, start=1):
            if file.file.exists():
                continue

            def latents_of(index: int, number: int = number, first: int = first) -> Tensor:
                frames = self._whole[number][first + index].target.frames
                return encode(torch.from_numpy(self._format.target(frames))[None])[0]

            file.make(count, latents_of)
            report(f"latents {done}/{len(mine)} shards")

    def clip(self, role: Role, rng: np.random.Generator) -> TrainingClip:
        """Pick a sample of the role."""
        places = self._by_role[role]
        number, index = places[int(rng.integers(len(places)))]
        file, row = self._file_of[number, index]
        return replace(self._format.prepared(self._folders[number][index]), latents=file.read(row))

    def held_out(self, count: int) -> list[TrainingClip]:
        """Those that are marked as held out; fewer, if the folders hold fewer."""
        step = max(1, len(self._held_out) // count)
        return [
            self._format.prepared(self._whole[number][index])
            for number, index in self._held_out[::step][:count]
        ]

    def fingerprint(self) -> str:
        """Name the samples by their shards' checksums."""
        sums = (entry.blake2b for folder in self._folders for entry in folder.entries)
        return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:32]
