"""`threedimo stabilize`: a shaky clip drives its own first frame, seen by a camera that stays.

Notable: the whole clip is made unless a part is asked for, and what cannot be made of it is said. The
recipe is `threedimo.applications.stabilization` (paper, applications), here in files.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from threedimo.applications import STEADY_CAMERA
from threedimo.errors import MediaTooSmall, UnsupportedFrameCount
from threedimo.media import VideoInfo, frame_counts_that_fit, probe_footage, read_footage, write_png
from threedimo.wire.messages import ModelInfo
from threedimo_server.generate import FinishedShot, make_shot, model_of, some_server
from threedimo_server.job_progress import JobProgress
from threedimo_server.output_folder import check_output
from threedimo_server.shot_inputs import ShotOptions, footage_files


@dataclass(frozen=True)
class StabilizeOptions:
    """What a person asks for.

    Attributes:
        clip: One video, one folder of pictures, or pictures in order.
        output: Folder to write.
        clip_fps: Frame rate of pictures in `clip`; None for a video.
        start_s: Seconds into the clip at which to begin.
        num_frames: Frames to make; None means as many of the clip as the model makes.
        fps: Frames per second to make; None means the model's own rate.
        follow_person: Cut the performer out of the clip by a square that follows, and locate the hands.
        size: "WIDTHxHEIGHT" or a shape, "9:16"; None is the model's own.
        num_inference_steps: Denoising steps; None means the model's own number.
        preset: Of the model's; "" is its own numbers.
        step_cache: See `threedimo.presets`; None is the preset's.
        seed: Equal seeds repeat.
        model_id: Of one of the server's models; "" is its first.
        overwrite: Replace an earlier result in `output`.
    """

    clip: tuple[Path, ...]
    output: Path
    clip_fps: float | None = None
    start_s: float = 0.0
    num_frames: int | None = None
    fps: float | None = None
    follow_person: bool = False
    size: str | None = None
    num_inference_steps: int | None = None
    preset: str = ""
    step_cache: str | None = None
    seed: int = 0
    model_id: str = ""
    overwrite: bool = False


def stabilize(options: StabilizeOptions, server: str | None = None) -> FinishedShot:
    """Make a clip steady, with a server as `generate` finds it; the contact sheet shows before and after.

    Raises:
        ThreeDimoError: Of any family; the output folder is then as it was before.
    """
    check_output(options.output, overwrite=options.overwrite)
    files = footage_files(options.clip, options.clip_fps)
    footage = probe_footage(files, fps=options.clip_fps)
    with (
        JobProgress() as progress,
        some_server(server, progress) as (client, check_alive),
        tempfile.TemporaryDirectory(prefix="threedimo-stabilize-") as folder,
    ):
        model = model_of(client, options.model_id)
        fps = model.fps if options.fps is None else options.fps
        num_frames = options.num_frames
        if num_frames is None:
            num_frames, left_out_s = whole_clip(footage, model, fps, options.start_s)
            progress.note(_told(num_frames, fps, left_out_s, model))
        first_frame = Path(folder) / "first_frame.png"
        first = read_footage(
            files, fps=options.clip_fps, start_s=options.start_s, num_frames=1, sample_fps=fps
        )
        write_png(first_frame, first[0])
        shot = ShotOptions(
            reference=first_frame,
            drive=options.clip,
            drive_fps=options.clip_fps,
            drive_start_s=options.start_s,
            text=STEADY_CAMERA,
            num_frames=num_frames,
            fps=fps,
            follow_person=options.follow_person,
            size=options.size,
            num_inference_steps=options.num_inference_steps,
            preset=options.preset,
            step_cache=options.step_cache,
            seed=options.seed,
            model_id=options.model_id,
            output=options.output,
            overwrite=options.overwrite,
        )
        return make_shot(client, shot, progress, check_alive)


def whole_clip(footage: VideoInfo, model: ModelInfo, fps: float, start_s: float) -> tuple[int, float]:
    """How many frames show all of a clip that the model can show, and the seconds at its end that it cannot.

    Args:
        footage: The clip.
        model: What makes it.
        fps: Rate of the result.
        start_s: Where in the clip the result begins.

    Raises:
        MediaTooSmall: The clip is shorter than the shortest shot.
        UnsupportedFrameCount: The clip is longer than the longest shot.
    """
    step, fewest = model.frame_step, model.frame_step + 1
    counts = [
        count
        for count in frame_counts_that_fit(footage, fps, start_s=start_s)
        if count >= fewest and (count - 1) % step == 0
    ]
    length_s = footage.duration_s - start_s
    if not counts:
        raise MediaTooSmall(
            "the clip is too short to be stabilised",
            given=f"{max(0.0, length_s):.2f} s" + (f" from {start_s:g} s on" if start_s else ""),
            allowed=f"at least {fewest} frames, which last {fewest / fps:.2f} s at {fps:g} fps",
            remedy="use a longer clip or a higher --fps" + (", or start earlier" if start_s else ""),
        )
    if counts[-1] > model.max_frames:
        longest = (model.max_frames - 1) // step * step + 1
        raise UnsupportedFrameCount(
            "the clip is longer than the model makes in one go",
            given=f"{length_s:.2f} s, {counts[-1]} frames at {fps:g} fps",
            allowed=f"at most {longest} frames, which last {longest / fps:.2f} s",
            remedy=f"make a part of it with --frames {longest} (and --drive-start for the next part), or "
            "choose a lower --fps",
        )
    return counts[-1], max(0.0, length_s - counts[-1] / fps)


def _told(num_frames: int, fps: float, left_out_s: float, model: ModelInfo) -> str:
    made = f"the clip becomes {num_frames} frames at {fps:g} fps"
    # Less than a frame is how rates round, and no picture is lost.
    if left_out_s * fps < 1 - 1e-6:
        return made
    why = f"the model makes {model.frame_step}k+1 frames"
    return f"{made}; its last {left_out_s:.2f} s are left out, as {why}"
