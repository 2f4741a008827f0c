"""One clip of one view: who is seen, what the camera does, and the pixels of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from threedimo.camera import CameraPath
from threedimo.people.hands import cut_hands
from threedimo.people.landmarks import PersonModels, SeenPerson
from threedimo.people.performer import hand_boxes
from threedimo_training.ingest.camera_check import CameraCheck, CameraVerdict
from threedimo_training.ingest.crops import Crop, boxes_through, steady_crop
from threedimo_training.ingest.recordings import View
from threedimo_training.ingest.texts import camera_moves, text_for
from threedimo_training.ingest.tracking import ClipLeftOut, People, PeopleTracker, Track, choose_person
from threedimo_training.samples.sample import FilmedClip

# A pose that differs by less than this from the first is that of a camera that stands still.
_STILL_POSE = 1e-6


@dataclass(frozen=True)
class ClipOptions:
    """What all clips of a call have in common.

    Attributes:
        size: Width and height of the samples in pixels.
        num_frames: Frames of a clip.
        fps: Frames per second.
        hand_size: Width and height of hand crops in pixels.
        people: Whom to take; see `tracking.choose_person`.
        captioner: Command that puts a clip into words, or None.
    """

    size: int
    num_frames: int
    fps: float
    hand_size: int
    people: People
    captioner: str | None


@dataclass(frozen=True, eq=False)
class TakenView:
    """One clip of one view, ready to be driver or target."""

    clip: FilmedClip
    hand_crops: np.ndarray
    moves: bool


def take_view(
    view: View, start: int, options: ClipOptions, models: PersonModels, person_id: str
) -> TakenView:
    """Look at one clip of a view, and cut it out.

    The clip is read twice, once to find the person and once to cut it out, so that no more than a piece of it
    is ever held at full size.

    Raises:
        ClipLeftOut: It shows nobody, or cannot be used as it is; the message says why.
        NoPerson: It shows several people and one was asked for.
        InvalidCameraPath: The view's camera ends before the clip does.
        MediaError: The video is damaged.
    """
    path = view.camera_between(start, options.num_frames)
    tracks, verdict = _watch(view, start, options, models)
    chosen = choose_person(
        tracks,
        options.people,
        file=view.video.path.name,
        start=start,
        num_frames=options.num_frames,
        fps=options.fps,
    )
    _check_agreement(path, verdict)
    crop = steady_crop(chosen.boxes(), view.video.info.width, view.video.info.height, options.size)
    frames, hands, boxes = _cut(view, start, options, crop, chosen.people(options.num_frames))
    path = None if path is None else crop.through(path, options.size)
    text = text_for(frames, path=path, caption=view.caption, captioner=options.captioner, verdict=verdict)
    clip = FilmedClip(frames=frames, person_id=person_id, text=text, path=path, hand_boxes=boxes)
    return TakenView(clip, hands, camera_moves(text, path, verdict))


def _watch(
    view: View, start: int, options: ClipOptions, models: PersonModels
) -> tuple[list[Track], CameraVerdict]:
    tracker, check = PeopleTracker(models), CameraCheck()
    for frame in view.video.frames(start, start + options.num_frames):
        check.add(frame, [person.box for person in tracker.add(frame)])
    return tracker.tracks, check.verdict()


def _check_agreement(path: CameraPath | None, verdict: CameraVerdict) -> None:
    """A camera file that says "still" for footage that moves belongs to other footage."""
    if path is None or verdict.state != "moving":
        return
    spread = np.abs(path.world_from_camera - path.world_from_camera[0]).max()
    if max(float(spread), float(np.abs(path.intrinsics - path.intrinsics[0]).max())) < _STILL_POSE:
        raise ClipLeftOut(
            f"its camera file says that the camera stands still, and the background moves by "
            f"{100 * verdict.shift:.2f}% of the picture"
        )


def _cut(
    view: View, start: int, options: ClipOptions, crop: Crop, people: list[SeenPerson]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, hand crops and hand boxes of the clip."""
    size, hand_size = options.size, options.hand_size
    frames = np.empty((options.num_frames, size, size, 3), np.uint8)
    hands = np.zeros((options.num_frames, 2, hand_size, hand_size, 3), np.uint8)
    in_video = hand_boxes(people)
    boxes = boxes_through(in_video, crop, size)
    in_video[np.isnan(boxes[..., 0])] = np.nan
    for index, frame in enumerate(view.video.frames(start, start + options.num_frames)):
        frames[index] = crop.cut(frame, size)
        hands[index] = cut_hands(frame, in_video[index], hand_size)
    return frames, hands, boxes
