"""What a shot is made from, as a person names it on the command line, and the request that it becomes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from threedimo.camera import CameraPath, describe
from threedimo.errors import InvalidRequest, UnreadableMedia
from threedimo.media import Sampling, VideoInfo, check_covers, probe_footage, read_image
from threedimo.shot import Shot
from threedimo.wire.client import Client, make_asset
from threedimo.wire.messages import Asset, CameraTrack, Footage, GenerateRequest, ModelInfo
from threedimo.wire.sizes import read_size

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True)
class ShotOptions:
    """What a person asks for; None means the model's own default.

    Attributes:
        reference: Picture of the person.
        drive: One video, one folder of pictures, or pictures in order.
        output: Folder to write.
        drive_fps: Frame rate of pictures in `drive`; None for a video.
        drive_start_s: Seconds into the footage at which the shot starts.
        camera_path: File of a camera path, see `threedimo.camera`.
        text: The camera in words; None describes the camera path.
        num_frames: Frames to make.
        fps: Frames per second to make.
        size: "WIDTHxHEIGHT" or a shape, "9:16"; None is the model's own.
        num_inference_steps: Denoising steps.
        preset: Of the model's; "" is its own numbers.
        step_cache: See `threedimo.presets`; None is the preset's.
        seed: Equal seeds repeat.
        model_id: Of one of the server's models; "" is its first.
        follow_person: Cut the performer out of the footage by a square that follows, and locate the hands.
        overwrite: Replace an earlier result in `output`.
    """

    reference: Path
    drive: tuple[Path, ...]
    output: Path
    drive_fps: float | None = None
    drive_start_s: float = 0.0
    camera_path: Path | None = None
    text: str | None = None
    num_frames: int | None = None
    fps: float | None = None
    size: str | None = None
    num_inference_steps: int | None = None
    preset: str = ""
    step_cache: str | None = None
    seed: int = 0
    model_id: str = ""
    follow_person: bool = False
    overwrite: bool = False


def footage_files(drive: tuple[Path, ...], drive_fps: float | None) -> list[Path]:
    """The files of driving footage: a video, the pictures of a folder in natural order, or what was listed.

    Raises:
        UnreadableMedia: The folder holds no pictures, or other files too.
        InvalidRequest: Pictures without a rate, or a video with one.
    """
    files = list(drive)
    if len(files) == 1 and files[0].is_dir():
        files = _pictures_in(files[0])
    are_pictures = files[0].suffix.lower() in PICTURE_SUFFIXES
    if are_pictures and drive_fps is None:
        raise InvalidRequest(
            "pictures have no frame rate of their own",
            given=f"{len(files)} pictures",
            remedy="say how fast they play, for example --drive-fps 24",
        )
    if not are_pictures and drive_fps is not None:
        raise InvalidRequest(
            "a video has its own frame rate",
            given=f"--drive-fps {drive_fps:g}",
            remedy="leave --drive-fps out",
        )
    return files


def _pictures_in(folder: Path) -> list[Path]:
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    others = sorted(entry.name for entry in entries if entry.suffix.lower() not in PICTURE_SUFFIXES)
    if others or not entries:
        raise UnreadableMedia(
            "a folder of driving footage must hold its pictures and nothing else",
            given=f"{folder}: {', '.join(others[:3]) if others else 'it is empty'}",
            allowed=f"files ending in {', '.join(sorted(PICTURE_SUFFIXES))}",
            remedy="list the pictures themselves after --drive",
        )
    # As people count: frame_2 before frame_10.
    return sorted(
        entries, key=lambda entry: [int(part) if part.isdigit() else part for part in _parts(entry)]
    )


def _parts(entry: Path) -> list[str]:
    return re.split(r"(\d+)", entry.name)


@dataclass(frozen=True)
class ShotInputs:
    """Files of a shot that were looked at and can be used.

    Attributes:
        files: Of the driving footage.
        footage: What it is.
        camera: The camera's path, if there is one.
    """

    files: list[Path]
    footage: VideoInfo
    camera: CameraPath | None


def read_inputs(options: ShotOptions) -> ShotInputs:
    """Look at the files of a shot; no model and no server is needed for that.

    Raises:
        MediaError: The picture or the footage cannot be read.
        InvalidCameraPath: The camera's file cannot be read.
        InvalidRequest: Pictures without a rate, or a video with one.
    """
    read_image(options.reference)
    files = footage_files(options.drive, options.drive_fps)
    footage = probe_footage(files, fps=options.drive_fps)
    camera = None if options.camera_path is None else CameraPath.from_json(options.camera_path)
    return ShotInputs(files, footage, camera)


@dataclass(frozen=True)
class PreparedShot:
    """A shot that a model can make: all that is sent, and what it came from.

    Attributes:
        options: What a person asked for.
        inputs: The files.
        model: What makes it.
        shot: The numbers.
        request: What the server is asked for.
        sources: The file of each asset hash.
    """

    options: ShotOptions
    inputs: ShotInputs
    model: ModelInfo
    shot: Shot
    request: GenerateRequest
    sources: dict[str, Path]

    @property
    def camera_numbers(self) -> bytes | None:
        """The camera as it travels."""
        return None if self.inputs.camera is None else self.inputs.camera.to_bytes()

    def submit(self, client: Client, job_id: str, label: str) -> None:
        """Queue it under this id; see `Client.submit`."""
        client.submit(job_id, self.request, self.sources, self.camera_numbers, label=label)


def prepare_shot(model: ModelInfo, options: ShotOptions, inputs: ShotInputs) -> PreparedShot:
    """Fit a shot to a model, and read its files through for their hashes.

    Raises:
        RequestError: The model cannot make such a shot.
        MediaError: The footage is too short, or a file cannot be read.
        InvalidCameraPath: The camera path ends before the shot does.
    """
    width, height = (None, None) if options.size is None else read_size(options.size, model)
    shot = Shot.checked(
        model,
        num_frames=options.num_frames,
        fps=options.fps,
        width=width,
        height=height,
        num_inference_steps=options.num_inference_steps,
        preset=options.preset,
        step_cache=options.step_cache,
        seed=options.seed,
    )
    sampling = Sampling(options.drive_start_s, shot.num_frames, shot.fps)
    check_covers(inputs.footage, sampling, name=str(options.drive[0]))
    request, sources = build_request(options, shot, inputs.files, inputs.camera)
    request = msgspec.structs.replace(request, model_id=model.id)
    return PreparedShot(options, inputs, model, shot, request, sources)


def build_request(
    options: ShotOptions, shot: Shot, files: list[Path], camera: CameraPath | None
) -> tuple[GenerateRequest, dict[str, Path]]:
    """The request for a shot, and the file of each asset hash.

    Raises:
        InvalidCameraPath: The camera path ends before the shot does.
        MediaError: A file cannot be read.
    """
    paths = [options.reference, *files]
    reference, *footage = assets = [make_asset(path, path.name) for path in paths]
    sources = {asset.hash: path for asset, path in zip(assets, paths, strict=True)}
    return _describe_request(options, shot, reference, footage, camera), sources


def _describe_request(
    options: ShotOptions, shot: Shot, reference: Asset, footage: list[Asset], camera: CameraPath | None
) -> GenerateRequest:
    text, track = options.text or "", None
    if camera is not None:
        # Read at the shot's times: refuses a path that ends too early, and describes what will be seen.
        seen = camera.resampled(shot.num_frames, shot.fps)
        text = describe(seen) if options.text is None else options.text
        track = CameraTrack(
            num_frames=camera.num_frames,
            fps=camera.fps,
            width=camera.width,
            height=camera.height,
            has_subject=camera.subject_position is not None,
        )
    return GenerateRequest(
        reference_image=reference,
        driving_footage=Footage(files=footage, fps=options.drive_fps, start_s=options.drive_start_s),
        text=text,
        camera=track,
        num_frames=shot.num_frames,
        fps=shot.fps,
        width=shot.width,
        height=shot.height,
        seed=shot.seed,
        num_inference_steps=shot.num_inference_steps,
        text_guidance_scale=shot.text_guidance_scale,
        motion_guidance_scale=shot.motion_guidance_scale,
        preset=shot.preset,
        step_cache=shot.step_cache,
        follow_person=options.follow_person,
        previews=False,
    )
