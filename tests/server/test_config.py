"""What a server may be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from threedimo.errors import ServerError
from threedimo_server.config import ServerConfig


@pytest.mark.parametrize("host", ["::", "example.org", "", "300.1.1.1"])
def test_what_is_no_address_is_refused(host: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no address to listen on"):
        ServerConfig(home=tmp_path, host=host)


@pytest.mark.parametrize(
    ("host", "on_loopback"),
    [("127.0.0.1", True), ("127.0.0.2", True), ("0.0.0.0", False), ("192.168.1.5", False)],
)
def test_what_others_can_reach_is_known(host: str, on_loopback: bool, tmp_path: Path) -> None:
    assert ServerConfig(home=tmp_path, host=host).on_loopback == on_loopback


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"control_port": 0}, "not a TCP port"),
        ({"data_port": 65536}, "not a TCP port"),
        ({"control_port": 5000, "data_port": 5000}, "a port each"),
        ({"models": ()}, "something to make shots with"),
        ({"devices": ()}, "each once"),
        ({"devices": ("cuda:0", "cuda:0")}, "each once"),
        ({"memory": "small"}, "auto, full, offload, fp8, tiny"),
        ({"keep_days": 0.0}, "some time"),
        ({"keep_bytes": 0}, "some room"),
        ({"metrics_port": 5000, "data_port": 5000}, "a port each"),
        ({"worker_silence_s": 0.0}, "worker_silence_s"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=sentence):
        ServerConfig(home=tmp_path, **options)
