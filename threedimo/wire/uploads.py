"""Assets on their way to the server: who waits for which, what was sent, and what may be sent next.

Pure book-keeping: nothing here touches a socket, so the rules can be read and tested on their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from threedimo.errors import AssetMissing
from threedimo.wire.assets import AssetSource, assets_of, read_chunk
from threedimo.wire.codec import Buffer
from threedimo.wire.messages import Asset, AssetHave, AssetNeed, AssetPut, GenerateRequest

MAX_CHUNKS_UNDER_WAY = 8
_ASSETS_PER_QUESTION = 256


@dataclass(eq=False)
class Submission:
    """A job that the server has not accepted yet.

    Attributes:
        waiting_for: Hashes of the assets that the server is not known to hold.
        held_bytes: How much of the assets the server holds.
        was_sent: Whether the server may have seen the `submit`, on this connection or an earlier one.
        times_offered: How often the assets were offered on this connection; more than once if the server had
            lost one meanwhile.
    """

    job_id: str
    request: GenerateRequest
    sources: dict[str, AssetSource]
    camera: bytes | None
    label: str
    priority: int
    waiting_for: set[str] = field(default_factory=set[str])
    held_bytes: int = 0
    was_sent: bool = False
    times_offered: int = 0

    def __post_init__(self) -> None:
        self.assets = assets_of(self.request)
        self.total_bytes = sum(asset.size for asset in self.assets.values())


@dataclass(eq=False)
class _Upload:
    asset: Asset
    source: AssetSource | None
    waiting: list[Submission]
    held: int = 0
    sent: int = 0
    window_end: int = 0


class Uploads:
    """All assets that some submission waits for.

    Args:
        chunk_bytes: How large a chunk the server takes.
    """

    def __init__(self, chunk_bytes: int):
        self._chunk_bytes = chunk_bytes
        self._uploads: dict[str, _Upload] = {}
        self._sendable: dict[str, _Upload] = {}
        self._questions: deque[AssetHave] = deque()
        self._under_way: dict[int, tuple[_Upload, int]] = {}
        self._given_up: set[int] = set()

    def add(self, submission: Submission) -> None:
        """Wait for every asset of a submission; those that no other one waits for are asked about."""
        submission.waiting_for = set(submission.assets)
        submission.held_bytes = 0
        new: list[Asset] = []
        for asset in submission.assets.values():
            upload = self._uploads.get(asset.hash)
            if upload is None:
                self._uploads[asset.hash] = upload = _Upload(asset, None, [])
                new.append(asset)
            upload.source = submission.sources.get(asset.hash, upload.source)
            upload.waiting.append(submission)
            submission.held_bytes += upload.held
        for start in range(0, len(new), _ASSETS_PER_QUESTION):
            self._questions.append(AssetHave(assets=new[start : start + _ASSETS_PER_QUESTION]))

    def remove(self, submission: Submission) -> None:
        """Forget a submission; an asset that nobody else waits for is not sent on."""
        for key in submission.waiting_for:
            upload = self._uploads[key]
            upload.waiting.remove(submission)
            if not upload.waiting:
                self._drop(upload)

    def next_question(self) -> AssetHave | None:
        """The question that has to be sent next."""
        return self._questions.popleft() if self._questions else None

    def next_chunk(self) -> tuple[AssetPut, Buffer] | None:
        """The chunk that may be sent next, or None. Follow with `sent`.

        Raises:
            AssetMissing, AssetCorrupt: The source cannot be read, or is not what was announced. `blocked_by`
                names the submissions that this stops.
        """
        if len(self._under_way) >= MAX_CHUNKS_UNDER_WAY:
            return None
        while (upload := self._first_sendable()) is not None:
            if upload.sent < min(upload.window_end, upload.asset.size):
                return self._chunk(upload)
            del self._sendable[upload.asset.hash]
        return None

    def sent(self, put: AssetPut, length: int, message_id: int) -> None:
        """A chunk of `length` bytes left with this id."""
        upload = self._uploads[put.hash]
        upload.sent = put.offset + length
        self._under_way[message_id] = (upload, put.offset)

    def blocked_by(self, message_id: int = 0) -> list[Submission]:
        """The submissions that fail with the chunk of this id, or with the one that is next to be read."""
        if message_id:
            upload = self._under_way[message_id][0] if message_id in self._under_way else None
        else:
            upload = self._first_sendable()
        return list(upload.waiting) if upload else []

    def needed(self, need: AssetNeed) -> list[Submission]:
        """Take the server's answer that an asset is not complete.

        Returns:
            The submissions whose `held_bytes` changed.

        Raises:
            AssetMissing: There is no source to send it from; `waiting_for` names the submissions.
        """
        upload = self._uploads.get(need.hash)
        chunk = self._under_way.pop(need.reply_to, None)
        if upload is None or (chunk is None and upload.sent > 0):
            # It answers a chunk that is to be sent again, or nobody waits for the asset any more.
            return []
        if upload.source is None:
            raise AssetMissing(
                "the server does not hold an asset, and nothing here says where it is",
                given=upload.asset.name or need.hash,
                remedy="submit the job with its files",
            )
        if chunk is None or need.offset <= chunk[1]:
            # At the beginning; or the chunk was not stored, and neither will be those that followed it.
            self._forget_chunks(upload)
            upload.sent = need.offset
        upload.sent = max(upload.sent, need.offset)
        upload.window_end = need.offset + need.credit * self._chunk_bytes
        self._sendable[need.hash] = upload
        return self._set_held(upload, need.offset)

    def held(self, key: str, message_id: int) -> list[Submission]:
        """Take the server's answer that an asset is complete; returns the submissions that waited for it."""
        self._under_way.pop(message_id, None)
        upload = self._uploads.get(key)
        if upload is None:
            return []
        self._set_held(upload, upload.asset.size)
        self._drop(upload)
        for submission in upload.waiting:
            submission.waiting_for.discard(key)
        return upload.waiting

    def waiting_for(self, keys: Iterable[str]) -> list[Submission]:
        """The submissions that wait for any of these assets."""
        uploads = [self._uploads[key] for key in keys if key in self._uploads]
        return list(
            {submission.job_id: submission for upload in uploads for submission in upload.waiting}.values()
        )

    def gave_up(self, message_id: int) -> bool:
        """Whether this chunk was sent, but its answer matters no more."""
        return message_id in self._given_up

    @property
    def moving(self) -> bool:
        """Whether an answer of the server is due."""
        return bool(self._under_way)

    @property
    def ready(self) -> bool:
        """Whether something can be sent at once."""
        window_open = len(self._under_way) < MAX_CHUNKS_UNDER_WAY and bool(self._sendable)
        return bool(self._questions) or window_open

    def _first_sendable(self) -> _Upload | None:
        return next(iter(self._sendable.values()), None)

    def _chunk(self, upload: _Upload) -> tuple[AssetPut, Buffer]:
        assert upload.source is not None
        body = read_chunk(upload.source, upload.asset, upload.sent, self._chunk_bytes)
        return AssetPut(hash=upload.asset.hash, size=upload.asset.size, offset=upload.sent), body

    def _set_held(self, upload: _Upload, held: int) -> list[Submission]:
        for submission in upload.waiting:
            submission.held_bytes += held - upload.held
        changed = upload.waiting if held != upload.held else []
        upload.held = held
        return list(changed)

    def _drop(self, upload: _Upload) -> None:
        del self._uploads[upload.asset.hash]
        self._forget_chunks(upload)
        self._sendable.pop(upload.asset.hash, None)

    def _forget_chunks(self, upload: _Upload) -> None:
        for message_id in [key for key, (owner, _) in self._under_way.items() if owner is upload]:
            del self._under_way[message_id]
            self._given_up.add(message_id)
