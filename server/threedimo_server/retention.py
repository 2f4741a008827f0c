"""How long jobs, results and inputs are kept: under the age and the size that an operator allows.

Files go first and the record after them: a server that dies in between finds the record again and goes on,
where files without a record would stay for ever.
"""

from __future__ import annotations

import logging
import math
import time

from threedimo.wire.assets import assets_of
from threedimo_server.assets import AssetStore
from threedimo_server.config import ServerConfig
from threedimo_server.job_records import JobRecords
from threedimo_server.logs import for_job
from threedimo_server.results import ResultStore

logger = logging.getLogger(__name__)

AGE_INTERVAL_S = 600.0
"""Between two looks at the age of everything, for which the whole store is read."""

_DAY_S = 86_400.0


class Retention:
    """Deletes what is not to be kept any longer.

    Args:
        config: How long and how much.
        records: Of the queue.
        assets: Inputs.
        results: What was made.
    """

    def __init__(self, config: ServerConfig, records: JobRecords, assets: AssetStore, results: ResultStore):
        self._keep_s = math.inf if config.keep_days is None else config.keep_days * _DAY_S
        self._keep_bytes = config.keep_bytes
        self._records, self._assets, self._results = records, assets, results
        self._num_done = 0
        self._age_due_s = 0.0

    def keep_up(self) -> None:
        """Look whether something must go. Cheap; call it every few seconds."""
        num_done = self._records.num_by_state()["done"]
        if self._keep_bytes is not None and num_done != self._num_done:
            self._forget(self._records.beyond(self._keep_bytes))
            self._num_done = self._records.num_by_state()["done"]
        if time.monotonic() >= self._age_due_s:
            self._age_due_s = time.monotonic() + AGE_INTERVAL_S
            self._forget_old(time.time() - self._keep_s)

    def _forget_old(self, before_s: float) -> None:
        self._forget(self._records.ended_before(before_s))
        needed = {key for request in self._records.unfinished_requests() for key in assets_of(request)}
        self._assets.prune(needed, before_s)

    def _forget(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            self._results.remove(job_id)
            logger.info("forgotten", extra=for_job(job_id))
        self._records.forget(job_ids)
