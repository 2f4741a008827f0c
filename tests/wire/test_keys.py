"""Keys as words, as private files, and as lists that people edit."""

from __future__ import annotations

import os
import string

import pytest

from threedimo.errors import InvalidKey, UnwritableFolder
from threedimo.wire.key_lists import KeyList
from threedimo.wire.keys import create_secret, key_word, make_pair, pair_of, parse_key, read_secret

CLIENT, SERVER = "threedimo-client", "threedimo-server"


def test_a_key_survives_as_a_word_that_mail_does_not_break():
    pair = make_pair("client")
    assert parse_key(f"  {pair.public_word}\n", CLIENT) == pair.public
    assert pair_of(pair.secret_word, "client") == pair
    assert pair.public != pair.secret
    assert len(pair.public_word) < 72
    assert set(pair.public_word) <= set(string.ascii_letters + string.digits + "-_:")
    assert make_pair("client").secret != pair.secret


def test_the_secret_does_not_show_in_logs():
    pair = make_pair("server")
    assert repr(pair.secret) not in repr(pair)


def test_every_cut_and_every_changed_character_is_noticed():
    word = make_pair("client").public_word
    for end in range(len(word)):
        with pytest.raises(InvalidKey):
            parse_key(word[:end], CLIENT)
    for index in range(len(CLIENT) + 1, len(word)):
        changed = word[:index] + ("A" if word[index] != "A" else "B") + word[index + 1 :]
        with pytest.raises(InvalidKey, match="damaged"):
            parse_key(changed, CLIENT)


@pytest.mark.parametrize("text", ["", "hello", "threedimo-client", "threedimo-client:ä", "x" * 10_000])
def test_what_is_no_key_is_told_with_the_form(text):
    with pytest.raises(InvalidKey, match=r"this is not a key.*threedimo-client: and 48 characters") as error:
        parse_key(text, CLIENT)
    assert len(str(error.value)) < 400


def test_kinds_are_told_apart():
    client, server = make_pair("client"), make_pair("server")
    with pytest.raises(InvalidKey, match=r"another kind.*threedimo-server.*threedimo-client"):
        parse_key(server.public_word, CLIENT)
    with pytest.raises(InvalidKey, match="damaged"):
        parse_key(server.public_word.replace("server", "client"), CLIENT)
    with pytest.raises(InvalidKey, match="private key, which must never leave") as error:
        parse_key(client.secret_word, CLIENT)
    assert client.secret_word not in str(error.value)


def test_a_private_file_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "new" / "client.key"
    pair = create_secret(path, "client")
    assert read_secret(path, "client") == pair
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    content = path.read_bytes()
    with pytest.raises(InvalidKey, match="has a client key already"):
        create_secret(path, "client")
    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["client.key"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableFolder, match="the client's key cannot be written"):
        create_secret(tmp_path / "file" / "client.key", "client")


def test_a_missing_private_file_says_how_to_make_one(tmp_path):
    with pytest.raises(InvalidKey, match=r"has no server key.*threedimo keys server"):
        read_secret(tmp_path / "server.key", "server")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_private_file_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "client.key"
    create_secret(path, "client")
    path.chmod(mode)
    with pytest.raises(InvalidKey, match=f"mode {mode:04o}.*chmod 600"):
        read_secret(path, "client")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"# a comment alone\n",
        b"\xff\xfe\x00",
        b"threedimo-client-secret:" + b"A" * 48,
        b"two words\n",
        b"x" * 1_000_000,
        make_pair("client").public_word.encode(),
        make_pair("server").secret_word.encode(),
        (make_pair("client").secret_word + "\n" + make_pair("client").secret_word).encode(),
    ],
)
def test_a_damaged_private_file_is_told_without_its_secret(tmp_path, content):
    path = tmp_path / "client.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidKey, match=r"the client's key is not usable.*threedimo keys client") as error:
        read_secret(path, "client")
    assert str(path) in str(error.value)
    assert b"secret:" not in str(error.value).encode().replace(str(path).encode(), b"")


@pytest.fixture
def clients(tmp_path) -> KeyList:
    return KeyList(tmp_path / "keys" / "allowed_clients", CLIENT)


def test_a_list_grows_and_shrinks_and_keeps_what_people_wrote(clients):
    assert clients.read() == {}
    anna, bob = make_pair("client").public, make_pair("client").public
    clients.add("anna", anna)
    with clients.path.open("a") as file:
        file.write("\n# the new one\n")
    clients.add("bob@desk-2", bob)
    assert clients.read() == {"anna": anna, "bob@desk-2": bob}
    clients.remove("anna")
    assert clients.read() == {"bob@desk-2": bob}
    assert "# the new one" in clients.path.read_text()
    if os.name == "posix":
        assert clients.path.stat().st_mode & 0o777 == 0o600


def test_names_and_keys_stand_on_a_list_once(clients):
    anna = make_pair("client").public
    clients.add("anna", anna)
    for name, key in (("anna", make_pair("client").public), ("other", anna)):
        with pytest.raises(InvalidKey, match=r"on the list already.*threedimo keys remove anna"):
            clients.add(name, key)
    with pytest.raises(InvalidKey, match="not on the list"):
        clients.remove("bob")
    for name in ("", "a b", "#anna", "-x", "a\nb", "ä"):
        with pytest.raises(InvalidKey, match="cannot be a name"):
            clients.add(name, make_pair("client").public)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("anna", "no name and key"),
        ("anna threedimo-client:AAAA", "damaged: characters are missing"),
        (f"anna {key_word(SERVER, bytes(32))}", "another kind"),
        (f"anna {key_word(CLIENT, bytes(32))} today", "no name and key"),
        (f"other {key_word(CLIENT, bytes(32))}", "twice"),
        (f"first {key_word(CLIENT, bytes(31) + b'1')}", "twice"),
    ],
)
def test_a_damaged_line_is_named(clients, line, said):
    clients.add("first", bytes(32))
    with clients.path.open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(InvalidKey, match=f"{said}.*allowed_clients, line 3"):
        clients.read()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_list_that_others_may_write_is_refused(clients):
    clients.add("anna", make_pair("client").public)
    clients.path.chmod(0o644)
    assert set(clients.read()) == {"anna"}
    clients.path.chmod(0o664)
    with pytest.raises(InvalidKey, match="others on this computer may write"):
        clients.read()
