"""A disk that becomes full at random moments of many jobs, and is free again half a second later.

unshare -Urm python full_disks.py HOME ELSEWHERE MODEL NUM_JOBS. Prints as JSON how the jobs ended, how the
last one did, which had enough space, and what is wrong with the queue and the results at the end.
"""

import json
import random
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

from small_disk import fill, follow, server_on_small_disk, submit

from threedimo.wire.client import Refused
from threedimo.wire.messages import FINAL_STATES

home, elsewhere, model, num_jobs = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
chance, ends, wrong = random.Random(3), Counter(), []


def pump_for(client, seconds, heard, job_id):
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        heard.extend(event for event in client.pump() if getattr(event, "job_id", None) == job_id)
        client.wait(0.01)


with server_on_small_disk(home, elsewhere, model) as client:
    for index in range(num_jobs):
        heard = []
        job_id = submit(client, chance.choice(["fine", "slow"]), grey=index % 250)
        pump_for(client, chance.uniform(0.0, 1.2), heard, job_id)
        fill(home / "filler")
        pump_for(client, 0.5, heard, job_id)
        (home / "filler").unlink()
        heard = [event for event in heard if isinstance(event, Refused) or hasattr(event, "state")]
        follow(client, job_id, heard, FINAL_STATES)
        last = heard[-1]
        ends[last.error.code if isinstance(last, Refused) else last.error_code or last.state] += 1
    last_heard = []
    follow(client, submit(client, "fine", grey=251), last_heard, FINAL_STATES)
with closing(sqlite3.connect(home / "jobs.sqlite")) as database:
    wrong += [row[0] for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
    for job_id, files in database.execute("SELECT job_id, files FROM results"):
        for file in json.loads(files):
            path = home / "results" / job_id / file["name"]
            if not path.exists() or path.stat().st_size != file["size"]:
                wrong.append(str(path))
sys.stdout.write(json.dumps({"ends": ends, "last": last_heard[-1].state, "wrong": wrong}))
