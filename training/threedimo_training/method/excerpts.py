"""What of a clip is trained on at once: some latent frames, and the video frames that they cover."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from threedimo.models.motion_context import TEMPORAL_COMPRESSION

TWO_LEAD_SHARE, CONTINUATION_SHARE = 0.15, 0.15


@dataclass(frozen=True)
class Excerpt:
    """Latent frames of a clip in their order; gaps are jump cuts.

    Attributes:
        latent_frames: Their numbers in the clip.
        num_lead: How many of them lead: they are clean and carry no loss.
    """

    latent_frames: list[int]
    num_lead: int = 1

    @property
    def video_frames(self) -> list[int]:
        """The last video frame of the first latent frame, and all of the others; see `threedimo.windows`."""
        first, *later = self.latent_frames
        covered = [TEMPORAL_COMPRESSION * frame - back for frame in later for back in (3, 2, 1, 0)]
        return [TEMPORAL_COMPRESSION * first, *covered]

    @property
    def last_video_frames(self) -> list[int]:
        """The last video frame of each latent frame."""
        return [TEMPORAL_COMPRESSION * frame for frame in self.latent_frames]

    @property
    def begins_later(self) -> bool:
        """Whether the clip's first frame is left out: the second of its latent frames leads."""
        return self.latent_frames[0] > 0


def whole_clip(num_latent_frames: int) -> Excerpt:
    """All of a clip, after its first frame."""
    return Excerpt(list(range(num_latent_frames)))


def draw_stretch(num_latent_frames: int, generator: torch.Generator) -> Excerpt:
    """Mostly the whole clip after its reference frame.

    At times with two clean frames, or without the clip's first latent frame, as a later window of a long clip
    sees it.
    """
    draw = float(torch.rand(1, generator=generator))
    frames = list(range(num_latent_frames))
    if draw < CONTINUATION_SHARE:
        return Excerpt(frames[1:])
    return Excerpt(frames, 2 if draw < CONTINUATION_SHARE + TWO_LEAD_SHARE else 1)


def draw_pair(num_latent_frames: int, generator: torch.Generator) -> Excerpt:
    """The reference frame and one other, any time later."""
    return Excerpt([0, int(torch.randint(1, num_latent_frames, (1,), generator=generator))])
