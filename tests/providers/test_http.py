"""The one HTTP client: whatever an upstream does, one of our errors comes of it within a bound, without a secret."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import aclosing

import pytest

from tests.providers.upstream import KEY, answer, answering
from tiffin.kernel import limits
from tiffin.kernel.errors import Invalid, ProviderError, ProviderTimeout, ProviderUnavailable, TiffinError
from tiffin.providers import http
from tiffin.providers.http import Address, Http

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def received(address: Address) -> bytes:
    async with Http() as client, aclosing(client.stream(address, "/v1/chat/completions", {"a": 1})) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def posted(address: Address) -> bytes:
    async with Http() as client:
        return await client.post(address, "/v1/embeddings", {"a": 1})


async def test_an_answer_arrives_whole_and_the_key_is_sent_once() -> None:
    async with answering(answer(b"data: x\n\n")) as upstream:
        assert await received(upstream.address) == b"data: x\n\n"
        assert await posted(upstream.address) == b"data: x\n\n"
    assert all(request.count(f"Bearer {KEY}".encode()) == 1 for request in upstream.requests)
    assert upstream.requests[0].endswith(b'{"a":1}')


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ((b"\x00\xffgarbage\r\n\r\n",), ProviderUnavailable),
        ((b"HTTP/1.1 999 ??\r\n\r\n",), ProviderError),
        ((b"HTTP/1.1 200 OK\r\n" + b"x: y" * 50_000,), ProviderUnavailable),
        ((b"",), ProviderUnavailable),
        ((CHUNKED + b"5\r\nhello\r\n",), ProviderUnavailable),
        ((CHUNKED + b"zz\r\nhello\r\n",), ProviderUnavailable),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",), ProviderUnavailable),
        ((answer(b"<html>502</html>", status="502 Bad Gateway", kind="text/html"),), ProviderUnavailable),
        ((answer(b"[" * 100_000, status="500 Oops"),), ProviderError),
        ((answer(b'{"error": "text"}', status="400 Bad"),), Invalid),
        ((answer(b'{"error": {"message": "no"}}', status="400 Bad"),), Invalid),
        ((answer(b"", status="302 Found", more="location: http://127.0.0.1:1/\r\n"),), ProviderError),
        ((answer(b"", status="401 Unauthorized"),), ProviderError),
    ],
    ids=[
        "garbage",
        "odd status",
        "endless head",
        "nothing",
        "cut",
        "bad chunk",
        "short",
        "a web page",
        "deep",
        "text",
        "message",
        "redirect",
        "our key is wrong",
    ],
)
async def test_whatever_an_upstream_does_is_one_of_our_errors(
    pieces: tuple[bytes, ...], error: type[TiffinError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with answering(*pieces) as upstream:
        for call in (received, posted):
            with pytest.raises(error) as raised:
                await asyncio.wait_for(call(upstream.address), 10)
            shown = f"{raised.value} {raised.value.message} {raised.value.hint} {raised.value.__cause__!r}"
            assert KEY not in shown
    assert KEY not in caplog.text and KEY not in repr(upstream.address)


async def test_the_reason_in_an_error_is_read_even_if_it_comes_in_pieces() -> None:
    whole = answer(b'{"error": {"message": "the reason is at the end"}}', status="400 Bad")
    async with answering(whole[:-20], whole[-20:], pause_s=0.1) as upstream:
        with pytest.raises(Invalid, match="the reason is at the end"):
            await received(upstream.address)


async def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(ProviderUnavailable, match="not available"):
            await received(Address(f"http://127.0.0.1:{probe.getsockname()[1]}", KEY))


@pytest.mark.parametrize("pieces", [(), (CHUNKED,), (CHUNKED + b"1\r\nx\r\n",)], ids=["no byte", "no body", "stops"])
async def test_silence_has_a_bound(pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SILENCE_S_MAX", 0.2)
    async with answering(*pieces, stays_open=True) as upstream:
        with pytest.raises(ProviderTimeout):
            await asyncio.wait_for(received(upstream.address), 10)


async def test_a_trickle_has_a_bound_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CALL_S_MAX", 0.5)
    async with answering(CHUNKED, *[b"1\r\nx\r\n"] * 100, pause_s=0.05) as upstream:
        with pytest.raises(ProviderTimeout):
            await asyncio.wait_for(received(upstream.address), 10)


async def test_an_answer_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_BYTES_MAX", 1 << 20)
    async with answering(CHUNKED, *[b"80000\r\n" + b"x" * 0x80000 + b"\r\n"] * 8) as upstream:
        with pytest.raises(ProviderError, match="longer than"):
            await posted(upstream.address)


async def test_leaving_a_stream_closes_the_connection_and_so_stops_the_model() -> None:
    async with answering(CHUNKED + b"1\r\nx\r\n", stays_open=True) as upstream, Http() as client:
        async with aclosing(client.stream(upstream.address, "/", {})) as chunks:
            assert await anext(chunks) == b"x"
            assert not upstream.left.is_set()
        await asyncio.wait_for(upstream.left.wait(), 5)


async def test_outside_its_context_it_says_so() -> None:
    with pytest.raises(RuntimeError):
        await Http().post(Address("http://127.0.0.1:1", KEY), "/", {})
