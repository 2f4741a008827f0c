"""A server that says hello and then never stops talking: `python flood.py HOME JOB_ID`.

As fast as the sockets take it, it tells how far a job is and how it looks, in pictures of 256 x 256 pixels.
"""

from __future__ import annotations

import io
import itertools
import os
import sys
from pathlib import Path

import numpy as np
import zmq
from PIL import Image

from threedimo.wire import messages as wire
from threedimo.wire.codec import decode_client, encode
from threedimo.wire.connection import CONNECTION_FILE, ConnectionInfo, write_connection

_PICTURES = 8


def pictures() -> list[bytes]:
    """Some JPEGs of noise, which are as large as they get."""
    rng, made = np.random.default_rng(0), []
    for _ in range(_PICTURES):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)).save(stream, "JPEG")
        made.append(stream.getvalue())
    return made


def welcome(reply_to: int) -> wire.Welcome:
    """A server with one small model."""
    model = wire.ModelInfo(
        id="flood",
        trained=True,
        width=256,
        height=256,
        num_frames=17,
        max_frames=241,
        fps=8.0,
        frame_step=4,
        size_step=8,
        num_inference_steps=10,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
    )
    abilities = wire.Capabilities(server_version="1", models=[model], devices=["cpu"])
    return wire.Welcome(reply_to=reply_to, version=1, limits=wire.Limits(), capabilities=abilities)


def flood(home: Path, job_id: str) -> None:
    """Leave a connection file, greet who comes, and talk until the process is ended."""
    context = zmq.Context()
    sockets = [context.socket(zmq.ROUTER) for _ in range(2)]
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in sockets]
    control, data = (f"tcp://127.0.0.1:{port}" for port in ports)
    write_connection(home / CONNECTION_FILE, ConnectionInfo(control, data, "", os.getpid()))
    noise, listeners = pictures(), set[bytes]()
    for step in itertools.count():
        for socket in sockets:
            while socket.poll(0 if listeners else 100):
                identity, *parts = socket.recv_multipart()
                message, _ = decode_client(parts)
                if isinstance(message, wire.Hello):
                    socket.send_multipart([identity, *encode(welcome(message.id))])
                    if socket is sockets[0]:
                        listeners.add(identity)
        told = wire.Progress(job_id=job_id, phase="denoising", step=step % 10, num_steps=10, elapsed_s=1.0)
        seen = wire.Preview(job_id=job_id, step=step % 10, frame_index=0)
        for identity in listeners:
            sockets[0].send_multipart([identity, *encode(told)])
            sockets[0].send_multipart([identity, *encode(seen, noise[step % _PICTURES])])


if __name__ == "__main__":
    flood(Path(sys.argv[1]), sys.argv[2])
