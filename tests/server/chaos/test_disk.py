"""A disk that is full now and then, at whatever is written at that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_a_disk_that_is_full_at_random_moments_corrupts_nothing(
    full: bool, on_a_full_disk: Callable[..., Any], tell: Callable[[str], None]
) -> None:
    num_jobs = 200 if full else 4
    found = on_a_full_disk("logs", program="full_disks.py", arguments=[num_jobs], limit_s=3600)
    assert found["wrong"] == []
    assert found["last"] == "done"
    assert set(found["ends"]) <= {"done", "storage.no_space"}
    ends = ", ".join(f"{number} {end}" for end, number in sorted(found["ends"].items()))
    tell(f"disk full at {num_jobs} random moments: {ends}; queue and results intact, the next job succeeds")
