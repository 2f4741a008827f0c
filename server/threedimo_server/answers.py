"""What the server answers to each message of a client.

Every message is checked against the specification, then against what the sender may do, and only then acted
on. Whatever goes wrong becomes an `error` with the message's id; nothing that a client sends ends the server.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator

import msgspec

from threedimo.errors import AccessRefused, InvalidRequest, MalformedMessage, ServerBusy, ThreeDimoError
from threedimo.version import VERSION
from threedimo.wire.codec import Buffer, decode_client, refused_id, version_mismatch
from threedimo.wire.messages import (
    PROTOCOL_VERSION,
    Accepted,
    AssetHave,
    AssetHeld,
    AssetNeed,
    AssetPut,
    Bye,
    Cancel,
    Capabilities,
    ClientMessage,
    ErrorReply,
    Fetch,
    Hello,
    Jobs,
    Limits,
    ListJobs,
    Message,
    Ping,
    Pong,
    Submit,
    Subscribe,
    Welcome,
)
from threedimo_server.assets import AssetStore
from threedimo_server.dispatch import Dispatcher, require_assets
from threedimo_server.doors import Door, Letter
from threedimo_server.downloads import Downloads
from threedimo_server.followers import Followers
from threedimo_server.jobs import JobQueue
from threedimo_server.logs import for_job
from threedimo_server.request_rules import resolve_request
from threedimo_server.served_models import ServedModels
from threedimo_server.workers import WorkerPool

logger = logging.getLogger(__name__)

UPLOAD_CREDIT = 8

_TEXT_LENGTH = 2000
_ROOM_IN_HEADER_BYTES = 4096


class Answers:
    """The rules of the protocol on the server's side; see `threedimo.wire`.

    Args:
        limits: What clients may send.
        token: What `hello` must carry; empty where the doors know clients by their keys.
        models: What the server makes shots with.
        queue, assets, dispatcher, followers, downloads, pool: The rooms that do the work.
        control: The door where small messages belong; all others belong to the data door.
    """

    def __init__(
        self,
        limits: Limits,
        token: str,
        models: ServedModels,
        *,
        queue: JobQueue,
        assets: AssetStore,
        dispatcher: Dispatcher,
        followers: Followers,
        downloads: Downloads,
        pool: WorkerPool,
        control: Door,
    ):
        self._limits = limits
        self._token = token
        self._models = models
        self._queue = queue
        self._assets = assets
        self._dispatcher = dispatcher
        self._followers = followers
        self._downloads = downloads
        self._pool = pool
        self._control = control
        self._stopping = False

    def refuse_work(self) -> None:
        """From now on a submit is answered with `server.busy`."""
        self._stopping = True

    def answer(self, door: Door, letter: Letter) -> None:
        """Answer one message, whatever it is made of."""
        message_id = 0
        try:
            try:
                message, body = decode_client(letter.parts, self._limits)
            except ThreeDimoError:
                message_id = refused_id(letter.parts, self._limits)
                raise
            message_id = message.id
            for answer in self._answers(door, letter, message, body):
                door.reply(letter.sender, answer)
        except ThreeDimoError as error:
            door.reply(letter.sender, _refusal(error, message_id))
        except Exception:
            logger.exception("%s: a message could not be answered", door.name)
            error = ThreeDimoError("the server met an unexpected error", remedy="read the server's log")
            door.reply(letter.sender, _refusal(error, message_id))

    def _answers(
        self, door: Door, letter: Letter, message: ClientMessage, body: Buffer | None
    ) -> Iterator[Message]:
        sender = letter.sender
        if isinstance(message, Hello):
            yield self._welcome(door, letter, message)
            return
        if not door.knows(sender):
            raise AccessRefused(
                "this connection has not said hello", remedy="say hello first, with the token"
            )
        match message:
            case Ping():
                yield Pong(reply_to=message.id)
            case Bye():
                door.forget(sender)
            case _ if door is self._control:
                yield from self._control_answers(sender, message, body)
            case _:
                yield from self._data_answers(sender, message, body)

    def _control_answers(
        self, sender: bytes, message: ClientMessage, body: Buffer | None
    ) -> Iterator[Message]:
        match message:
            case AssetHave():
                yield from self._asset_have(message)
            case Submit():
                yield self._submit(message, body)
            case Cancel():
                event = self._dispatcher.cancel(message.job_id)
                if event is not None:
                    yield msgspec.structs.replace(event, reply_to=message.id)
            case ListJobs():
                yield self._list_jobs(message)
            case Subscribe():
                self._followers.add(message.job_id, sender, message.since_seq)
            case _:
                raise _wrong_socket(message)

    def _data_answers(self, sender: bytes, message: ClientMessage, body: Buffer | None) -> Iterator[Message]:
        match message:
            case AssetPut() if body is not None:
                yield self._asset_put(message, body)
            case Fetch():
                self._fetch(sender, message)
            case _:
                raise _wrong_socket(message)

    def _welcome(self, door: Door, letter: Letter, hello: Hello) -> Welcome:
        if PROTOCOL_VERSION not in hello.versions:
            raise version_mismatch(max(hello.versions), peer="client")
        if self._token and not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            raise AccessRefused(
                "the token is not this server's", remedy="connect with the server's connection file"
            )
        door.admit(letter, hello.client)
        capabilities = Capabilities(
            server_version=VERSION,
            models=self._models.told(),
            devices=[worker.describe() for worker in self._pool.workers],
        )
        return Welcome(
            reply_to=hello.id,
            version=PROTOCOL_VERSION,
            limits=self._limits,
            capabilities=capabilities,
        )

    def _asset_have(self, message: AssetHave) -> Iterator[Message]:
        for asset in message.assets:
            if self._assets.holds(asset.hash):
                yield AssetHeld(reply_to=message.id, hash=asset.hash)
            else:
                offset = self._assets.next_offset(asset.hash, asset.size)
                yield AssetNeed(reply_to=message.id, hash=asset.hash, offset=offset, credit=UPLOAD_CREDIT)

    def _asset_put(self, message: AssetPut, body: Buffer) -> Message:
        offset = self._assets.put(message.hash, message.size, message.offset, body)
        if offset is None:
            return AssetHeld(reply_to=message.id, hash=message.hash)
        return AssetNeed(reply_to=message.id, hash=message.hash, offset=offset, credit=UPLOAD_CREDIT)

    def _submit(self, message: Submit, body: Buffer | None) -> Accepted:
        if self._stopping:
            raise ServerBusy("the server is stopping", remedy="submit again when it is back")
        camera = None if body is None else bytes(body)
        # A repeated submit is answered from the queue alone: the model or the assets may have changed since.
        if not self._queue.knows(message.job_id):
            resolve_request(message.request, camera, self._models.infos)
            require_assets(self._assets, message.request)
        submission = self._queue.submit(
            message.job_id, message.request, camera, label=message.label, priority=message.priority
        )
        if submission.is_new:
            logger.info("submitted, %d before it", submission.position, extra=for_job(message.job_id))
        return Accepted(
            reply_to=message.id, job_id=message.job_id, seq=submission.seq, position=submission.position
        )

    def _list_jobs(self, message: ListJobs) -> Jobs:
        """As many of the newest jobs as one header holds."""
        jobs = self._queue.list_jobs(message.limit)
        room = self._limits.max_header_bytes - _ROOM_IN_HEADER_BYTES
        answer = Jobs(reply_to=message.id, jobs=jobs)
        while jobs and len(msgspec.msgpack.encode(answer)) > room:
            jobs = jobs[: len(jobs) * 3 // 4]
            answer = Jobs(reply_to=message.id, jobs=jobs)
        return answer

    def _fetch(self, sender: bytes, message: Fetch) -> None:
        result = self._queue.result(message.job_id)
        file = next((file for file in result[0] if file.name == message.name), None) if result else None
        if file is None:
            raise InvalidRequest(
                "the job has no such result file",
                given=message.name,
                remedy="fetch the files that its result names, once it is done",
            )
        self._downloads.grant(sender, message, file)


def _wrong_socket(message: ClientMessage) -> MalformedMessage:
    return MalformedMessage("this message belongs on the other socket", given=type(message).__name__)


def _refusal(error: ThreeDimoError, message_id: int) -> ErrorReply:
    return ErrorReply(
        reply_to=message_id, code=error.code, message=str(error)[:_TEXT_LENGTH], retryable=error.retryable
    )
