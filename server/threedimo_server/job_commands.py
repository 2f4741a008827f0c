"""`threedimo jobs` and `threedimo cancel`."""

from __future__ import annotations

import time
from functools import partial

from threedimo.errors import JobError
from threedimo.wire.connection import find_server
from threedimo.wire.messages import Jobs, JobSummary
from threedimo_server.job_run import cancel, connected_client, first_answer


def job_table(server: str | None) -> list[str]:
    """The newest jobs as lines of a table, newest first.

    Raises:
        ServerUnreachable: No server answers.
    """
    with connected_client(partial(find_server, server)) as client:
        client.list_jobs()
        jobs = first_answer(client, Jobs).jobs
    if not jobs:
        return ["no jobs"]
    header = f"{'job':36}  {'state':10}  {'submitted':16}  label"
    return [header, *(line for job in jobs for line in _lines_of(job))]


def _lines_of(job: JobSummary) -> list[str]:
    submitted = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.submitted_at_s))
    lines = [f"{job.job_id}  {job.state:10}  {submitted}  {job.label}"]
    if job.error_code:
        lines.append(f"    [{job.error_code}] {job.error_message}")
    return lines


def cancel_job(job_id: str, server: str | None) -> str:
    """Cancel a job and say so.

    Raises:
        UnknownJob: The server has no such job.
        JobError: It had ended before.
        ServerUnreachable: No server answers.
    """
    with connected_client(partial(find_server, server)) as client:
        state = cancel(client, job_id)
    if state != "cancelled":
        raise JobError(f"the job cannot be cancelled: it is {state} already", given=job_id)
    return f"cancelled {job_id}"
