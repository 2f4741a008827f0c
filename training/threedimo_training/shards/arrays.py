"""Named arrays to npz bytes and back.

Notable: equal arrays give equal bytes (numpy's own writer does not promise that), and reading believes
nothing: a zip of kilobytes may claim gigabytes, so names, sizes, types and shapes are checked before memory
is taken. Never pickle.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection, Mapping

import numpy as np

from threedimo.errors import InvalidShard

_NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_LEVEL = 6
_MAX_HEADER_BYTES = 1024


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Pack arrays as `numpy.savez_compressed` lays them out, in the order given."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            body = io.BytesIO()
            np.lib.format.write_array(body, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _NEVER)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 3
            archive.writestr(info, body.getvalue(), compresslevel=_LEVEL)
    return file.getvalue()


class ArrayFile:
    """An npz in memory, whose arrays are unpacked one by one when asked for.

    Args:
        content: The bytes of the member.
        names: What it may hold.
        where: Shard and member, for the errors.

    Raises:
        InvalidShard: No zip, or it holds anything else.
    """

    def __init__(self, content: bytes, names: Collection[str], where: str):
        self._where = where
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, ValueError, OSError) as error:
            raise self._damaged(error) from error
        listed = [info.filename for info in self._archive.infolist()]
        strangers = sorted(set(listed) - {f"{name}.npy" for name in names})
        if strangers or len(set(listed)) != len(listed):
            raise InvalidShard(
                f"{where} holds arrays that no sample has",
                given=", ".join(strangers[:3]) or "a name twice",
                allowed=", ".join(sorted(names)),
            )
        self._infos = {info.filename.removesuffix(".npy"): info for info in self._archive.infolist()}

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def read(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray | None:
        """Unpack one array, or None where it is absent.

        Raises:
            InvalidShard: It is damaged, or not of this shape and type.
        """
        info = self._infos.get(name)
        if info is None:
            return None
        num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if info.file_size > num_bytes + _MAX_HEADER_BYTES:
            raise self._unexpected(name, f"{info.file_size} bytes", shape, dtype)
        try:
            # one byte more than allowed, so that a false size in the zip's directory shows
            with self._archive.open(info) as stream:
                body = stream.read(info.file_size + 1)
            header = io.BytesIO(body)
            version = np.lib.format.read_magic(header)
            if version != (1, 0):
                raise self._unexpected(name, f"npy version {version}", shape, dtype)
            found = np.lib.format.read_array_header_1_0(header, max_header_size=_MAX_HEADER_BYTES)
        except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, NotImplementedError) as error:
            raise self._damaged(error, name) from error
        if found != (shape, False, np.dtype(dtype)):
            raise self._unexpected(name, f"{found[2]} {found[0]}", shape, dtype)
        values = body[header.tell() :]
        if len(values) != num_bytes:
            raise self._unexpected(name, f"{len(values)} bytes of numbers", shape, dtype)
        return np.frombuffer(values, dtype).reshape(shape).copy()

    def _damaged(self, error: Exception, name: str = "") -> InvalidShard:
        what = f"{self._where}: {name}" if name else self._where
        return InvalidShard(f"{what} is damaged: {error}", remedy="copy or make the shard again")

    def _unexpected(
        self, name: str, given: str, shape: tuple[int, ...], dtype: type[np.generic]
    ) -> InvalidShard:
        return InvalidShard(
            f"{self._where}: {name} is not the array that its sample announces",
            given=given,
            allowed=f"{np.dtype(dtype)} {shape}",
            remedy="make the shard again with this version",
        )
