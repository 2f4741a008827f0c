"""Every message of the protocol as a type; see `threedimo.wire` for what each means.

Bounds stand in the types, so that decoding is validation: every list has a longest length, which is checked
before memory is taken, and every float has bounds, which refuse NaN and infinity. Unknown fields are refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from threedimo.wire.fields import (
    Count,
    Credit,
    FileName,
    Fps,
    Guidance,
    Hash,
    JobId,
    Label,
    Natural,
    Notes,
    Pixels,
    Priority,
    Ratio,
    Seconds,
    StepCache,
    Text,
    Version,
)

PROTOCOL_VERSION = 1

CHUNK_BYTES = 1024 * 1024

MAX_LISTED_JOBS = 200

JobState = Literal["queued", "running", "publishing", "done", "failed", "cancelled"]
FINAL_STATES: frozenset[str] = frozenset({"done", "failed", "cancelled"})
Phase = Literal["loading", "decoding", "encoding", "denoising", "rendering", "writing"]


class Message(msgspec.Struct, tag_field="type", kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Fields of every header."""

    v: Version = PROTOCOL_VERSION
    id: Natural = 0
    reply_to: Natural = 0


class Part(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A structure inside a message."""


# What travels inside messages.


class Asset(Part, frozen=True):
    """Bytes named by content. `name` is for people; nothing is concluded from it."""

    hash: Hash
    size: Annotated[int, msgspec.Meta(ge=1, le=2**40)]
    name: Label = ""


class Footage(Part, frozen=True):
    """Driving footage: one video file, or an image sequence (several files and `fps`)."""

    files: Annotated[list[Asset], msgspec.Meta(min_length=1, max_length=10_000)]
    fps: Fps | None = None
    start_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0


class CameraTrack(Part, frozen=True):
    """How to read the camera numbers in the body of `submit`."""

    num_frames: Count
    fps: Fps
    width: Pixels
    height: Pixels
    has_subject: bool = False


class GenerateRequest(Part, frozen=True):
    """One shot: this character, moving like this footage, seen by this camera.

    `None` means the model's own default, which `Capabilities` announces. `num_frames` and `fps` describe the
    result; footage and camera are resampled to it by time. `model_id` is one of those that `Capabilities`
    lists; "" is the first of them. `preset` is one of the model's; "" is the model's own numbers. A number
    that is given counts more than the preset's. `follow_person` cuts the performer out of the footage by a
    square that follows, and locates the hands; without it the middle of the footage is used, and no hands.
    """

    reference_image: Asset
    driving_footage: Footage
    model_id: Label = ""
    text: Text = ""
    camera: CameraTrack | None = None
    num_frames: Count | None = None
    fps: Fps | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    num_inference_steps: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    text_guidance_scale: Guidance | None = None
    motion_guidance_scale: Guidance | None = None
    preset: Label = ""
    step_cache: StepCache | None = None
    follow_person: bool = False
    previews: bool = True


class Limits(Part, frozen=True):
    """What the server accepts; a client checks before it sends.

    A header must hold the longest honest list: footage of thousands of image files, or 200 jobs.
    """

    max_header_bytes: Natural = 2 * 1024 * 1024
    max_body_bytes: Natural = 4 * 1024 * 1024
    chunk_bytes: Annotated[int, msgspec.Meta(ge=1, le=2**26)] = CHUNK_BYTES
    max_asset_bytes: Natural = 4 * 1024**3
    max_queued_jobs: Natural = 10_000


class Preset(Part, frozen=True):
    """Settings of a model by one name, from the quickest look to the best that it makes."""

    name: Label
    num_inference_steps: Annotated[int, msgspec.Meta(ge=1, le=200)]
    text_guidance_scale: Guidance
    motion_guidance_scale: Guidance
    step_cache: StepCache = "none"


class ModelInfo(Part, frozen=True):
    """What a model makes.

    `frame_step` 4 means 4k+1 frames; `notes` says what it can and cannot do. `presets` may be left out of a
    model's file and never is in `Capabilities`. `mag_ratios`, one for each step, belong to the step cache
    "mag", which a model without them has not.
    """

    id: Label
    trained: bool
    width: Pixels
    height: Pixels
    num_frames: Count
    max_frames: Count
    fps: Fps
    frame_step: Count
    size_step: Pixels
    num_inference_steps: Count
    text_guidance_scale: Guidance
    motion_guidance_scale: Guidance
    notes: Notes = ""
    presets: Annotated[list[Preset], msgspec.Meta(max_length=16)] = msgspec.field(
        default_factory=list[Preset]
    )
    mag_ratios: Annotated[list[Ratio], msgspec.Meta(max_length=200)] = msgspec.field(
        default_factory=list[Ratio]
    )


class Capabilities(Part, frozen=True):
    """What the server can do now. Requests that name no model get the first."""

    server_version: Label
    models: Annotated[list[ModelInfo], msgspec.Meta(max_length=64)]
    devices: Annotated[list[Label], msgspec.Meta(max_length=64)]


class ResultFile(Part, frozen=True):
    """One file of a result. Frames are `frames/00000.png` and on, zero-based and contiguous."""

    name: FileName
    size: Natural
    hash: Hash


class ResultInfo(Part, frozen=True):
    """How a result was made, and by what; the same content as `result.json`."""

    num_frames: Count
    width: Pixels
    height: Pixels
    fps: Fps
    seed: Natural
    text: Text
    model_id: Label
    num_inference_steps: Count
    text_guidance_scale: Guidance
    motion_guidance_scale: Guidance
    seconds: Annotated[dict[Label, Seconds], msgspec.Meta(max_length=64)]
    model_notes: Notes = ""
    preset: Label = ""
    step_cache: StepCache = "none"


class JobSummary(Part, frozen=True):
    """A row of `jobs`."""

    job_id: JobId
    label: Label
    state: JobState
    seq: Natural
    priority: Priority
    submitted_at_s: Seconds
    error_code: Label = ""
    error_message: Text = ""


# Client to server.


class Hello(Message, tag="hello", frozen=True):
    """First message on each socket."""

    client: Label
    versions: Annotated[list[Version], msgspec.Meta(min_length=1, max_length=16)]
    token: Label = ""


class AssetHave(Message, tag="asset.have", frozen=True):
    """These assets will be used; which of them must be sent?"""

    assets: Annotated[list[Asset], msgspec.Meta(min_length=1, max_length=256)]


class AssetPut(Message, tag="asset.put", frozen=True):
    """A chunk of an asset; the body holds the bytes at `offset`."""

    hash: Hash
    size: Natural
    offset: Natural


class Submit(Message, tag="submit", frozen=True):
    """Queue a job. The body holds the camera numbers when `request.camera` is set."""

    job_id: JobId
    request: GenerateRequest
    label: Label = ""
    priority: Priority = 0


class Cancel(Message, tag="cancel", frozen=True):
    """Stop a job: at once if queued, within one denoising step if running."""

    job_id: JobId


class ListJobs(Message, tag="list", frozen=True):
    """Ask for the newest jobs."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LISTED_JOBS)] = 100


class Subscribe(Message, tag="subscribe", frozen=True):
    """Follow a job from an event number on."""

    job_id: JobId
    since_seq: Natural = 0


class Fetch(Message, tag="fetch", frozen=True):
    """Ask for chunks of a result file; grants `credit` chunks from `offset` on."""

    job_id: JobId
    name: FileName
    offset: Natural = 0
    credit: Credit = 8


class Ping(Message, tag="ping", frozen=True):
    """Are you there?"""


class Bye(Message, tag="bye", frozen=True):
    """The client leaves."""


ClientMessage = Hello | AssetHave | AssetPut | Submit | Cancel | ListJobs | Subscribe | Fetch | Ping | Bye


# Server to client.


class Welcome(Message, tag="welcome", frozen=True):
    """The connection stands."""

    version: Version
    limits: Limits
    capabilities: Capabilities


class AssetNeed(Message, tag="asset.need", frozen=True):
    """Send this asset from `offset` on."""

    hash: Hash
    offset: Natural
    credit: Credit


class AssetHeld(Message, tag="asset.held", frozen=True):
    """The asset is complete."""

    hash: Hash


class Accepted(Message, tag="accepted", frozen=True):
    """The job exists; `position` jobs are before it."""

    job_id: JobId
    seq: Natural
    position: Natural


class Event(Message, tag="event", frozen=True):
    """A job reached a state."""

    job_id: JobId
    seq: Natural
    state: JobState
    error_code: Label = ""
    error_message: Text = ""
    retryable: bool = False


class Progress(Message, tag="progress", frozen=True):
    """How far a running job is. `eta_s` is the estimate to the end of the job, or None while unknown."""

    job_id: JobId
    phase: Phase
    step: Natural
    num_steps: Natural
    elapsed_s: Seconds
    eta_s: Seconds | None = None


class Preview(Message, tag="preview", frozen=True):
    """One frame as it looks after `step`; the body is a JPEG."""

    job_id: JobId
    step: Natural
    frame_index: Natural


class Result(Message, tag="result", frozen=True):
    """A done job's files."""

    job_id: JobId
    files: Annotated[list[ResultFile], msgspec.Meta(min_length=1, max_length=10_000)]
    info: ResultInfo


class Jobs(Message, tag="jobs", frozen=True):
    """The answer to `list`, newest first."""

    jobs: Annotated[list[JobSummary], msgspec.Meta(max_length=MAX_LISTED_JOBS)]


class Chunk(Message, tag="chunk", frozen=True):
    """A part of a result file; the body holds the bytes at `offset`."""

    job_id: JobId
    name: FileName
    offset: Natural
    last: bool


class ErrorReply(Message, tag="error", frozen=True):
    """Something was refused; `code` is one of `threedimo.errors`."""

    code: Label
    message: Text
    retryable: bool = False


class Pong(Message, tag="pong", frozen=True):
    """I am here."""


ServerMessage = (
    Welcome
    | AssetNeed
    | AssetHeld
    | Accepted
    | Event
    | Progress
    | Preview
    | Result
    | Jobs
    | Chunk
    | ErrorReply
    | Pong
)
