"""One exception tree for the whole project.

Every error that a user can cause is a class here with a stable `code`. The code travels on the wire
(`threedimo.wire`), is printed by the command line, and decides its exit status, so that scripts and render
farms can rely on it. A message always says what was wrong, the value received, what is allowed, and what
to do next.
"""

from __future__ import annotations

from typing import ClassVar


class ThreeDimoError(Exception):
    """Base of every error raised on purpose.

    Args:
        problem: What is wrong, as a short sentence without a final period.
        given: The value that was received, if one was.
        allowed: What would have been accepted.
        remedy: What to do next.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self, problem: str, *, given: object = None, allowed: str | None = None, remedy: str | None = None
    ):
        self.problem = problem
        self.given = given
        self.allowed = allowed
        self.remedy = remedy
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        parts = [self.problem.rstrip(".")]
        if self.given is not None:
            parts[0] += f" (given: {self.given})"
        if self.allowed:
            parts.append(f"Allowed: {self.allowed.rstrip('.')}")
        if self.remedy:
            parts.append(f"What to do: {self.remedy.rstrip('.')}")
        return ". ".join(parts) + "."


class MediaError(ThreeDimoError):
    """An image or a video cannot be used."""

    code = "media"
    exit_code = 3


class UnreadableMedia(MediaError):
    """The file is missing, damaged, of an unknown format, or has no picture in it."""

    code = "media.unreadable"


class EmptyMedia(MediaError):
    """The file has no bytes, or no frame can be decoded from it."""

    code = "media.empty"


class MediaTooSmall(MediaError):
    """Too few pixels or frames to show a person moving."""

    code = "media.too_small"


class MediaTooLarge(MediaError):
    """More pixels, frames or seconds than the limits allow."""

    code = "media.too_large"


class NoPerformer(MediaError):
    """Driving footage is to be followed, and shows hardly anybody."""

    code = "media.no_performer"


class CameraError(ThreeDimoError):
    """A camera path cannot be used."""

    code = "camera"
    exit_code = 4


class InvalidCameraPath(CameraError):
    """Matrices, intrinsics or times of a camera path contradict each other."""

    code = "camera.invalid"


class UnsupportedCamera(CameraError):
    """A kind of camera that has no perspective intrinsics (panoramic, orthographic, custom)."""

    code = "camera.unsupported"


class RequestError(ThreeDimoError):
    """A generation request asks for something that cannot be made."""

    code = "request"
    exit_code = 5


class InvalidRequest(RequestError):
    """A field of the request is out of range or contradicts another."""

    code = "request.invalid"


class UnsupportedFrameCount(RequestError):
    """The model cannot make this number of frames."""

    code = "request.frame_count"


class UnsupportedSize(RequestError):
    """The model cannot make frames of this width and height."""

    code = "request.size"


class ModelError(ThreeDimoError):
    """A model cannot be loaded or run."""

    code = "model"
    exit_code = 6


class ModelNotFound(ModelError):
    """No model under this name, folder or hub id."""

    code = "model.not_found"


class InvalidModel(ModelError):
    """Files of the model are missing, damaged, or do not fit together."""

    code = "model.invalid"


class UntrainedModel(ModelError):
    """A stock model without motion layers, where motion and camera would do nothing."""

    code = "model.untrained"


class OutOfMemory(ModelError):
    """The device has too little memory for this request."""

    code = "model.out_of_memory"
    retryable = True


class ServerError(ThreeDimoError):
    """The server cannot be reached, started or used."""

    code = "server"
    exit_code = 7


class ServerUnreachable(ServerError):
    """No server answers."""

    code = "server.unreachable"
    retryable = True


class PortInUse(ServerError):
    """Another program listens on the address."""

    code = "server.port_in_use"


class AccessRefused(ServerError):
    """Server and client do not know each other's token or key."""

    code = "server.access_refused"


class InvalidKey(ServerError):
    """A key is missing, damaged, of another kind, open to others, or would be overwritten."""

    code = "server.key"


class ServerBusy(ServerError):
    """The queue is full, or the server is stopping."""

    code = "server.busy"
    retryable = True


class ProtocolError(ThreeDimoError):
    """The two sides do not understand each other."""

    code = "protocol"
    exit_code = 8


class VersionMismatch(ProtocolError):
    """Client and server speak different versions of the protocol."""

    code = "protocol.version"


class MalformedMessage(ProtocolError):
    """A message does not follow the specification."""

    code = "protocol.malformed"


class LimitExceeded(ProtocolError):
    """A message or asset is over a limit that the server announced."""

    code = "protocol.limit"


class AssetError(ThreeDimoError):
    """Bytes that a job needs are not as announced."""

    code = "asset"
    exit_code = 9


class AssetMissing(AssetError):
    """The server does not hold this content."""

    code = "asset.missing"
    retryable = True


class AssetCorrupt(AssetError):
    """The bytes do not have the announced hash."""

    code = "asset.corrupt"
    retryable = True


class StorageError(ThreeDimoError):
    """A file cannot be written."""

    code = "storage"
    exit_code = 10


class NoSpace(StorageError):
    """The disk is full."""

    code = "storage.no_space"
    retryable = True


class UnwritableFolder(StorageError):
    """The folder cannot be created or written."""

    code = "storage.unwritable"


class FolderInUse(StorageError):
    """Another run of a command is writing the folder now."""

    code = "storage.in_use"
    retryable = True


class JobError(ThreeDimoError):
    """A job did not end with a result."""

    code = "job"
    exit_code = 11


class UnknownJob(JobError):
    """The server has no job of this id."""

    code = "job.unknown"


class JobFailed(JobError):
    """The worker met an unexpected error while making the job."""

    code = "job.failed"


class WorkerLost(JobError):
    """The worker died repeatedly while making the job."""

    code = "job.worker_lost"
    retryable = True


class JobCancelled(JobError):
    """Somebody cancelled the job."""

    code = "job.cancelled"
    exit_code = 130


class DataError(ThreeDimoError):
    """Training data cannot be read or made."""

    code = "data"
    exit_code = 12


class InvalidMotion(DataError):
    """A motion file is damaged, of another layout, or names bones that nobody knows."""

    code = "data.motion"


class InvalidBody(DataError):
    """A body model's file is missing, damaged, or of another layout."""

    code = "data.body"


class InvalidShard(DataError):
    """A shard of samples is damaged or of another layout."""

    code = "data.shard"


class InvalidScene(DataError):
    """A Blender file lacks what is needed of it."""

    code = "data.scene"


class NoPerson(DataError):
    """Footage shows nobody, or too many people to tell who is meant."""

    code = "data.no_person"


class TrainingError(ThreeDimoError):
    """A training cannot start or go on."""

    code = "training"
    exit_code = 13


class TrainingMismatch(TrainingError):
    """A saved state, adapter or cache belongs to another configuration."""

    code = "training.mismatch"


class TrainingDiverged(TrainingError):
    """The loss is no number any more."""

    code = "training.diverged"


def _family(cls: type[ThreeDimoError]) -> dict[str, type[ThreeDimoError]]:
    found = {cls.code: cls}
    for child in cls.__subclasses__():
        found |= _family(child)
    return found


def from_code(code: str, message: str) -> ThreeDimoError:
    """Rebuild an error that arrived as a code and a sentence, for example over the wire.

    An unknown code (a newer peer) becomes the nearest known family, keeping the sentence.
    """
    known = _family(ThreeDimoError)
    cls = known.get(code) or known.get(code.partition(".")[0], ThreeDimoError)
    return cls(message)
