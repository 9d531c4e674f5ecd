"""HTTP matters: bodies with a bound, answers that end with their client, streams whose early failure is a status."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tiffin.kernel.errors import PlatformError
from tiffin.kernel.parts import Event, Opened

STRANGER_BYTES_MAX = 64 << 10  # bytes of a body without a known key; enough for any question asked with a wrong one
DRAIN_BYTES_MAX = 1 << 30  # bytes of a body too large that are still read, so that its sender sees the answer
DRAIN_S_MAX = 60.0  # seconds that this may take

T = TypeVar("T")


class Stopping(PlatformError):
    """The server was told to end before this call had ended."""

    retryable = True


class Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def receipt_header(receipt: str) -> dict[str, str]:
    return {"tiffin-receipt": receipt}


class BodyLimit:
    """ASGI middleware: a body above the bound of its path is answered with 413. Its rest is read and thrown away first.

    A client that is still sending when the connection closes sees a reset, and never the answer that says why. More
    than STRANGER_BYTES_MAX is read of nobody who is not known: parsing 16 MiB of JSON takes half a second.
    """

    def __init__(self, app: ASGIApp, bound: Callable[[str], int], knows: Callable[[Scope], bool]) -> None:
        self._app = app
        self._bound = bound
        self._knows = knows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            announced = headers.get(b"content-length", b"0")
            bytes_max, status = self._bound(scope["path"]), 413
            if not self._knows(scope):
                bytes_max, status = STRANGER_BYTES_MAX, 401
            body = _Body(receive, bytes_max, status, waits=headers.get(b"expect") == b"100-continue")
            body.announced = int(announced) if announced.isdigit() else 0
            receive = body.receive
        await self._app(scope, receive, send)


class _Body:
    def __init__(self, receive: Receive, bytes_max: int, status: int, *, waits: bool) -> None:
        self._receive = receive
        self._bytes_max = bytes_max
        self._status = status
        self._waits = waits  # the client sends nothing until it is told to go on
        self._read = 0
        self.announced = 0

    async def receive(self) -> Message:
        if self.announced > self._bytes_max:
            await self._refuse()
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._bytes_max:
            await self._refuse()
        return message

    async def _refuse(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S_MAX):
                while not self._waits and self._read < DRAIN_BYTES_MAX:
                    message = await self._receive()
                    self._read += len(message.get("body", b""))
                    if not message.get("more_body"):
                        break
        raise HTTPException(self._status)


async def drain(request: Request) -> None:
    """Reads a body and throws it away, so that its sender sees the answer; not one that waits to be told to go on."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    with contextlib.suppress(TimeoutError, HTTPException, ClientDisconnect):
        async with asyncio.timeout(DRAIN_S_MAX):
            async for _ in request.stream():
                pass


async def unless_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """The answer; cancelled as soon as the client has left, so that nobody works for nobody. Then ClientDisconnect."""
    working = asyncio.ensure_future(answer)
    leaving = asyncio.create_task(_left(request.receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
            if working.cancelled():
                raise ClientDisconnect
        return await working
    except asyncio.CancelledError:
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # not the client has left: the server is being stopped
            raise Stopping("Tiffin is being stopped.", hint="Ask again when it is back.") from None
        raise
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def begun(events: AsyncGenerator[Event, None]) -> tuple[str, AsyncGenerator[Event, None]]:
    """The receipt's id and the events, once the first real one has come: a failure before it is an HTTP status."""
    receipt = ""
    try:
        first = await anext(events)
        if isinstance(first, Opened):
            receipt = first.receipt
            first = await anext(events)
    except BaseException:
        await events.aclose()
        raise
    return receipt, _rejoined(first, events)


async def _rejoined(first: Event, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    async with aclosing(events):
        yield first
        async for event in events:
            yield event


class EventStream(Response):
    """Server-sent events. When the client leaves, `chunks` is closed at once, and with it the call behind it."""

    def __init__(self, chunks: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        self._chunks = chunks
        self.status_code = 200
        self.background = None
        self.init_headers(
            {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-store",
                "x-accel-buffering": "no",
                **headers,
            }
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not sending.done():
                sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._chunks) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
