"""A server on a loopback port that answers every request with the bytes it was given, however wrong they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tiffin.providers.http import Address

KEY = "engine-secret-3141"


def answer(body: bytes, *, status: str = "200 OK", kind: str = "text/event-stream", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@dataclass
class Upstream:
    """`pieces` are sent one after the other, with a pause before each but the first; then the connection is closed."""

    pieces: tuple[bytes, ...]
    pause_s: float = 0.0
    stays_open: bool = False
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> Address:
        return Address(f"http://127.0.0.1:{self.port}", KEY)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
            )
            self.requests.append(head + await reader.readexactly(length))
            for number, piece in enumerate(self.pieces):
                await asyncio.sleep(self.pause_s if number else 0)
                writer.write(piece)
                await writer.drain()
            if self.stays_open:
                await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def answering(*pieces: bytes, pause_s: float = 0.0, stays_open: bool = False) -> AsyncIterator[Upstream]:
    upstream = Upstream(pieces, pause_s, stays_open)
    server = await asyncio.start_server(upstream.talk, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with server:
        yield upstream
