"""Somebody who begins a message and never ends it, in the protocol of ZeroMQ (ZMTP 3), by hand.

python endless_message.py PORT PART_BYTES SECONDS. Prints how many bytes it sent.
"""

import contextlib
import socket
import struct
import sys
import time

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
MORE, LONG, COMMAND = 1, 2, 4


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(GREETING + bytes([COMMAND, len(READY)]) + READY)
    return connection


def main(port: int, part_bytes: int, seconds: float) -> None:
    part = bytes([MORE | LONG]) + struct.pack(">Q", part_bytes) + bytes(part_bytes)
    block = part * max(1, 1_000_000 // len(part))
    num_sent, connection, end = 0, connect(port), time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection.sendall(block)
            num_sent += len(block)
        except OSError:
            connection.close()
            time.sleep(0.01)
            with contextlib.suppress(OSError):
                connection = connect(port)
    sys.stdout.write(str(num_sent))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
