"""What somebody without a key can do to a listening server: hold connections, dawdle, send heads without end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tiffin.api import connections
from tiffin.api.server import serve

REQUEST = b"GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n"


async def answering(scope, receive, send) -> None:
    """The plainest application: it reads the body and says how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    told = str(length).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
    await send({"type": "http.response.body", "body": told})


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(answering, listener, ready.set))
    await ready.wait()
    try:
        yield listener.getsockname()[1]
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        listener.close()


async def said(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """All that the server answers to these bytes before it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_silent_connections_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "connections_max", lambda: 8)
    monkeypatch.setattr(connections, "HEAD_S_MAX", 0.5)
    async with listening() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        for _, writer in silent:
            writer.write(b"GET /healthz HT")
        assert (await said(port, REQUEST)).startswith(b"HTTP/1.1 503 ")
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()
        assert (await said(port, REQUEST)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"GET /", b"a" * 4096),
        (b"GET / HTTP/1.1\r\nx-a: ", b"a" * 4096),
        (b"GET / HTTP/1.1\r\n", b"x-a: 1\r\n" * 512),
        (b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 4096),
        (b"POST / HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"x-a: 1\r\n" * 512),
    ],
    ids=["url", "header", "headers", "chunk extension", "trailers"],
)
async def test_a_head_without_end_is_cut_off(begins: bytes, goes_on: bytes) -> None:
    async with listening() as port:
        answer = await said(port, begins, *(goes_on for _ in range(256)), pause_s=0.0005)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
        assert (await said(port, REQUEST)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_may_be_slow_but_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_SILENCE_S_MAX", 0.4)
    head = b"POST / HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: 8\r\n\r\n"
    async with listening() as port:
        assert (await said(port, head, *(b"x" for _ in range(8)), pause_s=0.1)).endswith(b"\r\n\r\n8")
        assert b" 200 " not in await said(port, head, b"x")
