"""What a server may be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from threedimo.errors import AccessRefused, ServerError
from threedimo_server.config import ServerConfig


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])
def test_only_this_machine_is_listened_on(host: str, tmp_path: Path) -> None:
    with pytest.raises(AccessRefused, match="this machine only"):
        ServerConfig(home=tmp_path, host=host)


def test_loopback_is_allowed(tmp_path: Path) -> None:
    assert ServerConfig(home=tmp_path, host="127.0.0.2").host == "127.0.0.2"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"control_port": 0}, "not a TCP port"),
        ({"data_port": 65536}, "not a TCP port"),
        ({"control_port": 5000, "data_port": 5000}, "a port each"),
        ({"devices": ()}, "each once"),
        ({"devices": ("cuda:0", "cuda:0")}, "each once"),
        ({"keep_days": 0.0}, "some time"),
        ({"worker_silence_s": 0.0}, "worker_silence_s"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=sentence):
        ServerConfig(home=tmp_path, **options)
