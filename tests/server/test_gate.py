"""Servers that other machines can reach: real processes and sockets, keys that are let in and others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq

from threedimo.errors import AccessRefused, InvalidKey
from threedimo.wire.client import ConnectionLost, Fetched
from threedimo.wire.connection import ConnectionInfo, find_server, known_servers
from threedimo.wire.keys import KeyPair, create_secret, make_pair, parse_key
from threedimo_server.config import ServerConfig
from threedimo_server.front import Front
from threedimo_server.gate import LOG_INTERVAL_S, allowed_clients
from threedimo_server.served_models import ModelChoice

ANNA = make_pair("client")
STRANGER = make_pair("client")


def give_keys(home: Path) -> None:
    create_secret(home / "keys" / "server.key", "server")
    allowed_clients(home / "keys").add("anna", ANNA.public)


@pytest.fixture
def server(start_server: Callable[..., Any]) -> Any:
    return start_server(prepare=give_keys, host="0.0.0.0")


def as_client(server: Any, pair: KeyPair) -> ConnectionInfo:
    """How another machine connects: without the token, with a key of its own."""
    return replace(server.connection(), token="", client_secret=pair.secret_word)


def test_an_allowed_client_makes_a_shot(
    server: Any, follow: Callable[..., Any], inputs: Any, tmp_path: Path
) -> None:
    follower = follow(as_client(server, ANNA))
    job_id = follower.submit(inputs)
    follower.client.fetch(job_id, follower.result(job_id), tmp_path / "result")
    follower.wait_for(lambda event: isinstance(event, Fetched))
    assert (tmp_path / "result" / "video.mp4").stat().st_size > 0
    assert "test of anna says hello" in server.log()
    assert "refused" not in server.log()
    assert "on other machines: threedimo keys trust tcp://" in server.log()


def test_programs_of_this_machine_need_nothing_but_the_connection_file(
    server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    info = server.connection()
    assert info.token == ""
    assert info.control.startswith("tcp://127.0.0.1:")
    assert info.client_secret not in repr(info)
    follower = follow(server)
    follower.result(follower.submit(inputs))
    assert "test of this computer says hello" in server.log()
    assert info.client_secret not in server.log()


def test_a_stranger_is_refused_and_logged_and_the_service_goes_on(
    server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    began_s = time.monotonic()
    for _ in range(4):
        refusal = follow(as_client(server, STRANGER)).refusal()
        assert isinstance(refusal.error, AccessRefused)
        assert "threedimo keys allow" in str(refusal.error)
    lines = [line for line in server.log().splitlines() if "refused" in line]
    assert STRANGER.public_word in lines[0]
    assert "127.0.0.1" in lines[0]
    assert len(lines) <= 1 + (time.monotonic() - began_s) / LOG_INTERVAL_S
    follower = follow(as_client(server, ANNA))
    follower.result(follower.submit(inputs))


def test_a_client_without_keys_is_refused(server: Any, follow: Callable[..., Any]) -> None:
    plain = replace(server.connection(), server_key="", client_secret="")
    refusal = follow(plain).refusal()
    assert isinstance(refusal.error, AccessRefused)
    assert "with keys only" in str(refusal.error)


def test_raw_messages_without_keys_are_never_read(server: Any) -> None:
    context: zmq.Context[Any] = zmq.Context()
    try:
        raw = context.socket(zmq.DEALER)
        raw.setsockopt(zmq.LINGER, 0)
        raw.connect(server.connection().control)
        raw.send(b"\x00garbage")
        assert raw.poll(1500) == 0
    finally:
        context.destroy(linger=0)


def test_a_server_with_another_key_is_told_soon(server: Any, follow: Callable[..., Any]) -> None:
    began_s = time.monotonic()
    wrong = replace(as_client(server, ANNA), server_key=make_pair("server").public_word)
    refusal = follow(wrong).refusal()
    assert isinstance(refusal.error, AccessRefused)
    assert "another key" in str(refusal.error)
    assert time.monotonic() - began_s < 10.0


def test_keys_where_the_server_has_none_are_told(
    start_server: Callable[..., Any], follow: Callable[..., Any]
) -> None:
    server = start_server()
    keyed = replace(
        server.connection(), server_key=make_pair("server").public_word, client_secret=ANNA.secret_word
    )
    # which of two messages depends on which side hangs up first
    assert "has no keys" in str(follow(keyed).refusal().error)


def test_a_server_that_comes_back_is_found_again(
    server: Any, follow: Callable[..., Any], inputs: Any
) -> None:
    follower = follow(server)
    follower.result(follower.submit(inputs))
    server.kill()
    follower.wait_for(lambda event: isinstance(event, ConnectionLost))
    server.start()
    follower.result(follower.submit(inputs))


def test_the_list_may_change_while_the_server_runs(
    server: Any, follow: Callable[..., Any], inputs: Any, wait: Callable[..., None]
) -> None:
    bob = make_pair("client")
    follow(as_client(server, bob)).refusal()
    allowed = allowed_clients(server.home / "keys")
    allowed.add("bob", bob.public)
    follower = follow(as_client(server, bob))
    follower.result(follower.submit(inputs))
    allowed.remove("bob")
    assert isinstance(follower.refusal().error, AccessRefused)
    assert "may not come in any more" in server.log()


def test_while_the_list_is_damaged_nobody_new_comes_in(
    server: Any, follow: Callable[..., Any], inputs: Any, wait: Callable[..., None]
) -> None:
    path = server.home / "keys" / "allowed_clients"
    whole = path.read_text()
    inside = follow(as_client(server, ANNA))
    inside.result(inside.submit(inputs))
    path.write_text(whole + "bob\n")
    follow(as_client(server, ANNA)).refusal()
    wait(lambda: "the list of keys is damaged" in server.log())  # the client hears of it first
    inside.result(inside.submit(inputs))
    path.write_text(whole)
    follower = follow(as_client(server, ANNA))
    follower.result(follower.submit(inputs))


def test_without_keys_or_clients_no_other_machine_is_served(tmp_path: Path, tiny_model: Path) -> None:
    config = ServerConfig(home=tmp_path, models=(ModelChoice(str(tiny_model)),), host="0.0.0.0")
    with pytest.raises(AccessRefused, match=r"other machines only with a key.*threedimo keys server"):
        Front(config, tmp_path)
    create_secret(tmp_path / "keys" / "server.key", "server")
    with pytest.raises(AccessRefused, match=r"no client is allowed.*threedimo keys allow"):
        Front(config, tmp_path)
    give = allowed_clients(tmp_path / "keys")
    give.add("anna", ANNA.public)
    Front(config, tmp_path).close()


@pytest.fixture
def threedimo(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in the home folder of a name."""

    def run(home: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "threedimo_server.cli", *map(str, arguments)],
            env=os.environ | {"THREEDIMO_HOME": str(tmp_path / home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def free_port_pair() -> int:
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports in a row")


def test_two_people_exchange_keys_by_the_command_and_work(
    threedimo: Callable[..., Any], start_server: Callable[..., Any]
) -> None:
    """The whole way as a studio goes it, with a home folder for each machine."""
    words: dict[str, str] = {}

    def exchange(home: Path) -> None:
        words["server"] = threedimo(home.name, "keys", "server").stdout.strip()
        words["client"] = threedimo("artist", "keys", "client").stdout.strip()
        assert parse_key(words["server"], "threedimo-server")
        done = threedimo(home.name, "keys", "allow", "anna", words["client"])
        assert done.returncode == 0, done.stderr

    port = free_port_pair()
    address = f"tcp://127.0.0.1:{port}"
    server = start_server(prepare=exchange, host="0.0.0.0", control_port=port, data_port=port + 1)
    assert threedimo("artist", "keys", "trust", address, words["server"]).returncode == 0
    done = threedimo("artist", "jobs", "--server", address)
    assert (done.returncode, done.stdout) == (0, "no jobs\n"), done.stderr
    shown = threedimo(server.home.name, "keys", "show").stdout
    assert f"this server  {words['server']}" in shown
    assert f"lets in      {words['client']}  anna" in shown
    assert f"trusts       {words['server']}  {address}" in threedimo("artist", "keys", "show").stdout

    stranger = threedimo("stranger", "keys", "client")
    assert stranger.returncode == 0
    threedimo("stranger", "keys", "trust", address, words["server"])
    done = threedimo("stranger", "jobs", "--server", address)
    assert done.returncode == 7
    assert "error [server.access_refused]: the server does not let this computer's key in" in done.stderr

    assert threedimo(server.home.name, "keys", "remove", "anna").returncode == 0
    assert threedimo("artist", "jobs", "--server", address).returncode == 7


def test_what_is_wrong_with_keys_is_said_in_one_paragraph(
    threedimo: Callable[..., Any], tmp_path: Path
) -> None:
    served = threedimo("home", "serve", "--host", "0.0.0.0")
    assert served.returncode == 7
    assert "error [server.access_refused]: the server listens to other machines only with" in served.stderr
    assert threedimo("home", "keys", "server").returncode == 0
    again = threedimo("home", "keys", "server")
    assert again.returncode == 7
    assert "error [server.key]: this computer has a server key already" in again.stderr
    (tmp_path / "home" / "keys" / "server.key").chmod(0o644)
    served = threedimo("home", "serve", "--host", "0.0.0.0")
    assert served.returncode == 7
    assert "error [server.key]: others on this computer may read the server's key" in served.stderr
    for done in (again, served):
        assert done.stderr.count("\n") - done.stderr.count(" INFO ") == 1
        assert "Traceback" not in done.stderr
    done = threedimo("home", "jobs", "--server", "tcp://render-1:7400")
    assert done.returncode == 7
    assert "threedimo keys trust tcp://render-1:7400 KEY" in done.stderr


def test_an_address_brings_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREEDIMO_HOME", str(tmp_path))
    server = make_pair("server")
    known_servers(tmp_path / "keys").add("tcp://render-1:7400", server.public)
    with pytest.raises(InvalidKey, match=r"no client key.*threedimo keys client"):
        find_server("tcp://render-1:7400")
    own = create_secret(tmp_path / "keys" / "client.key", "client")
    assert find_server("tcp://RENDER-1:7400", "a-token") == ConnectionInfo(
        "tcp://render-1:7400",
        "tcp://render-1:7401",
        server_key=server.public_word,
        client_secret=own.secret_word,
    )
    assert find_server("tcp://127.0.0.1:7400", "a-token").token == "a-token"
    with pytest.raises(AccessRefused, match="not known here"):
        find_server("tcp://render-2:7400", "a-token")
