"""What gateway and zygote say to each other: small msgpack messages behind a four-byte length, over one socket pair.

A job carries two file descriptors beside it (SCM_RIGHTS): the file to read and the file for the result. So the child
needs no path, and the result, which may be large, never travels through the socket.
"""

from __future__ import annotations

import socket
import struct

import msgspec

from tiffin.knowledge.parse import limits

_LENGTH = struct.Struct("!I")
HEADER_BYTES = _LENGTH.size


class Job(msgspec.Struct, frozen=True, tag="job"):
    """Parse the file behind the first descriptor, write the encoded result to the second."""

    id: int
    name: str
    memory_bytes: int


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody waits for this job any more: kill its child."""

    id: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Imports are done. `held` names the confinements that this machine allows (`network`, `files`)."""

    pid: int
    held: tuple[str, ...]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A child ended. `signal` is 0 unless a signal ended it; `started` is false where it could not be forked."""

    id: int
    started: bool
    exit_code: int
    signal: int
    timed_out: bool
    peak_bytes: int
    cpu_seconds: float
    said: str


ToZygote = Job | Cancel
FromZygote = Ready | Done

_encoder = msgspec.msgpack.Encoder()
_to_zygote = msgspec.msgpack.Decoder(ToZygote)
_from_zygote = msgspec.msgpack.Decoder(FromZygote)


def frame(message: ToZygote | FromZygote) -> bytes:
    """Encode a message with its length in front."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def body_length(header: bytes) -> int:
    """The length that a header announces; one beyond the bound means that the stream is broken."""
    (length,) = _LENGTH.unpack(header)
    if length > limits.FRAME_MAX_BYTES:
        raise ValueError(f"a message of {length} bytes was announced; {limits.FRAME_MAX_BYTES} are allowed")
    return int(length)


def from_zygote(body: bytes) -> FromZygote:
    """Decode what the zygote said."""
    return _from_zygote.decode(body)


def receive_by_zygote(sock: socket.socket) -> tuple[ToZygote | None, list[int]]:
    """Read one message and its descriptors from a blocking socket; None when the gateway is gone."""
    header, fds, _, _ = socket.recv_fds(sock, HEADER_BYTES, 2)
    while 0 < len(header) < HEADER_BYTES:
        more = sock.recv(HEADER_BYTES - len(header))
        header = header + more if more else b""
    if not header:
        return None, list(fds)
    left = body_length(header)
    body = b""
    while len(body) < left:
        more = sock.recv(left - len(body))
        if not more:
            return None, list(fds)
        body += more
    return _to_zygote.decode(body), list(fds)
