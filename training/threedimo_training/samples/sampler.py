"""Draws view-rich samples: one motion performed by two synthetic people in two places under two cameras."""

from __future__ import annotations

import numpy as np

from threedimo_training.renderers.renderer import Rendered, Renderer
from threedimo_training.samples.hands import HAND_CROP_SIZE, close_ups, hand_boxes
from threedimo_training.samples.motions import MotionSource, ProceduralMotions
from threedimo_training.samples.sample import Sample
from threedimo_training.samples.staging import StagedClip, StagedSample, stage_sample


def draw_sample(
    rng: np.random.Generator,
    renderer: Renderer,
    *,
    sample_id: str,
    seed: int,
    size: int,
    num_frames: int,
    fps: float,
    role: str,
    held_out: bool = False,
    same_person: bool = False,
    motions: MotionSource | None = None,
    plain: bool = False,
) -> Sample:
    """Draw one sample of the view-rich data (data section of the paper).

    Args:
        rng: Decides everything: the same state gives the same sample.
        renderer: Makes the pictures.
        sample_id: Its name.
        seed: Recorded in the sample.
        size: Width and height of both clips in pixels.
        num_frames: Frames of both clips.
        fps: Frames per second of both clips.
        role: "same_view": one still camera films both. "cross_view": two still cameras at unrelated sides.
            "moving_camera": the target's camera makes a move of the vocabulary; the driving one is anywhere,
            and moves in half of the samples.
        held_out: Draw people and motions that training never sees, instead of those it sees.
        same_person: Let one person in one place be both driver and target.
        motions: Where motions come from; procedural ones unless given.
        plain: People in single colours in bare places: for pictures so small that patterns are narrower than
            a pixel, and a generator could only learn to blur them.

    Raises:
        InvalidRequest: The role is unknown.
        InvalidMotion: A recorded motion cannot be used.
    """
    staged = stage_sample(
        rng,
        motions or ProceduralMotions(),
        size=size,
        num_frames=num_frames,
        fps=fps,
        role=role,
        held_out=held_out,
        same_person=same_person,
        plain=plain,
    )
    return _filmed(renderer, staged, sample_id, seed)


def _filmed(renderer: Renderer, staged: StagedSample, sample_id: str, seed: int) -> Sample:
    clips, boxes = [], []
    for clip in (staged.driving, staged.target):
        pictures = _film(renderer, clip)
        boxes.append(hand_boxes(clip, pictures.hand_cover))
        clips.append(clip.filmed(pictures.frames, pictures.silhouettes, boxes[-1]))
    return Sample(
        sample_id=sample_id,
        role=staged.role,
        driving=clips[0],
        target=clips[1],
        fps=staged.target.path.fps,
        motion_id=staged.motion_id,
        held_out=staged.held_out,
        seed=seed,
        source="synthetic",
        hand_crops=_hand_crops(renderer, staged.driving, boxes[0]),
    )


def _film(renderer: Renderer, clip: StagedClip) -> Rendered:
    path = clip.path
    return renderer.render(
        clip.person, clip.posed, clip.scene, path.world_from_camera, path.intrinsics, path.width, path.height
    )


def _hand_crops(renderer: Renderer, clip: StagedClip, boxes: np.ndarray) -> np.ndarray:
    """(F, 2, C, C, 3) uint8: what is in the boxes; black where not seen."""
    crops = np.zeros((*boxes.shape[:2], HAND_CROP_SIZE, HAND_CROP_SIZE, 3), np.uint8)
    near = close_ups(clip, boxes)
    if near is not None:
        shot = near.shot
        filmed = renderer.render(
            shot.person, shot.posed, shot.scene, shot.world_from_camera, shot.intrinsics,
            HAND_CROP_SIZE, HAND_CROP_SIZE,
        )  # fmt: skip
        crops[near.frame, near.hand] = filmed.frames
    return crops
