"""A client that wants many short jobs, and all their results in a folder. It may be killed and run again.

python busy_client.py CONNECTION_FILE NAME NUM_JOBS FOLDER [TEXT]
"""

import io
import sys
import time
import uuid
from pathlib import Path

import numpy as np
from PIL import Image

from threedimo.wire.client import Client, Event, Fetched, Refused, Result, Timing, make_asset
from threedimo.wire.connection import find_server
from threedimo.wire.messages import Footage, GenerateRequest

PATIENCE_S = 3600.0


def picture() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 20, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def main(connection_file: Path, name: str, num_jobs: int, folder: Path, text: str) -> None:
    data = picture()
    asset = make_asset(data, "grey.png")
    wanted = {str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{index}")): index for index in range(num_jobs)}
    wanted = {job_id: index for job_id, index in wanted.items() if not (folder / job_id).exists()}
    deadline = time.monotonic() + PATIENCE_S
    timing = Timing(lost_s=3.0, retry_s=0.1, max_retry_s=0.5)
    with Client(lambda: find_server(str(connection_file)), name, timing) as client:
        for job_id, index in wanted.items():
            request = GenerateRequest(
                reference_image=asset,
                driving_footage=Footage(files=[asset] * 12, fps=8.0),
                text=text,
                seed=index,
                num_inference_steps=2,
                previews=False,
            )
            client.submit(job_id, request, {asset.hash: data}, label=name)
        while wanted:
            assert time.monotonic() < deadline, f"{len(wanted)} jobs never came"
            for event in client.pump():
                match event:
                    case Result():
                        client.fetch(event.job_id, event, folder / event.job_id)
                    case Fetched():
                        wanted.pop(event.job_id)
                    case Event(state="failed" | "cancelled"):
                        sys.exit(f"{event}")
                    case Refused() if event.job_id is not None:
                        sys.exit(f"{event}")
            client.wait(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), " ".join(sys.argv[5:]))
