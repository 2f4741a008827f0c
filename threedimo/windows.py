"""How a clip longer than the model's own length is cut into overlapping windows of latent frames.

A Wan video autoencoder keeps the first frame by itself and packs every following `frame_step` frames into
one latent frame, so that `frame_step * k + 1` video frames are `k + 1` latent frames. A later window begins
with the last one or two latent frames of the window before it, kept clean, which carries the picture on; its
motion, its camera and its own time start at the last video frame that its first latent frame covers.
"""

from __future__ import annotations

from dataclasses import dataclass

from threedimo.wire.messages import ModelInfo


@dataclass(frozen=True)
class Window:
    """A stretch of latent frames that is denoised at once.

    Args:
        start: Index of its first latent frame in the clip.
        num_latent_frames: Its length, clean leading frames included.
        num_lead_latents: How many of them are clean: the reference image in the first window, the end of the
            window before in the others.
    """

    start: int
    num_latent_frames: int
    num_lead_latents: int

    @property
    def stop(self) -> int:
        """Index after its last latent frame in the clip."""
        return self.start + self.num_latent_frames

    def video_frames(self, frame_step: int) -> slice:
        """The driving and camera frames that belong to it, as a slice of the clip's frames."""
        return slice(frame_step * self.start, frame_step * (self.stop - 1) + 1)


def clip_windows(info: ModelInfo, num_frames: int, num_lead_latents: int) -> list[Window]:
    """The windows in which a model makes a clip of so many video frames; see `plan_windows`."""
    length, own = ((count - 1) // info.frame_step + 1 for count in (num_frames, info.num_frames))
    return plan_windows(length, own, num_lead_latents)


def plan_windows(num_latent_frames: int, window_latent_frames: int, num_lead_latents: int) -> list[Window]:
    """Cover a clip with windows.

    Every window is as long as the model's own clips, except the last, which ends with the clip.

    Args:
        num_latent_frames: Length of the clip.
        window_latent_frames: Length of a window.
        num_lead_latents: Clean frames that a later window takes over from the one before.
    """
    if not 1 <= num_lead_latents < window_latent_frames:
        raise ValueError(
            f"a window of {window_latent_frames} latent frames cannot start with {num_lead_latents}"
        )
    windows = [Window(0, min(num_latent_frames, window_latent_frames), 1)]
    while windows[-1].stop < num_latent_frames:
        start = windows[-1].stop - num_lead_latents
        length = min(window_latent_frames, num_latent_frames - start)
        windows.append(Window(start, length, num_lead_latents))
    return windows
