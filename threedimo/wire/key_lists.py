"""Lists of public keys with names: the clients that a server lets in, the servers that a client trusts.

Both are text that people may edit: a line `NAME KEY` each. Empty lines and lines that begin with # mean
nothing. The name of a client is free, that of a server is its address.
"""

from __future__ import annotations

import re
from pathlib import Path

from threedimo.errors import InvalidKey
from threedimo.wire.keys import Kind, key_word, parse_key
from threedimo.wire.private_files import open_to_others, read_small, replace_private

ALLOWED_CLIENTS = "allowed_clients"
KNOWN_SERVERS = "known_servers"

_NAME = re.compile(r"^[0-9A-Za-z][0-9A-Za-z_.:/@\[\]\-]{0,255}$", re.ASCII)


class KeyList:
    """A list of keys in a file. Every call reads the file anew, so that a change counts at once.

    Args:
        path: The file. A missing one is an empty list.
        kind: Of the keys.
    """

    def __init__(self, path: Path, kind: Kind):
        self.path = path
        self._kind: Kind = kind

    def read(self) -> dict[str, bytes]:
        """Name to key, in the order of the file.

        Raises:
            InvalidKey: Others may write the file, a line is damaged, or a name or key stands there twice.
        """
        found: dict[str, bytes] = {}
        for number, line in enumerate(self._lines(), 1):
            words = line.split()
            if not words or line.startswith("#"):
                continue
            name, key = self._parse(words, number)
            if name in found or key in found.values():
                raise self._damaged("a name or a key stands there twice", number)
            found[name] = key
        return found

    def add(self, name: str, key: bytes) -> None:
        """Append a line.

        Raises:
            InvalidKey: The name is not possible, it or the key is there already, or the file is damaged.
            StorageError: The file cannot be written.
        """
        if not _NAME.match(name):
            raise InvalidKey(
                "this cannot be a name on a list of keys",
                given=name,
                allowed="letters, digits and _ . - @, a letter or digit first",
            )
        for known_name, known_key in self.read().items():
            if known_name == name or known_key == key:
                raise InvalidKey(
                    "the name or the key is on the list already",
                    given=f"{known_name} in {self.path}",
                    remedy=f"keep it, or first `threedimo keys remove {known_name}`",
                )
        self._write([*self._lines(), f"{name} {key_word(self._kind, key)}"])

    def remove(self, name: str) -> None:
        """Delete the line of a name.

        Raises:
            InvalidKey: The name is not there, or the file is damaged.
            StorageError: The file cannot be written.
        """
        if name not in self.read():
            raise InvalidKey("the name is not on the list", given=f"{name}, {self.path}")
        self._write([line for line in self._lines() if line.split()[:1] != [name]])

    def _parse(self, words: list[str], number: int) -> tuple[str, bytes]:
        if len(words) != 2:
            raise self._damaged("a line is no name and key", number)
        try:
            return words[0], parse_key(words[1], self._kind)
        except InvalidKey as error:
            raise self._damaged(error.problem, number) from error

    def _lines(self) -> list[str]:
        try:
            content = read_small(self.path)
            exposed = open_to_others(self.path, 0o022)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InvalidKey(f"the list of keys cannot be read: {error.strerror}", given=self.path) from error
        if exposed:
            raise InvalidKey(
                "others on this computer may write the list of keys",
                given=self.path,
                allowed="mode 0600",
                remedy=f"look at what it holds, then chmod 600 {self.path}",
            )
        if content is None:
            raise InvalidKey("the list of keys is too long", given=self.path)
        return content.decode("utf-8", errors="replace").splitlines()

    def _write(self, lines: list[str]) -> None:
        replace_private(self.path, "".join(f"{line}\n" for line in lines).encode(), "the list of keys")

    def _damaged(self, problem: str, number: int) -> InvalidKey:
        return InvalidKey(
            f"the list of keys is damaged: {problem}",
            given=f"{self.path}, line {number}",
            allowed="a name and a key on each line",
            remedy="mend or delete the line",
        )
