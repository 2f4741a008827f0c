"""A client of the server: one object, one thread, nothing that blocks.

`Client` is meant to be pumped: a timer (Blender) or a loop (command line) calls `pump` again and again; each
call does the socket and file work that fits in a few milliseconds and returns what happened. Requests are
remembered until they are answered, so that a lost connection costs time and nothing else.

    with Client(find_server, "my script") as client:
        client.submit(job_id, request, files)
        while not done:
            client.wait(0.1)
            for event in client.pump():
                ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from threedimo.errors import InvalidRequest, ThreeDimoError, from_code
from threedimo.wire.assets import AssetSource, make_asset
from threedimo.wire.client_events import (
    ClientEvent,
    Connected,
    ConnectionLost,
    Fetched,
    Fetching,
    PreviewImage,
    Refused,
    Uploading,
)
from threedimo.wire.codec import Buffer, encode
from threedimo.wire.connection import ConnectionInfo
from threedimo.wire.downloads import Download
from threedimo.wire.job_requests import JobRequests
from threedimo.wire.link import Link, Timing
from threedimo.wire.messages import (
    Accepted,
    AssetHeld,
    AssetNeed,
    Capabilities,
    Chunk,
    ErrorReply,
    Event,
    GenerateRequest,
    Jobs,
    Limits,
    Progress,
    Result,
    ServerMessage,
)
from threedimo.wire.uploads import Submission

__all__ = [
    "Accepted",
    "Client",
    "ClientEvent",
    "Connected",
    "ConnectionLost",
    "Event",
    "Fetched",
    "Fetching",
    "Jobs",
    "PreviewImage",
    "Progress",
    "Refused",
    "Result",
    "Timing",
    "Uploading",
    "make_asset",
]


class Client:
    """A connection to a server, with everything that was asked of it.

    Every call must come from the thread that made the client: libzmq aborts the whole program when sockets
    are shared between threads, so a call from another thread raises `RuntimeError` before it reaches them.

    Args:
        connection: Where the server is. Give a function, such as `threedimo.wire.connection.find_server`, to
            find a server again that was restarted on another port; it is called before each attempt.
        name: Who the client is, for the server's log.
        timing: When to act on silence.
    """

    def __init__(
        self,
        connection: ConnectionInfo | Callable[[], ConnectionInfo],
        name: str,
        timing: Timing | None = None,
    ):
        self._thread_id = threading.get_ident()
        self._closed = False
        self._timing = timing or Timing()
        find_server = (lambda: connection) if isinstance(connection, ConnectionInfo) else connection
        self._link = Link(find_server, name, self._timing)
        self._events: dict[object, ClientEvent] = {}
        self._jobs = JobRequests(self._link, self._emit)
        self._downloads: dict[str, Download] = {}
        self._moved_at = time.monotonic()

    @property
    def connected(self) -> bool:
        """Whether the server has welcomed the client and was not lost since."""
        return self._link.up

    @property
    def capabilities(self) -> Capabilities | None:
        """What the server last said that it can do; None before the first welcome."""
        return self._link.capabilities

    @property
    def limits(self) -> Limits:
        """What the server accepts; the protocol's defaults before the first welcome."""
        return self._link.limits

    def submit(
        self,
        job_id: str,
        request: GenerateRequest,
        files: Mapping[str, AssetSource],
        camera: bytes | None = None,
        label: str = "",
        priority: int = 0,
    ) -> None:
        """Upload what the server lacks, queue the job, and follow it. Repeating it is harmless.

        Args:
            job_id: A UUID chosen by the caller; the same id is the same job.
            request: What to make.
            files: For each asset's hash the bytes or the file; files are read chunk by chunk.
            camera: The camera numbers that `request.camera` describes, as the specification lays them out.
            label: A name for people.
            priority: From -100 to 100; higher goes first.

        Raises:
            InvalidRequest: A field is out of its range, or the camera numbers do not fit.
            AssetMissing, AssetCorrupt: A file is not the asset that it is given for.
            LimitExceeded: The request is larger than the server takes.
        """
        self._check_usable()
        self._jobs.submit(Submission(job_id, request, dict(files), camera, label, priority))

    def cancel(self, job_id: str) -> None:
        """Stop a job; its `Event` follows. A job that was not sent yet is cancelled here, with `seq` 0."""
        self._check_usable()
        self._jobs.cancel(job_id)

    def subscribe(self, job_id: str, since_seq: int = 0) -> None:
        """Follow a job from an event number on. Jobs submitted by this client are followed already."""
        self._check_usable()
        self._jobs.subscribe(job_id, since_seq)

    def list_jobs(self, limit: int = 100) -> None:
        """Ask for the newest jobs; `Jobs` follows."""
        self._check_usable()
        self._jobs.list_jobs(limit)

    def fetch(self, job_id: str, result: Result, folder: Path) -> None:
        """Bring the files of a result into a new folder; `Fetching` and then `Fetched` follow, or `Refused`.

        They arrive in `<folder>.part` beside it, which is continued if an earlier fetch was interrupted.
        Several results are fetched one after the other.

        Raises:
            InvalidRequest: The result is another job's, or is being fetched into another folder.
            MalformedMessage: The manifest is not valid.
            UnwritableFolder, NoSpace: The files cannot go there.
        """
        self._check_usable()
        encode(result)
        under_way = self._downloads.get(job_id)
        if under_way is not None and under_way.folder == folder:
            return
        if under_way is not None or result.job_id != job_id:
            raise InvalidRequest(
                "the job is being fetched into another folder, or the result is another job's",
                given=f"job {job_id}, result of {result.job_id}, folder {folder}",
            )
        self._downloads[job_id] = Download(result, folder)

    def stop_fetching(self, job_id: str) -> None:
        """Let go of a result that is on its way: nothing more of it is written. What came so far stays."""
        self._check_usable()
        self._downloads.pop(job_id, None)

    def pump(self, budget_s: float = 0.004) -> list[ClientEvent]:
        """Do the work that is due, for about `budget_s` seconds and at least one step; never waits.

        Returns:
            What happened, in order. Progress, previews and byte counts are lossy: the newest of each job.
        """
        self._check_usable()
        now = time.monotonic()
        deadline = now + budget_s
        self._link.maintain(now)
        while self._work_once(time.monotonic()):
            if time.monotonic() >= deadline:
                break
        else:
            # Only now is it sure that no sign of life waits to be read.
            self._judge(time.monotonic())
        self._take_news()
        events = list(self._events.values())
        self._events.clear()
        return events

    def wait(self, timeout_s: float) -> None:
        """Sleep until `pump` has work, at most `timeout_s`. For command lines; a GUI uses a timer."""
        self._check_usable()
        download = self._download()
        if not self._jobs.ready and not (self._link.up and download is not None and download.ready):
            self._link.wait(timeout_s, time.monotonic())

    def close(self) -> None:
        """Leave the server. Accepted jobs go on, and a client that subscribes again finds them."""
        self._check_thread()
        if not self._closed:
            self._closed = True
            self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work_once(self, now: float) -> bool:
        received = self._link.receive(now)
        if received is not None:
            self._take(*received)
        self._take_news()
        if not self._link.up:
            return received is not None
        uploaded = self._jobs.send_next()
        fetched = self._fetch_once()
        if uploaded or fetched:
            self._moved_at = now
        return received is not None or uploaded or fetched

    def _take(self, message: ServerMessage, body: Buffer | None) -> None:
        download = self._download()
        if isinstance(message, Chunk):
            if download is not None and body is not None:
                self._take_chunk(download, message, body)
            return
        if isinstance(message, ErrorReply) and download is not None and download.owns(message.reply_to):
            self._drop_download(download, from_code(message.code, message.message))
            return
        if isinstance(message, AssetNeed | AssetHeld):
            self._moved_at = time.monotonic()
        self._jobs.take(message, body)

    def _take_chunk(self, download: Download, chunk: Chunk, body: Buffer) -> None:
        self._moved_at = time.monotonic()
        try:
            if download.receive(chunk, body):
                self._emit(Fetching(download.job_id, download.received_bytes, download.total_bytes))
        except ThreeDimoError as error:
            self._drop_download(download, error)

    def _fetch_once(self) -> bool:
        """One step of the download that is first: look at old bytes, ask for new ones, or finish."""
        download = self._download()
        if download is None:
            return False
        try:
            if download.complete:
                download.finish()
                del self._downloads[download.job_id]
                self._emit(Fetched(download.job_id, download.folder))
                return True
            if download.check():
                return True
        except ThreeDimoError as error:
            self._drop_download(download, error)
            return True
        chunk_bytes = self._link.limits.chunk_bytes
        fetch = download.next_fetch(chunk_bytes)
        if fetch is None:
            return False
        download.asked(fetch, chunk_bytes, self._link.send("data", fetch))
        return True

    def _download(self) -> Download | None:
        return next(iter(self._downloads.values()), None)

    def _drop_download(self, download: Download, error: ThreeDimoError) -> None:
        del self._downloads[download.job_id]
        self._emit(Refused(error, "fetch", download.job_id))

    def _judge(self, now: float) -> None:
        download = self._download()
        moving = self._jobs.moving or (download is not None and download.moving)
        if self._link.up and moving and now - self._moved_at >= self._timing.stalled_s:
            self._link.lose("a transfer does not move any more", now)
        self._link.judge_silence(now, moving)

    def _take_news(self) -> None:
        while self._link.news:
            news = self._link.news.popleft()
            self._emit(news)
            if isinstance(news, Connected):
                self._moved_at = time.monotonic()
                self._jobs.resume()
                for download in self._downloads.values():
                    download.restart()

    def _emit(self, event: ClientEvent) -> None:
        """Keep an event for `pump`; a lossy one takes the place of the last of its kind and job."""
        key: object = id(event)
        if isinstance(event, Uploading | Progress | PreviewImage | Fetching):
            key = (type(event), event.job_id)
            self._events.pop(key, None)
        self._events[key] = event

    def _check_usable(self) -> None:
        self._check_thread()
        if self._closed:
            raise RuntimeError("this client is closed; make a new one")

    def _check_thread(self) -> None:
        caller = threading.get_ident()
        if caller != self._thread_id:
            raise RuntimeError(
                f"a Client belongs to the thread that made it ({self._thread_id}) and was called from another"
                f" ({caller}): make one client per thread"
            )
