"""What the queue's database says about all jobs together, and how old ones leave it."""

from __future__ import annotations

from typing import get_args

import msgspec

from threedimo.wire.messages import FINAL_STATES, GenerateRequest, JobState
from threedimo_server.job_database import JobDatabase

IS_FINAL = f"state IN ({', '.join(repr(state) for state in sorted(FINAL_STATES))})"


class JobRecords:
    """Counts, and what can go.

    Args:
        database: The queue's own.
    """

    def __init__(self, database: JobDatabase):
        self._db = database

    def num_by_state(self) -> dict[str, int]:
        """How many jobs are in each state."""
        counts = dict(self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: counts.get(state, 0) for state in get_args(JobState)}

    def oldest_waiting_s(self) -> float | None:
        """When the oldest queued job was submitted (seconds since 1970); None if none is queued."""
        return self._db.execute("SELECT min(submitted_at_s) FROM jobs WHERE state = 'queued'").fetchone()[0]

    def unfinished_requests(self) -> list[GenerateRequest]:
        """The requests whose assets are still needed."""
        rows = self._db.execute(f"SELECT request FROM jobs WHERE NOT {IS_FINAL}")
        return [msgspec.json.decode(row["request"], type=GenerateRequest) for row in rows]

    def ended_before(self, time_s: float) -> list[str]:
        """The jobs that ended before a moment (seconds since 1970)."""
        rows = self._db.execute(f"SELECT job_id FROM jobs WHERE changed_at_s < ? AND {IS_FINAL}", (time_s,))
        return [row["job_id"] for row in rows]

    def beyond(self, max_bytes: int) -> list[str]:
        """The jobs with the oldest results, so many that those of the others are not larger together."""
        rows = self._db.execute(
            "SELECT job_id, (SELECT sum(value ->> 'size') FROM json_each(CAST(files AS TEXT))) AS bytes "
            "FROM results JOIN jobs USING (job_id) ORDER BY changed_at_s DESC, jobs.seq DESC"
        )
        kept_bytes = 0
        too_many: list[str] = []
        for row in rows:
            kept_bytes += row["bytes"]
            if kept_bytes > max_bytes:
                too_many.append(row["job_id"])
        return too_many

    def forget(self, job_ids: list[str]) -> None:
        """Delete jobs with their events."""
        with self._db.transaction():
            for job_id in job_ids:
                for table in ("jobs", "events", "results"):
                    self._db.execute(f"DELETE FROM {table} WHERE job_id = ?", (job_id,))
