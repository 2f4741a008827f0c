"""How the CPU renderer's loops are compiled.

Nothing is compiled when a module is imported, but when a function is first called; the result is cached
beside the module. numba notices changes of the module that holds the called function only, so each module of
kernels calls none of another module.
"""

from __future__ import annotations

import numba

# One thread a call, callable from many: whoever makes clips runs several workers.
kernel = numba.njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
