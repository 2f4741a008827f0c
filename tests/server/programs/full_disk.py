"""A job of a real server on a disk that is full when the job ends, and free again later.

unshare -Urm python full_disk.py HOME ELSEWHERE MODEL, with a folder `results` in ELSEWHERE or without:
results lie there or on the full disk. HOME becomes a disk of its own, which nobody outside this process sees.
Prints the states and errors of the job and of one after it as JSON.
"""

import json
import sys
from pathlib import Path

from small_disk import fill, follow, server_on_small_disk, submit, wait_until

from threedimo.wire.messages import FINAL_STATES

home, elsewhere, model = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
log = elsewhere / "logs" / "server.log"
with server_on_small_disk(home, elsewhere, model) as client:
    job_id, heard = submit(client, "slow slow slow"), []
    follow(client, job_id, heard, frozenset({"running"}))
    fill(home / "filler")
    wait_until(lambda: "[storage.no_space]" in log.read_text())
    at_full = [event.state for event in heard]
    (home / "filler").unlink()
    follow(client, job_id, heard, FINAL_STATES)
    next_id, next_heard = submit(client, "fine"), []
    follow(client, next_id, next_heard, FINAL_STATES)
sys.stdout.write(
    json.dumps(
        {
            "at_full": at_full,
            "states": [event.state for event in heard],
            "error": heard[-1].error_code,
            "next": next_heard[-1].state,
            "lines": log.read_text().count("[storage.no_space]"),
        }
    )
)
