"""How the CPU renderer's loops are compiled.

Nothing is compiled when a module is imported, but when a function is first called; numba keeps the result
beside the module. It notices changes of that module only, although constants come from other modules too:
here, results that belong to other sources are forgotten first.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numba

from threedimo_training.people import person

# One thread a call, callable from many: whoever makes clips runs several workers.
kernel = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")


def forget_outdated(folder: Path, sources: list[Path]) -> None:
    """Remove numba's indices from a folder unless they were made from these sources."""
    digest = hashlib.blake2b(b"".join(path.read_bytes() for path in sources)).hexdigest()
    known = folder / "kernels.blake2b"
    if known.is_file() and known.read_text() == digest:
        return
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        return  # numba does not write here either
    for index in folder.glob("*.nbi"):
        index.unlink(missing_ok=True)
    written = known.with_suffix(f".{os.getpid()}")
    written.write_text(digest)
    written.replace(known)


_ROOM = Path(__file__).parent
forget_outdated(_ROOM / "__pycache__", [*sorted(_ROOM.glob("*.py")), Path(person.__file__)])
