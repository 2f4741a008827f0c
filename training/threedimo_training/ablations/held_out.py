"""People, motions and cameras that no training has seen, in the same form as the clips that are trained on.

Clip by clip the same as those of `threedimo-train evaluate` with the same seed. Each clip is followed by the
one whose motion and text are its wrong inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

from threedimo.media.writing import storage_errors
from threedimo_training.ablations.ground import Ground
from threedimo_training.embedded.cached_clips import CachedClips, cache_shards
from threedimo_training.embedded.latent_files import LatentFolder, write_latents
from threedimo_training.evaluation.drawing import held_out_samples
from threedimo_training.evaluation.held_out_clips import SPLITS, HeldOutClip, SampleDrawer, held_out_clip
from threedimo_training.renderers.cpu import CpuRenderer
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.index import INDEX_FILE
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.shards.writer import write_shards


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out clips.

    Attributes:
        count: Of each split.
        samples: Clip n at 2 n, its wrong inputs at 2 n + 1; splits one after the other.
        clips: The same, decoded.
        latents: Of their targets.
    """

    count: int
    samples: ShardFolder
    clips: CachedClips
    latents: LatentFolder

    def numbers(self, split: str) -> range:
        """The clips of a split."""
        first = SPLITS.index(split) * self.count
        return range(first, first + self.count)

    def clip(self, split: str, index: int) -> HeldOutClip:
        """One clip, for the probe's measures."""
        number = self.numbers(split)[index]
        right, other = self.samples[2 * number], self.samples[2 * number + 1]
        return HeldOutClip(split, index, right, other, noise_seed=number)


def open_held_out(
    ground: Ground, folder: Path, count: int, autoencoder: AutoencoderKLWan, report: Callable[[str], None]
) -> HeldOut:
    """Draw, decode and encode what is not there yet.

    Args:
        ground: Size, length, rate and seed of the clips.
        folder: Where they are kept.
        count: Clips of each split.
        autoencoder: Makes the latents.
        report: Is told how it goes.

    Raises:
        InvalidShard: What is there is damaged.
        StorageError: The folder cannot be written.
    """
    shards, cached, encoded = folder / "shards", folder / "clips", folder / "latents"
    for each in (shards, encoded):
        with storage_errors(each):
            each.mkdir(parents=True, exist_ok=True)
    recipe, total = ground.recipe, 2 * count * len(SPLITS)
    there = len(ShardFolder(shards)) if (shards / INDEX_FILE).exists() else 0
    if there < total:
        report(f"drawing {total - there} held-out samples")
        drawer = held_out_samples(
            CpuRenderer(),
            recipe.seed,
            size=recipe.size,
            num_frames=recipe.num_frames,
            fps=recipe.fps,
            plain=recipe.plain,
        )
        write_shards(_drawn(drawer, there // 2, count, recipe.seed), shards)
    samples = ShardFolder(shards)
    cache_shards(cached, samples, lambda _: True)
    device = ground.clips.device
    clips = CachedClips(cached, device, resident=device.type == "cuda")
    for block in range(len(clips.files)):
        write_latents(encoded, clips, autoencoder, block)
    return HeldOut(count, samples, clips, LatentFolder(encoded, device))


def _drawn(draw: SampleDrawer, first: int, count: int, seed: int) -> Iterator[Sample]:
    for number in range(first, count * len(SPLITS)):
        split, index = SPLITS[number // count], number % count
        clip = held_out_clip(draw, split, index, seed)
        yield replace(clip.sample, sample_id=f"{split}-{index:05d}")
        yield replace(clip.other, sample_id=f"{split}-{index:05d}-other")
