"""Coverage-guided fuzzing of the codec: python tools/fuzz_codec.py -max_total_time=600.

It needs `pip install -c constraints.txt -e '.[fuzz]'`. Every input is split into parts and read as both sides
read messages. Whatever is no ProtocolError is a find: libFuzzer writes the input to a file and stops, and
`python tools/fuzz_codec.py FILE` repeats it. Its other options are listed by -help=1.
"""

import sys

import atheris

with atheris.instrument_imports(include=["threedimo.wire"]):
    from threedimo.errors import ProtocolError
    from threedimo.wire import codec, messages

SEPARATOR = b"\xc1\xc1"  # a byte that MessagePack never uses, so that seeds need no escaping
JOB_ID = "01234567-89ab-cdef-0123-456789abcdef"
ASSET = messages.Asset(hash="ab" * 32, size=3, name="a.png")
FOOTAGE = messages.Footage(files=[ASSET], fps=24.0)
TRACK = messages.CameraTrack(num_frames=1, fps=8.0, width=8, height=8)
REQUEST = messages.GenerateRequest(reference_image=ASSET, driving_footage=FOOTAGE, camera=TRACK)
SEEDS = [
    (messages.Hello(client="x", versions=[1], token="t"), None),
    (messages.AssetHave(assets=[ASSET]), None),
    (messages.AssetPut(hash=ASSET.hash, size=10, offset=4), b"123456"),
    (messages.Submit(job_id=JOB_ID, request=REQUEST), bytes(codec.camera_body_bytes(TRACK))),
    (messages.Cancel(job_id=JOB_ID), None),
    (messages.Fetch(job_id=JOB_ID, name="frames/00000.png", offset=9, credit=2), None),
    (messages.Progress(job_id=JOB_ID, phase="denoising", step=1, num_steps=4, elapsed_s=0.5), None),
    (messages.Chunk(job_id=JOB_ID, name="video.mp4", offset=0, last=True), b"abc"),
]


def read(data: bytes) -> None:
    """Read a message as a server, as a client, and as one that is answered with an error."""
    parts = data.split(SEPARATOR)
    for decode in (codec.decode_client, codec.decode_server):
        try:
            message, body = decode(parts)
        except ProtocolError:
            continue
        assert codec.encode(message, body), "what was read can be written"
    codec.refused_id(parts)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Now and then begin again from a whole message: random bytes alone hardly ever become one."""
    if seed % 8 == 0:
        message, body = SEEDS[seed // 8 % len(SEEDS)]
        data = SEPARATOR.join(bytes(part) for part in codec.encode(message, body))
    return atheris.Mutate(data, max_size)


if __name__ == "__main__":
    atheris.Setup(sys.argv, read, custom_mutator=mutate)
    atheris.Fuzz()
