"""What a stranger may hold of the server: so many connections, a request's head of so many bytes, so long a silence.

uvicorn bounds none of these. Whoever opens connections and says nothing would take every file descriptor, and with the
last one the ledger could not write either.
"""

from __future__ import annotations

import asyncio
import resource
from functools import cache

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTIONS_MAX = 4_096  # open at once; each costs a file descriptor and some KiB
DESCRIPTORS_MAX = 65_536  # file descriptors asked of the system for this process
HEAD_BYTES_MAX = 64 << 10  # bytes of a request before its body, or of a chunk's frame; keys and subjects have some KiB
HEAD_S_MAX = 20.0  # seconds from a connection, or from a request's first byte, to the end of its head
BODY_SILENCE_S_MAX = 60.0  # seconds between two pieces of a body
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@cache
def connections_max() -> int:
    """Half of the file descriptors that the system allows, at most; the others are for the ledger and the engines."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, soft // 2)


class Connection(HttpToolsProtocol):
    """`_unread` counts what came since the head, or the last piece of a body, was complete."""

    _unread = 0
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        is_full = len(self.connections) >= connections_max()
        super().connection_made(transport)
        if is_full:
            self._end(FULL)
        else:
            self._wait(HEAD_S_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD_BYTES_MAX + len(data):
            self._end(HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait(HEAD_S_MAX)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._wait(BODY_SILENCE_S_MAX)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._wait(BODY_SILENCE_S_MAX)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        """The client's next step must be complete within so many seconds; None: it is our turn."""
        self._unread = 0
        if self._patience is not None:
            self._patience.cancel()
        self._patience = None if seconds is None else self.loop.call_later(seconds, self._lose_patience)

    def _lose_patience(self) -> None:
        if self.flow.read_paused:  # it may well have sent more: it is we who do not read
            self._wait(BODY_SILENCE_S_MAX)
        else:
            self.transport.close()

    def _end(self, answer: bytes) -> None:
        """Says why, unless an answer is under way already."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(answer)
        self.transport.close()
