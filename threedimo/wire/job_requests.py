"""What a client has asked about jobs and not yet seen answered; survives the loss of a connection.

Every wish (a job to submit, to cancel, to follow, a list) is remembered until the server's answer. `resume`
repeats the open ones on a fresh connection: job ids and event numbers make that safe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from threedimo.errors import (
    AssetMissing,
    InvalidRequest,
    JobCancelled,
    LimitExceeded,
    MalformedMessage,
    ThreeDimoError,
    from_code,
)
from threedimo.wire.assets import check_source
from threedimo.wire.client_events import ClientEvent, PreviewImage, Refused, Uploading
from threedimo.wire.codec import Buffer, encode
from threedimo.wire.link import Link
from threedimo.wire.messages import (
    FINAL_STATES,
    Accepted,
    AssetHave,
    AssetHeld,
    AssetNeed,
    Cancel,
    ErrorReply,
    Event,
    Jobs,
    ListJobs,
    Message,
    Preview,
    Progress,
    Result,
    ServerMessage,
    Submit,
    Subscribe,
)
from threedimo.wire.uploads import Submission, Uploads

_MAX_OFFERS = 3
_MAX_OPEN_QUESTIONS = 4096

_Question = AssetHave | Submit | Cancel | ListJobs | Subscribe


@dataclass
class _Following:
    """A job whose events are wanted: the last one seen, and whether there will be no more."""

    seq: int
    finished: bool = False


class JobRequests:
    """Open requests of one client.

    Args:
        link: The connection; asked for `up` before anything is sent.
        emit: Takes each event for the client's owner.
    """

    def __init__(self, link: Link, emit: Callable[[ClientEvent], None]):
        self._link = link
        self._emit = emit
        self._submissions: dict[str, Submission] = {}
        self._following: dict[str, _Following] = {}
        self._cancels: set[str] = set()
        self._list_limit: int | None = None
        self._uploads = Uploads(link.limits.chunk_bytes)
        self._open: dict[int, _Question] = {}

    @property
    def ready(self) -> bool:
        """Whether something can be sent at once."""
        return self._link.up and self._uploads.ready

    @property
    def moving(self) -> bool:
        """Whether the answer to a chunk is due."""
        return self._uploads.moving

    def submit(self, submission: Submission) -> None:
        """Upload what the server lacks, then submit; an id that is under way already is left alone.

        Raises:
            InvalidRequest: A field is out of its range, or the camera numbers do not fit.
            AssetMissing, AssetCorrupt: A source is not the asset that it is given for.
        """
        if submission.job_id in self._submissions:
            return
        try:
            encode(_submit_message(submission), submission.camera, self._link.limits)
        except MalformedMessage as error:
            raise InvalidRequest(error.problem, given=error.given, allowed=error.allowed) from error
        for key, source in submission.sources.items():
            if key in submission.assets:
                check_source(source, submission.assets[key])
        self._submissions[submission.job_id] = submission
        # Followed from here on, as events may come before the submit is answered.
        followed = self._following.get(submission.job_id)
        if followed is None or followed.finished:
            self._following[submission.job_id] = _Following(0)
        if self._link.up:
            self._offer_assets(submission)

    def cancel(self, job_id: str) -> None:
        """Stop a job. One that was never sent ends here."""
        submission = self._submissions.get(job_id)
        if submission is not None and not submission.was_sent:
            self._forget(submission)
            error = JobCancelled("the job was cancelled before it was sent")
            self._emit(
                Event(
                    job_id=job_id, seq=0, state="cancelled", error_code=error.code, error_message=str(error)
                )
            )
            return
        self._cancels.add(job_id)
        if submission is None and self._link.up:
            self._ask(Cancel(job_id=job_id))

    def subscribe(self, job_id: str, since_seq: int) -> None:
        """Follow a job from an event number on."""
        self._following[job_id] = _Following(since_seq)
        if job_id not in self._submissions and self._link.up:
            self._ask(Subscribe(job_id=job_id, since_seq=since_seq))

    def list_jobs(self, limit: int) -> None:
        """Ask for the newest jobs."""
        self._list_limit = limit
        if self._link.up:
            self._ask(ListJobs(limit=limit))

    def resume(self) -> None:
        """Repeat every open request on a fresh connection."""
        self._open.clear()
        self._uploads = Uploads(self._link.limits.chunk_bytes)
        for job_id, following in self._following.items():
            if not following.finished and job_id not in self._submissions:
                self._ask(Subscribe(job_id=job_id, since_seq=following.seq))
        for job_id in self._cancels - self._submissions.keys():
            self._ask(Cancel(job_id=job_id))
        if self._list_limit is not None:
            self._ask(ListJobs(limit=self._list_limit))
        for submission in tuple(self._submissions.values()):
            submission.waiting_for.clear()
            submission.times_offered = 0
            self._offer_assets(submission)

    def send_next(self) -> bool:
        """Send one question about assets, or one chunk. Returns whether there was one."""
        question = self._uploads.next_question()
        if question is not None:
            self._ask(question)
            return True
        try:
            chunk = self._uploads.next_chunk()
        except ThreeDimoError as error:
            for submission in self._uploads.blocked_by():
                self._refuse(submission, error, "asset.put")
            return True
        if chunk is None:
            return False
        put, body = chunk
        self._uploads.sent(put, len(body), self._link.send("data", put, body))
        return True

    def take(self, message: ServerMessage, body: Buffer | None) -> None:
        """Act on a message of the server about jobs or assets."""
        match message:
            case AssetNeed():
                self._take_need(message)
            case AssetHeld():
                self._take_held(message)
            case Accepted():
                self._take_accepted(message)
            case Event():
                self._take_event(message)
            case Result():
                self._take_result(message)
            case Preview() if body is not None:
                jpeg = bytes(body)
                self._emit(PreviewImage(message.job_id, message.step, message.frame_index, jpeg))
            case Progress():
                self._emit(message)
            case Jobs():
                self._open.pop(message.reply_to, None)
                self._list_limit = None
                self._emit(message)
            case ErrorReply():
                self._take_error(message)
            case _:
                error = MalformedMessage(
                    "the server sent a message that nothing asked for", given=_tag(message)
                )
                self._emit(Refused(error, _tag(message)))

    def _take_need(self, need: AssetNeed) -> None:
        try:
            changed = self._uploads.needed(need)
        except AssetMissing as error:
            for submission in self._uploads.waiting_for([need.hash]):
                self._refuse(submission, error, "asset.have")
            return
        self._tell_uploading(changed)

    def _take_held(self, held: AssetHeld) -> None:
        waited = self._uploads.held(held.hash, held.reply_to)
        self._tell_uploading(waited)
        for submission in waited:
            if not submission.waiting_for:
                submission.was_sent = True
                self._ask(_submit_message(submission), submission.camera)

    def _take_accepted(self, accepted: Accepted) -> None:
        self._open.pop(accepted.reply_to, None)
        if self._submissions.pop(accepted.job_id, None) is None:
            return
        self._emit(accepted)
        self._ask(Subscribe(job_id=accepted.job_id, since_seq=self._following[accepted.job_id].seq))
        if accepted.job_id in self._cancels:
            self._ask(Cancel(job_id=accepted.job_id))

    def _take_event(self, event: Event) -> None:
        following = self._following.get(event.job_id)
        if following is not None:
            if event.seq <= following.seq:
                return
            following.seq = event.seq
            # A job that is done still owes its result.
            following.finished = event.state in FINAL_STATES and event.state != "done"
        if event.state in FINAL_STATES:
            self._cancels.discard(event.job_id)
        self._emit(event)

    def _take_result(self, result: Result) -> None:
        following = self._following.get(result.job_id)
        if following is not None:
            if following.finished:
                return
            following.finished = True
        self._emit(result)

    def _take_error(self, reply: ErrorReply) -> None:
        error = from_code(reply.code, reply.message)
        question = self._open.pop(reply.reply_to, None)
        match question:
            case Submit(job_id=job_id):
                self._submit_refused(self._submissions.get(job_id), error)
            case AssetHave(assets=assets):
                for submission in self._uploads.waiting_for(asset.hash for asset in assets):
                    self._refuse(submission, error, _tag(question))
            case Cancel(job_id=job_id):
                self._cancels.discard(job_id)
                self._emit(Refused(error, _tag(question), job_id))
            case Subscribe(job_id=job_id):
                self._following.pop(job_id, None)
                self._emit(Refused(error, _tag(question), job_id))
            case ListJobs():
                self._list_limit = None
                self._emit(Refused(error, _tag(question)))
            case None:
                self._chunk_refused(reply.reply_to, error)

    def _submit_refused(self, submission: Submission | None, error: ThreeDimoError) -> None:
        if submission is None:
            return
        if isinstance(error, AssetMissing) and submission.times_offered < _MAX_OFFERS:
            self._offer_assets(submission)
        else:
            self._refuse(submission, error, "submit")

    def _chunk_refused(self, message_id: int, error: ThreeDimoError) -> None:
        stopped = self._uploads.blocked_by(message_id) if message_id else []
        for submission in stopped:
            self._refuse(submission, error, "asset.put")
        if not stopped and not self._uploads.gave_up(message_id):
            self._emit(Refused(error, "unknown"))

    def _offer_assets(self, submission: Submission) -> None:
        largest = max(submission.assets.values(), key=lambda asset: asset.size)
        allowed = self._link.limits.max_asset_bytes
        if largest.size > allowed:
            error = LimitExceeded(
                "a file is larger than the server takes",
                given=f"{largest.name or largest.hash}, {largest.size} bytes",
                allowed=f"{allowed} bytes",
                remedy="use a shorter or more compressed file",
            )
            self._refuse(submission, error, "submit")
            return
        submission.times_offered += 1
        self._uploads.add(submission)

    def _refuse(self, submission: Submission, error: ThreeDimoError, request: str) -> None:
        self._forget(submission)
        self._emit(Refused(error, request, submission.job_id))

    def _forget(self, submission: Submission) -> None:
        self._uploads.remove(submission)
        del self._submissions[submission.job_id]
        self._following.pop(submission.job_id, None)
        self._cancels.discard(submission.job_id)

    def _tell_uploading(self, submissions: list[Submission]) -> None:
        for submission in submissions:
            self._emit(Uploading(submission.job_id, submission.held_bytes, submission.total_bytes))

    def _ask(self, question: _Question, body: Buffer | None = None) -> None:
        self._open[self._link.send("control", question, body)] = question
        if len(self._open) > _MAX_OPEN_QUESTIONS:
            # Cancel and subscribe are answered by events, which need not name them: the oldest are settled.
            del self._open[next(iter(self._open))]


def _submit_message(submission: Submission) -> Submit:
    return Submit(
        job_id=submission.job_id,
        request=submission.request,
        label=submission.label,
        priority=submission.priority,
    )


def _tag(message: Message) -> str:
    return str(message.__struct_config__.tag)
