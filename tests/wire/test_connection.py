from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from threedimo.errors import (
    AccessRefused,
    MalformedMessage,
    ServerUnreachable,
    UnwritableFolder,
    VersionMismatch,
)
from threedimo.wire.connection import (
    ConnectionInfo,
    connection_path,
    find_server,
    home_folder,
    parse_address,
    read_connection,
    remove_connection,
    write_connection,
)
from threedimo.wire.processes import process_is_alive


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("THREEDIMO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def info() -> ConnectionInfo:
    return ConnectionInfo("tcp://127.0.0.1:5", "tcp://127.0.0.1:6", "secret-token", os.getpid())


@pytest.fixture
def ended_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_the_home_folder_follows_the_variable(home, monkeypatch):
    assert home_folder() == home
    monkeypatch.setenv("THREEDIMO_HOME", "")
    assert home_folder() == Path.home() / ".threedimo"


def test_the_file_round_trips_and_is_private(home, info):
    write_connection(connection_path(), info)
    write_connection(connection_path(), info)
    assert read_connection() == find_server() == find_server(str(connection_path())) == info
    assert [path.name for path in home.iterdir()] == ["connection.json"]
    if os.name == "posix":
        assert connection_path().stat().st_mode & 0o777 == 0o600
        assert home.stat().st_mode & 0o777 == 0o700


def test_the_token_does_not_show_in_logs(info):
    assert "secret-token" not in repr(info)


def test_a_missing_file_says_how_to_start_a_server():
    with pytest.raises(ServerUnreachable, match="threedimo serve"):
        read_connection()


def test_a_stale_file_says_so(info, ended_pid):
    write_connection(connection_path(), ConnectionInfo(info.control, info.data, "t", ended_pid))
    with pytest.raises(ServerUnreachable, match=f"has ended without.*process {ended_pid}"):
        read_connection()


def test_the_process_of_another_machine_is_not_looked_for_here(ended_pid):
    remote = ConnectionInfo("tcp://10.0.0.9:5", "tcp://10.0.0.9:6", "t", ended_pid)
    write_connection(connection_path(), remote)
    assert read_connection() == remote


def test_another_version_is_told_even_with_unknown_fields():
    connection_path().parent.mkdir()
    connection_path().write_text(json.dumps({"version": 2, "quic": "x"}))
    with pytest.raises(VersionMismatch, match="update the client"):
        read_connection()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1}',
        b'{"version": 1, "control": 3}',
        b"\xff\xfe",
        b"[" * 60_000,
        b" " * 70_000,
    ],
)
def test_a_damaged_file_is_malformed(text):
    connection_path().parent.mkdir()
    connection_path().write_bytes(text)
    with pytest.raises(MalformedMessage, match="connection"):
        read_connection()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_of_somebody_else_is_refused(info):
    write_connection(connection_path(), info)
    connection_path().chmod(0)
    with pytest.raises(AccessRefused, match="user who started it"):
        read_connection()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, info):
    (tmp_path / "a-file").write_text("")
    with pytest.raises(UnwritableFolder, match="a-file"):
        write_connection(tmp_path / "a-file" / "connection.json", info)


def test_a_server_removes_only_its_own_file(info):
    other = ConnectionInfo(info.control, info.data, "another", os.getpid())
    write_connection(connection_path(), other)
    remove_connection(connection_path(), info)
    assert read_connection() == other
    remove_connection(connection_path(), other)
    assert not connection_path().exists()
    remove_connection(connection_path(), other)


def test_addresses_by_hand():
    assert parse_address(" tcp://render-01.local:7000 ", "t") == ConnectionInfo(
        "tcp://render-01.local:7000", "tcp://render-01.local:7001", "t"
    )
    assert find_server("tcp://[::1]:7000").data == "tcp://[::1]:7001"


@pytest.mark.parametrize(
    "address",
    [
        "tcp://host",
        "tcp://host:0",
        "tcp://host:65535",
        "tcp://:70",
        "udp://host:70",
        "tcp://a b:70",
        "tcp://host:70/x",
        "tcp://host:٣٣",
    ],
)
def test_other_addresses_are_refused_with_the_form(address):
    with pytest.raises(ServerUnreachable, match=r"tcp://host:port"):
        find_server(address)


def test_processes_are_seen(ended_pid):
    assert process_is_alive(os.getpid())
    assert process_is_alive(os.getppid())
    assert not process_is_alive(ended_pid)
    assert not process_is_alive(2**70)
