"""`<id>.json`: everything about a sample that is no picture and no array, as a typed record."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from threedimo.errors import InvalidShard
from threedimo_training.samples.sample import ROLES

FORMAT = "threedimo-sample"
VERSION = 1
MAX_SIDE_PX = 16_384
MAX_FRAMES = 100_000
# A stem must not hold a dot (the first one begins the member's kind), and fits an old tar's name field.
ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,80}")
SOURCES = ("synthetic", "blender", "footage")

Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE_PX)]
Point = tuple[float, float, float]


class ClipFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One clip: who is seen, the camera in words, the picture's size, and where the subject stands.

    `subject_position` (metres) and `subject_forward` belong to the camera path and are absent without one.
    """

    person_id: str
    text: str
    width: Side
    height: Side
    subject_position: Point | None = None
    subject_forward: Point | None = None


class SampleFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A sample without its pixels and arrays; fields as in `samples.sample.Sample`.

    `hand_crop_size` is C of the hand crops, absent where there are none.
    """

    format: Literal["threedimo-sample"]
    version: Literal[1]
    sample_id: str
    role: str
    motion_id: str
    held_out: bool
    fps: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    num_frames: Annotated[int, msgspec.Meta(ge=1, le=MAX_FRAMES)]
    seed: int
    source: str
    driving: ClipFacts
    target: ClipFacts
    hand_crop_size: Side | None = None


def encode_facts(facts: SampleFacts) -> bytes:
    """The record as JSON, fields in a fixed order."""
    return msgspec.json.encode(facts) + b"\n"


def decode_facts(content: bytes, where: str) -> SampleFacts:
    """Read and check a record.

    Args:
        content: The bytes of the member.
        where: Shard and member, for the error.

    Raises:
        InvalidShard: Not JSON, of another version, or a field is missing, unknown or out of range.
    """
    try:
        facts = msgspec.json.decode(content, type=SampleFacts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidShard(
            f"{where} is not the record of a sample: {error}",
            allowed=f'JSON of format "{FORMAT}", version {VERSION}',
            remedy="make the shard again with this version",
        ) from error
    if not ID_PATTERN.fullmatch(facts.sample_id):
        raise InvalidShard(
            f"{where}: the sample's id cannot be a file's stem",
            given=repr(facts.sample_id),
            allowed="1 to 80 letters, digits, _ and -",
        )
    for what, word, words in (("role", facts.role, ROLES), ("source", facts.source, SOURCES)):
        if word not in words:
            raise InvalidShard(
                f"{where}: unknown {what} of a sample", given=repr(word), allowed=", ".join(words)
            )
    return facts
