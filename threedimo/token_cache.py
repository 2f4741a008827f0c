"""Tokens that were encoded before: a text or a motion that several shots share costs its encoder once.

Notable: tokens belong to one state of the encoders. Programs that change weights, as training does, do
without this; a server's worker, whose model stays as it was loaded, has it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from torch import Tensor

MAX_BYTES = 256 * 1024 * 1024


class TokenCache:
    """The tokens that were used last, in the machine's memory, by what they were encoded from.

    Args:
        max_bytes: Of all tokens together; those that were not used for longest go first.
    """

    def __init__(self, max_bytes: int = MAX_BYTES):
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._tokens: OrderedDict[bytes, Tensor] = OrderedDict()

    def get(self, content: str | np.ndarray, encode: Callable[[], Tensor]) -> Tensor:
        """The tokens of a text or of frames, on the device on which `encode` puts them or on the CPU."""
        key = _digest(content)
        if key in self._tokens:
            self._tokens.move_to_end(key)
            return self._tokens[key]
        tokens = encode()
        self._tokens[key] = tokens.detach().cpu()
        self._num_bytes += tokens.nbytes
        while self._num_bytes > self._max_bytes:
            self._num_bytes -= self._tokens.popitem(last=False)[1].nbytes
        return tokens

    def clear(self) -> None:
        """The encoders have changed."""
        self._tokens.clear()
        self._num_bytes = 0


def _digest(content: str | np.ndarray) -> bytes:
    if isinstance(content, str):
        return b"text" + hashlib.blake2b(content.encode()).digest()
    hasher = hashlib.blake2b(np.ascontiguousarray(content).data)
    hasher.update(f"{content.shape} {content.dtype}".encode())
    return b"frames" + hasher.digest()
