from __future__ import annotations

import random
import struct
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threedimo.errors import LimitExceeded, MalformedMessage, ProtocolError, VersionMismatch
from threedimo.wire import messages as wire
from threedimo.wire.codec import camera_body_bytes, decode_client, decode_server, encode, refused_id

HASH = "ab" * 32
JOB = "01234567-89ab-cdef-0123-456789abcdef"
TRACK = wire.CameraTrack(num_frames=2, fps=8.0, width=8, height=8, has_subject=True)


def a_request(camera: wire.CameraTrack | None = None) -> wire.GenerateRequest:
    asset = wire.Asset(hash=HASH, size=3, name="a.png")
    return wire.GenerateRequest(
        reference_image=asset,
        driving_footage=wire.Footage(files=[asset], fps=24.0),
        text="Front view.",
        camera=camera,
    )


CAMERA_BODY = struct.pack("<56d", *range(56))

CLIENT_MESSAGES: list[tuple[wire.Message, bytes | None]] = [
    (wire.Hello(client="x", versions=[1], token="t"), None),
    (wire.AssetHave(assets=[wire.Asset(hash=HASH, size=1)]), None),
    (wire.AssetPut(hash=HASH, size=10, offset=4), b"123456"),
    (wire.Submit(job_id=JOB, request=a_request(TRACK), id=7), CAMERA_BODY),
    (wire.Submit(job_id=JOB, request=a_request(), priority=-3), None),
    (wire.Cancel(job_id=JOB), None),
    (wire.ListJobs(limit=3), None),
    (wire.Subscribe(job_id=JOB, since_seq=4), None),
    (wire.Fetch(job_id=JOB, name="frames/00000.png", offset=9, credit=2), None),
    (wire.Ping(), None),
    (wire.Bye(), None),
]
SERVER_MESSAGES: list[tuple[wire.Message, bytes | None]] = [
    (
        wire.Welcome(
            version=1,
            limits=wire.Limits(),
            capabilities=wire.Capabilities(server_version="1", models=[], devices=["cpu"]),
        ),
        None,
    ),
    (wire.AssetNeed(hash=HASH, offset=0, credit=8), None),
    (wire.AssetHeld(hash=HASH), None),
    (wire.Accepted(job_id=JOB, seq=1, position=0), None),
    (wire.Event(job_id=JOB, seq=2, state="failed", error_code="job.failed", error_message="no"), None),
    (wire.Progress(job_id=JOB, phase="denoising", step=1, num_steps=4, elapsed_s=0.5, eta_s=None), None),
    (wire.Preview(job_id=JOB, step=1, frame_index=0), b"jpeg"),
    (wire.Jobs(jobs=[]), None),
    (wire.Chunk(job_id=JOB, name="video.mp4", offset=0, last=True), b"abc"),
    (wire.ErrorReply(code="job.unknown", message="no such job", reply_to=3), None),
    (wire.Pong(), None),
]


@pytest.mark.parametrize(("message", "body"), CLIENT_MESSAGES, ids=lambda value: type(value).__name__)
def test_client_messages_survive_the_wire(message, body):
    assert decode_client(encode(message, body)) == (message, body)


@pytest.mark.parametrize(("message", "body"), SERVER_MESSAGES, ids=lambda value: type(value).__name__)
def test_server_messages_survive_the_wire(message, body):
    assert decode_server(encode(message, body)) == (message, body)


def test_every_kind_of_message_is_listed_above(result_for):
    listed = {type(message) for message, _ in CLIENT_MESSAGES}
    assert listed == set(get_args(wire.ClientMessage))
    listed = {type(message) for message, _ in SERVER_MESSAGES} | {wire.Result}
    assert listed == set(get_args(wire.ServerMessage))
    result = result_for(JOB, {"video.mp4": b"x"})
    assert decode_server(encode(result)) == (result, None)


def test_a_side_does_not_take_the_messages_of_its_own_kind():
    with pytest.raises(MalformedMessage):
        decode_client(encode(wire.Pong()))
    with pytest.raises(MalformedMessage):
        decode_server(encode(wire.Ping()))


def schema_problems(node: object, where: str) -> list[str]:
    """Numbers without both bounds and arrays without a longest length, anywhere in a schema."""
    if isinstance(node, list):
        return [problem for item in node for problem in schema_problems(item, where)]
    if not isinstance(node, dict):
        return []
    problems = []
    if node.get("type") in ("number", "integer"):
        has_low = "minimum" in node or "exclusiveMinimum" in node
        has_high = "maximum" in node or "exclusiveMaximum" in node
        if not (has_low and has_high):
            problems.append(where)
    if node.get("type") == "array" and "maxItems" not in node:
        problems.append(where)
    if node.get("type") == "string" and not {"maxLength", "pattern", "enum"} & node.keys():
        problems.append(where)
    for key, value in node.items():
        problems += schema_problems(value, f"{where}.{key}")
    return problems


def test_every_number_text_and_list_is_bounded():
    schemas, components = msgspec.json.schema_components((wire.ClientMessage, wire.ServerMessage))
    assert schema_problems(schemas, "") + schema_problems(components, "") == []


def packed(**fields: object) -> list[bytes]:
    return [msgspec.msgpack.encode(fields)]


