"""Messages to ZeroMQ parts and back; decoding is validation.

Whatever bytes arrive, decoding either returns a message that keeps every bound of `threedimo.wire.messages`
or raises a `ProtocolError`. Sizes are compared with the limits before anything is parsed. Encoding decodes
its own header once more (microseconds), so a number out of range is refused where it was made, not at the
peer.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec

from threedimo.errors import LimitExceeded, MalformedMessage, VersionMismatch
from threedimo.wire.fields import Version
from threedimo.wire.messages import (
    PROTOCOL_VERSION,
    AssetPut,
    CameraTrack,
    Chunk,
    ClientMessage,
    Limits,
    Message,
    Preview,
    ServerMessage,
    Submit,
)

Buffer = bytes | memoryview
"""One part of a message. For zero-copy receives pass `frame.buffer` of each `zmq.Frame`."""

Side = Literal["client", "server"]

MAX_PARTS = 2
DEFAULT_LIMITS = Limits()

_FLOATS_PER_FRAME = 16 + 9
_FLOATS_OF_SUBJECT = 3 + 3

# Everything that msgspec raises on bytes from strangers. Two of them are not its own errors: text that is not
# UTF-8, and nesting deeper than the interpreter's stack allows.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.msgpack.Encoder()
_client_decoder: msgspec.msgpack.Decoder[ClientMessage] = msgspec.msgpack.Decoder(ClientMessage)
_server_decoder: msgspec.msgpack.Decoder[ServerMessage] = msgspec.msgpack.Decoder(ServerMessage)
_any_decoder: msgspec.msgpack.Decoder[ClientMessage | ServerMessage] = msgspec.msgpack.Decoder(
    ClientMessage | ServerMessage
)


class _Envelope(msgspec.Struct):
    """The fields that every version of the protocol has."""

    v: Version
    id: int = 0


_envelope_decoder = msgspec.msgpack.Decoder(_Envelope)


def encode(message: Message, body: Buffer | None = None, limits: Limits = DEFAULT_LIMITS) -> list[Buffer]:
    """The parts of a message, ready for `send_multipart`.

    Args:
        message: Any client or server message.
        body: Raw bytes for the kinds that carry them: asset.put, submit with a camera, preview, chunk.
        limits: What the receiver accepts.

    Raises:
        LimitExceeded: The header or the body is larger than the receiver accepts.
        MalformedMessage: A field is out of its range, or the body does not belong to the message.
    """
    header = _encoder.encode(message)
    parts: list[Buffer] = [header] if body is None else [header, body]
    _decode(_any_decoder, parts, limits, peer="server")
    return parts


def decode_client(
    parts: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS
) -> tuple[ClientMessage, Buffer | None]:
    """Read a message that a client sent; the server has taken the routing identity off already.

    Raises:
        VersionMismatch: The message is of another version of the protocol.
        LimitExceeded: Too many parts, or one too large; nothing was parsed.
        MalformedMessage: Everything else that does not follow the specification.
    """
    return _decode(_client_decoder, parts, limits, peer="client")


def decode_server(
    parts: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS
) -> tuple[ServerMessage, Buffer | None]:
    """Read a message that a server sent. Raises as `decode_client` does."""
    return _decode(_server_decoder, parts, limits, peer="server")


def refused_id(parts: Sequence[Buffer], limits: Limits = DEFAULT_LIMITS) -> int:
    """The `id` in a message that could not be decoded, for `reply_to` of the error; 0 where there is none."""
    envelope = _read_envelope(parts, limits)
    return envelope.id if envelope is not None and 0 <= envelope.id <= 2**53 else 0


_MessageT = TypeVar("_MessageT", ClientMessage, ServerMessage, ClientMessage | ServerMessage)


def _decode(
    decoder: msgspec.msgpack.Decoder[_MessageT], parts: Sequence[Buffer], limits: Limits, peer: Side
) -> tuple[_MessageT, Buffer | None]:
    _check_sizes(parts, limits)
    try:
        message = decoder.decode(parts[0])
    except _UNREADABLE as error:
        _check_version(parts, limits, peer)
        raise MalformedMessage(
            "the header is not a message of the protocol", given=_one_line(error), allowed="threedimo.wire"
        ) from error
    if message.v != PROTOCOL_VERSION:
        _check_version(parts, limits, peer)
    body = parts[1] if len(parts) == MAX_PARTS else None
    _check_body(message, body)
    return message, body


def _check_sizes(parts: Sequence[Buffer], limits: Limits) -> None:
    if not 1 <= len(parts) <= MAX_PARTS:
        raise LimitExceeded("a message has a wrong number of parts", given=len(parts), allowed="1 or 2")
    if len(parts[0]) > limits.max_header_bytes:
        raise LimitExceeded(
            "the header is too large",
            given=f"{len(parts[0])} bytes",
            allowed=f"{limits.max_header_bytes} bytes",
            remedy="name fewer files, for example footage as one video file",
        )
    if len(parts) == MAX_PARTS and len(parts[1]) > limits.max_body_bytes:
        raise LimitExceeded(
            "the body is too large",
            given=f"{len(parts[1])} bytes",
            allowed=f"{limits.max_body_bytes} bytes",
            remedy="send chunks, or a camera path of fewer frames",
        )


def _read_envelope(parts: Sequence[Buffer], limits: Limits) -> _Envelope | None:
    if not parts or len(parts[0]) > limits.max_header_bytes:
        return None
    try:
        return _envelope_decoder.decode(parts[0])
    except _UNREADABLE:
        return None


def _check_version(parts: Sequence[Buffer], limits: Limits, peer: Side) -> None:
    """A peer of another version may use types and fields unknown here: say so instead of "malformed"."""
    envelope = _read_envelope(parts, limits)
    if envelope is not None and envelope.v != PROTOCOL_VERSION:
        raise version_mismatch(envelope.v, peer)


def version_mismatch(theirs: int, peer: Side) -> VersionMismatch:
    """The error that says which side is older, in words that stay true when the other side shows them.

    Args:
        theirs: The version that the peer speaks.
        peer: Which side the peer is.
    """
    here: Side = "server" if peer == "client" else "client"
    older = here if theirs > PROTOCOL_VERSION else peer
    return VersionMismatch(
        f"the {peer} speaks version {theirs} of the protocol and the {here} version {PROTOCOL_VERSION}",
        remedy=f"update the {older}, which is older, to the same release of 3DiMo",
    )


def _check_body(message: ClientMessage | ServerMessage, body: Buffer | None) -> None:
    match message:
        case Submit(request=request):
            _check_camera_body(request.camera, body)
        case AssetPut() | Chunk() | Preview():
            if body is None:
                raise MalformedMessage("this message needs a body", given=type(message).__name__)
        case _:
            if body is not None:
                raise MalformedMessage("this message has no body", given=type(message).__name__)
    if (
        isinstance(message, AssetPut)
        and body is not None
        and not 0 < len(body) <= message.size - message.offset
    ):
        raise MalformedMessage(
            "the chunk does not lie inside its asset",
            given=f"{len(body)} bytes at {message.offset} of {message.size}",
        )


def camera_body_bytes(track: CameraTrack) -> int:
    """How many bytes the camera numbers of `submit` take; the specification says in which order."""
    return 8 * (track.num_frames * _FLOATS_PER_FRAME + (_FLOATS_OF_SUBJECT if track.has_subject else 0))


def _check_camera_body(track: CameraTrack | None, body: Buffer | None) -> None:
    expected = 0 if track is None else camera_body_bytes(track)
    given = 0 if body is None else len(body)
    if given != expected or (track is None) != (body is None):
        raise MalformedMessage(
            "the camera numbers do not fit the camera of the request",
            given=f"{given} bytes",
            allowed=f"{expected} bytes",
        )
    if body is not None and not all(map(math.isfinite, struct.unpack(f"<{given // 8}d", body))):
        raise MalformedMessage("the camera numbers are not all finite", allowed="finite float64")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
