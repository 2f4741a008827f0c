"""Log lines: UTC time, level, room, job id, sentence; to stderr and to a file that does not grow for ever."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from pathlib import Path

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s job=%(job_id)s %(message)s"
_MAX_FILE_BYTES = 10 * 1024 * 1024
_NUM_OLD_FILES = 3


def for_job(job_id: str) -> dict[str, str]:
    """The `extra` of a log call that concerns a job."""
    return {"job_id": job_id}


def log_to(path: Path | None) -> None:
    """Send this process's log lines to stderr and, unless None, to a rotating file."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        handlers.append(
            logging.handlers.RotatingFileHandler(
                path, maxBytes=_MAX_FILE_BYTES, backupCount=_NUM_OLD_FILES, encoding="utf-8"
            )
        )
    formatter = logging.Formatter(_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S", defaults={"job_id": "-"})
    formatter.converter = time.gmtime
    root = logging.getLogger()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
