"""The 3DiMo wire protocol, version 1: the specification.

A client (Blender extension, command line, script) talks to a server over ZeroMQ. Nothing here imports torch,
bpy or any decoder of pictures: the wire carries bytes whose meaning the ends know.

Sockets
    The server binds two ROUTER endpoints. *control* carries small messages that must never wait behind bulk
    data; *data* carries uploads and downloads. Both are named, with the server's token, in a *connection
    file* (JSON, mode 0600) that the server writes when it is ready and removes when it stops:
    `{"version": 1, "control": "tcp://127.0.0.1:P", "data": "tcp://127.0.0.1:Q", "token": "...", "pid": N,
    "server_key": "", "client_secret": ""}`.
    An address given by hand, `tcp://host:port`, is the control endpoint; data is then on the next port.
    Clients connect one DEALER to each. A socket is used by one thread only.

Keys
    A server that listens on loopback alone asks for its token in `hello`. One that other machines can reach
    asks for no token and speaks CURVE on both sockets (ZAP domain `threedimo`): a client must know the
    server's public key, and the server must hold the client's on its list, or no message passes. The
    connection file then holds the server's key and a client's secret key for this run, for programs of the
    server's own user. `threedimo.wire.keys` says how keys are written.

Messages
    One ZeroMQ message of 1 or 2 parts: a header (MessagePack map, at most `Limits.max_header_bytes`) and,
    where the table says so, a body of raw bytes (at most `Limits.max_body_bytes`). Every header holds `v`
    (protocol version), `type`, `id` (a number chosen by the sender) and `reply_to` (the `id` that is
    answered, or 0). Unknown types, unknown fields, numbers out of range and non-finite numbers are refused
    with `error` (`protocol.malformed`), never guessed at. `threedimo.wire.messages` holds the type of every
    message.

    client -> server       body          answered by
    hello                                welcome | error(protocol.version, server.access_refused);
                                         on *both* sockets, first on each
    asset.have             -             asset.need for each missing asset, asset.held for each present one
    asset.put (data)       chunk         asset.need with the next offset, or asset.held after the last
                                         chunk | error
    submit                 camera f64    accepted | error(asset.missing, model.not_found, request.*,
                                         server.busy)
    cancel                               event(state) now or later | error(job.unknown)
    list                                 jobs
    subscribe                            stored event(state)s with seq > since_seq in order, then live ones,
                                         and result once the job is done | error(job.unknown)
    fetch (data)                         up to `credit` chunks from `offset` | error
    ping                                 pong
    bye                                  nothing; the server forgets the connection, never the jobs

    server -> client       body          meaning
    welcome                              version, limits, capabilities
    asset.need                           send this asset from `offset` on, at most `credit` chunks before
                                         the next answer
    asset.held                           the whole asset is there and its hash is right
    accepted                             the job exists (also for a repeated submit of the same id); its
                                         queue position
    event                                a state of a job; durable, numbered, replayable by `subscribe`
    progress                             phase, step and estimate; lossy
    preview                JPEG          one frame as it denoises; lossy, the latest wins
    result                               manifest of a done job: files with sizes and hashes, and how they
                                         were made
    jobs                                 the answer to list
    chunk                  bytes         part of a result file: `Limits.chunk_bytes` of it, fewer only in the
                                         one that ends the file, which is marked `last`
    error                                code, message, retryable; see `threedimo.errors`
    pong

Assets
    Reference images and driving footage travel as bytes named by their BLAKE2b-256 hash, never as paths.
    They are uploaded once, in chunks of at most `Limits.chunk_bytes`. `asset.need` says that the server
    holds the first `offset` bytes and that the client may send up to `credit` chunks from there on; it
    answers `asset.have` and every `asset.put` that did not complete the asset. A chunk that does not begin
    at the server's offset is not stored; the answer names the offset to go on from.

Jobs
    The client chooses the job id (a UUID) and may resend `submit` safely: the same id is the same job.
    States: queued -> running -> publishing -> done | failed | cancelled. A lost worker puts the job back to
    queued. A job is executed at least once and published exactly once. Events and results outlive the
    connection, the client and the server: subscribe with the last `seq` seen to catch up.

Camera
    `submit` describes the camera in its header (`CameraTrack`: counts, size, fps) and carries the numbers in
    its body: little-endian float64, per frame 16 of `world_from_camera` then 9 of `intrinsics`, row-major,
    and after the last frame 3 of the subject's position and 3 of its forward direction if the header says
    so. OpenCV camera, metres, world z up.

Flow control
    The receiver of bulk data issues credit, in chunks. A fetch asks for `credit` chunks from `offset` on,
    or as many as there are to the end of the file; each of them names it in `reply_to`. Several fetches, of
    one file or of several, may be under way. Nobody sends what was not asked for.

Liveness
    Either side may ping. A client that hears nothing for 10 s declares the connection lost, reconnects, says
    hello and subscribes again; nothing is resent blindly except `submit` and `cancel`, which are idempotent.
    A server that gets another message before `hello` (it was restarted meanwhile) answers
    error(server.access_refused), and the client begins again in the same way.

Versions
    `hello` names the versions that the client speaks; `welcome` the one chosen. Without a common one the
    server answers error(protocol.version), which says which side is older.
"""

from threedimo.wire.messages import PROTOCOL_VERSION

__all__ = ["PROTOCOL_VERSION"]
