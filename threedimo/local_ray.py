"""Ray on this machine alone, for one command: batches of shots and shards of training data use it alike.

Notable: Ray's processes run whatever they are sent, because they speak pickle to each other. One that is
started here therefore listens on loopback only and wants a token that nobody else knows.
"""

from __future__ import annotations

import os
import secrets
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threedimo.environment import environment
from threedimo.errors import ServerError, ServerUnreachable

ADDRESS_VARIABLE = "RAY_ADDRESS"
_LOOPBACK = "127.0.0.1"
_OBJECT_STORE_BYTES = 256 << 20  # what travels is small; by itself, Ray takes a third of the memory


def named_cluster(address: str | None = None) -> str | None:
    """The cluster that a person means, by an argument or by `RAY_ADDRESS`; None for Ray on this machine.

    One that is only found, by a file in a folder that all users of a machine may write, is never joined.
    """
    address = address or os.environ.get(ADDRESS_VARIABLE)
    return None if not address or address == "local" else address  # which is Ray's own name for it


def loopback_environment() -> AbstractContextManager[None]:
    """What keeps a Ray that is started inside to itself. Ray must not be imported before."""
    return environment(
        {
            # without it Ray puts the machine's outer address for loopback; read when Ray is imported
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": _token(),
        }
    )


@cache
def _token() -> str:
    """One for the whole process: Ray reads it once, however often it is started."""
    return secrets.token_hex(32)


def start_ray(ray: Any, **options: Any) -> None:
    """Start Ray here, inside `loopback_environment`.

    Args:
        ray: The module, which is no dependency of this library.
        options: Further ones of `ray.init`.

    Raises:
        ServerUnreachable: It does not start.
        ServerError: It listens to other machines.
    """
    try:
        ray.init(
            address="local",
            object_store_memory=_OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
            **options,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ServerUnreachable(
            f"Ray cannot be started: {first_line}", remedy="try `ray start --head` by itself"
        ) from error
    addresses = {node["NodeManagerAddress"] for node in ray.nodes()}
    if addresses != {_LOOPBACK}:
        ray.shutdown()
        raise ServerError(
            "Ray listens to other machines, although it was told not to",
            given=", ".join(sorted(addresses)),
            allowed=_LOOPBACK,
            remedy="do not import Ray before, or start a cluster yourself and give its address",
        )
