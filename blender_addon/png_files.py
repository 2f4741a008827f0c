# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the frames of a result are pictures that Blender can show: one that it cannot would render magenta.

No bpy here. Files arrive with the hashes that the server named, so that what is wrong with them is wrong at
the server, or happened on this disk since.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from threedimo.errors import UnreadableMedia

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_LARGEST_SIDE = 16_384
_PIECE_BYTES = 1 << 20


class _Damaged(Exception):
    """What is wrong with a file."""


def check_frames(folder: Path, num_frames: int) -> tuple[int, int]:
    """Look at `folder/00000.png` and on, whole: headers, checksums, and that every pixel is there.

    Args:
        folder: Of the result.
        num_frames: How many it must have.

    Returns:
        The width and height that all frames share, in pixels.

    Raises:
        UnreadableMedia: One is missing, damaged, no PNG, or of another size than the first.
    """
    first: tuple[int, int] | None = None
    for frame in range(num_frames):
        file = folder / f"{frame:05d}.png"
        try:
            size = _size(file.read_bytes())
            if first is not None and size != first:
                raise _Damaged(f"is {size[0]}x{size[1]} and not {first[0]}x{first[1]} as the first one")
        except FileNotFoundError as error:
            raise _refusal(file, "is missing") from error
        except OSError as error:
            raise _refusal(file, f"cannot be read ({error.strerror})") from error
        except _Damaged as error:
            raise _refusal(file, str(error)) from error
        first = size
    assert first is not None, "a result has a frame"
    return first


def _refusal(file: Path, what: str) -> UnreadableMedia:
    return UnreadableMedia(
        f"frame {int(file.stem)} of the result {what}",
        given=file,
        remedy=f"delete {file.parent.parent} and press Reattach Jobs, which fetches it again, or try anew",
    )


def _size(data: bytes) -> tuple[int, int]:
    if not data.startswith(_SIGNATURE):
        raise _Damaged("is no PNG")
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or chunks[-1][0] != b"IEND":
        raise _Damaged("is not complete")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if not 0 < width <= _LARGEST_SIDE or not 0 < height <= _LARGEST_SIDE:
        raise _Damaged(f"claims {width}x{height} pixels")
    if colour not in _CHANNELS or depth not in (8, 16) or interlaced:
        raise _Damaged("is a PNG of another kind than the server makes")
    row_bytes = 1 + width * _CHANNELS[colour] * depth // 8
    _require_pixels(b"".join(body for kind, body in chunks if kind == b"IDAT"), height * row_bytes)
    return width, height


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_SIGNATURE)
    while place < len(data):
        head = data[place : place + 8]
        if len(head) < 8:
            raise _Damaged("is not complete")
        (length,) = struct.unpack(">I", head[:4])
        body, end = data[place + 8 : place + 8 + length], place + 12 + length
        if end > len(data):
            raise _Damaged("is not complete")
        if zlib.crc32(head[4:] + body) != struct.unpack(">I", data[end - 4 : end])[0]:
            raise _Damaged("has a wrong checksum")
        yield head[4:], body
        place = end


def _require_pixels(packed: bytes, num_bytes: int) -> None:
    """Unpack piece by piece: a small file may claim to hold a terabyte."""
    unpacking, found = zlib.decompressobj(), 0
    try:
        while packed and not unpacking.eof and found <= num_bytes:
            found += len(unpacking.decompress(packed, _PIECE_BYTES))
            packed = unpacking.unconsumed_tail
        found += len(unpacking.flush(_PIECE_BYTES)) if found <= num_bytes else 0
    except zlib.error as error:
        raise _Damaged("has damaged pixels") from error
    if found != num_bytes:
        raise _Damaged("has another number of pixels than it claims")