@pytest.mark.parametrize(
    "parts",
    [
        packed(type="ping", v=1, extra=1),
        packed(type="zip", v=1),
        packed(v=1),
        packed(type="ping", id=-1),
        packed(type="ping", id=2**63),
        packed(type="list", limit=0),
        packed(type="cancel", job_id=JOB + "\n"),
        packed(type="fetch", job_id=JOB, name="../secret"),
        packed(type="fetch", job_id=JOB, name="a/../b"),
        packed(type="fetch", job_id=JOB, name="/etc/passwd"),
        packed(type="fetch", job_id=JOB, name="C:\\x"),
        packed(type="fetch", job_id=JOB, name=".hidden"),
        [b""],
        [b"\x91" * 60_000],
        [b"\x81\xa1v\xa3\xff\xfe\xfd"],
        [b"\x82\xa4type\xaaasset.have\xa6assets\xdd\xff\xff\xff\xff"],
        [*encode(wire.Ping()), b"body"],
        [*encode(wire.Ping())[:1], b""],
        encode(wire.AssetPut(hash=HASH, size=10, offset=4), b"123456")[:1],
        [encode(wire.AssetPut(hash=HASH, size=10, offset=4), b"123456")[0], b"1234567"],
        [encode(wire.Submit(job_id=JOB, request=a_request()))[0], b"x"],
        [encode(wire.Submit(job_id=JOB, request=a_request(TRACK)), CAMERA_BODY)[0], CAMERA_BODY[:-8]],
    ],
)
def test_what_breaks_the_rules_is_malformed(parts):
    with pytest.raises(MalformedMessage):
        decode_client(parts)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused_in_header_and_body(number):
    with pytest.raises(MalformedMessage, match="elapsed_s"):
        encode(wire.Progress(job_id=JOB, phase="denoising", step=1, num_steps=2, elapsed_s=number))
    with pytest.raises(MalformedMessage, match="finite"):
        encode(wire.Submit(job_id=JOB, request=a_request(TRACK)), struct.pack("<56d", number, *range(55)))


def test_camera_numbers_are_counted_as_the_specification_says():
    assert camera_body_bytes(TRACK) == 8 * (2 * 25 + 6) == len(CAMERA_BODY)


@pytest.mark.parametrize(
    "parts",
    [[], [b"a", b"b", b"c"], [bytes(wire.Limits().max_header_bytes + 1)], [b"a", bytes(4 * 1024 * 1024 + 1)]],
    ids=["no part", "three parts", "header", "body"],
)
def test_limits_come_before_parsing(parts):
    with pytest.raises(LimitExceeded):
        decode_client(parts)


def test_footage_of_thousands_of_files_fits_one_request():
    files = [
        wire.Asset(hash=f"{index:064x}", size=2**30, name=f"plate.{index:05}.exr") for index in range(10_000)
    ]
    request = msgspec.structs.replace(a_request(), driving_footage=wire.Footage(files=files, fps=24.0))
    decoded, _ = decode_client(encode(wire.Submit(job_id=JOB, request=request)))
    assert isinstance(decoded, wire.Submit)
    assert decoded.request.driving_footage.files[-1] == files[-1]


def test_another_version_is_named_whatever_else_the_message_holds():
    for parts in (packed(v=2, type="ping"), packed(v=2, type="warp", to=1, id=9)):
        with pytest.raises(
            VersionMismatch, match=r"client speaks version 2 .* update the server, which is older"
        ):
            decode_client(parts)
        with pytest.raises(
            VersionMismatch, match=r"server speaks version 2 .* update the client, which is older"
        ):
            decode_server(parts)


def test_the_id_of_a_refused_message_is_found_for_the_answer():
    assert refused_id(packed(v=2, type="warp", id=9)) == 9
    assert refused_id(packed(v=1, type="ping", id=-4)) == 0
    assert refused_id([b"\xff\xff"]) == refused_id([]) == refused_id([bytes(3_000_000)]) == 0


def survives(parts: list[bytes]) -> None:
    for decode in (decode_client, decode_server):
        try:
            message, body = decode(parts)
        except ProtocolError:
            continue
        assert decode(encode(message, body)) == (message, body)


def test_thousands_of_mutated_messages_are_read_or_refused():
    rng = random.Random(5)
    originals = [encode(message, body) for message, body in CLIENT_MESSAGES + SERVER_MESSAGES]
    for _ in range(6000):
        header, *body = rng.choice(originals)
        mutated = bytearray(header)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(mutated))
            match rng.randrange(4):
                case 0:
                    mutated[at] = rng.randrange(256)
                case 1:
                    del mutated[at:]
                    mutated += rng.randbytes(rng.randint(1, 8))
                case 2:
                    mutated[at:at] = rng.randbytes(rng.randint(1, 4))
                case _:
                    other = rng.choice(originals)[0]
                    mutated[at:] = other[rng.randrange(len(other)) :] or b"\xc0"
        survives([bytes(mutated), *body])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=3))
def test_random_bytes_are_refused(parts):
    survives(parts)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = sorted({name for kind in get_args(wire.ClientMessage) for name in kind.__struct_fields__})
_TAGS = [kind.__struct_config__.tag for kind in get_args(wire.ClientMessage | wire.ServerMessage)]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _VALUES, max_size=6), st.sampled_from(_TAGS))
def test_well_formed_maps_of_wrong_values_are_refused(fields, tag):
    survives([msgspec.msgpack.encode({"type": tag, **fields})])
