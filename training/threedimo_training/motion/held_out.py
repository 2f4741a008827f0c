"""Which people and motions are kept for evaluation: decided by a hash of the name, never by chance."""

from __future__ import annotations

import hashlib
from typing import Literal

# Bytes below this one are held out: 26 of 256, one name in ten.
_HELD_OUT_BELOW = 26


def is_held_out(kind: Literal["identity", "motion"], name: str) -> bool:
    """Whether an identity or a motion must never be trained on.

    The rule: the first byte of BLAKE2b-256 over the UTF-8 text ``"<kind>:<name>"`` is below 26, which holds
    for one name in ten.

    Args:
        kind: "identity" or "motion".
        name: Of the identity or the motion, for example "procedural-17".
    """
    return hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=32).digest()[0] < _HELD_OUT_BELOW
