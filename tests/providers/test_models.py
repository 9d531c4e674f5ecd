"""Chat and embeddings on a model that may answer anything: what was seen is passed on and metered, all else fails."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import aclosing

import pytest

from tests.kernel.fakes import ALICE, EVERYTHING, FakeBudget, FakeJournal, world
from tests.providers.upstream import Upstream, answer, answering
from tiffin.kernel.calls import Chat, Embed, Sampling
from tiffin.kernel.errors import ProviderError, TiffinError, Truncated
from tiffin.kernel.govern import collect, govern
from tiffin.kernel.parts import Embedded, Event, Finish, TextDelta, Usage, UsageSeen, message
from tiffin.kernel.people import ApiKey, Grant
from tiffin.kernel.ports import Context
from tiffin.kernel.receipt import Receipt, Target
from tiffin.providers.http import Address, Http
from tiffin.providers.models import Models

HELLO = Chat("m", (message("user", "hi"),))
TARGET = Target("m", "local", "upstream-name", "ab", "openai_chat", 100)


def nothing_inside(call: object):
    raise AssertionError(call)


CONTEXT = Context(Grant(ALICE, EVERYTHING), "receipt", nothing_inside, 0)


def lines(*chunks: object) -> bytes:
    return b"".join(b"data: " + (c if isinstance(c, bytes) else json.dumps(c).encode()) + b"\n\n" for c in chunks)


def text(content: str, finish: str | None = None, **more: object) -> dict[str, object]:
    return {"choices": [{"delta": {"content": content}, "finish_reason": finish}], **more}


async def executed(upstream: Upstream, call: Chat | Embed, seen: list[Event] | None = None) -> list[Event]:
    async def address(name: str) -> Address:
        assert name == "upstream-name"
        return upstream.address

    seen = [] if seen is None else seen
    async with Http() as client, aclosing(Models(client, address).execute(TARGET, call, CONTEXT)) as events:
        async for event in events:
            seen.append(event)
    return seen


async def test_a_chat_is_passed_on_as_it_comes_with_its_usage_before_its_end() -> None:
    body = lines(
        text("Hel"),
        text("lo", "stop"),
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
        b"[DONE]",
    )
    async with answering(answer(body)) as upstream:
        events = await executed(upstream, HELLO)
    assert events == [TextDelta("Hel"), TextDelta("lo"), UsageSeen(Usage(3, 2)), Finish("stop")]
    sent = json.loads(upstream.requests[0].rpartition(b"\r\n\r\n")[2])
    assert sent["model"] == "upstream-name" and sent["max_tokens"] == 1_024
    assert sent["cache_prompt"] is False and sent["timings_per_token"] is True


@pytest.mark.parametrize(
    ("seed", "sent"), [(7, 7), (-1, 2**31 - 1), (2**32 - 1, 2**31 - 1), (2**63 - 1, 2**31 - 1), (0, 0)]
)
async def test_no_seed_asks_the_engine_to_choose_one_itself(seed: int, sent: int) -> None:
    async with answering(answer(lines(b"[DONE]"))) as upstream:
        await executed(upstream, Chat("m", HELLO.messages, Sampling(seed=seed)))
    assert json.loads(upstream.requests[0].rpartition(b"\r\n\r\n")[2])["seed"] == sent


@pytest.mark.parametrize(
    "body",
    [
        lines(text("a"), b"not json"),
        lines(text("a"), b"[" * 50_000),
        lines(text("a"), {"choices": "none"}),
        lines(text("a"), {"error": {"message": "the engine is unwell", "code": 500}}),
        lines(text("a")) + b"data: " + b"x" * (9 << 20),
    ],
    ids=["garbage", "deep", "wrong type", "error", "endless event"],
)
async def test_a_stream_that_goes_wrong_keeps_what_was_seen_and_fails(body: bytes) -> None:
    seen: list[Event] = []
    async with answering(answer(body)) as upstream:
        with pytest.raises(ProviderError):
            await executed(upstream, HELLO, seen)
    assert seen == [TextDelta("a")]


@pytest.mark.parametrize("body", [b"", lines(text("a")), lines(text("a", "stop")), lines(b"[DONE]")])
async def test_a_stream_without_its_end_is_truncated(body: bytes) -> None:
    journal = FakeJournal()
    async with answering(answer(body)) as upstream, Http() as client:

        async def address(name: str) -> Address:
            return upstream.address

        w = world(journal=journal, execute=Models(client, address).execute, route=lambda grant, call: TARGET)
        with pytest.raises(Truncated):
            await collect(govern(HELLO, ApiKey("good"), w))
    assert [receipt.outcome for receipt in journal.closed] == ["truncated"]


async def test_a_stream_that_is_left_is_paid_for_as_far_as_it_went() -> None:
    chunks = [text(f"{n} ", timings={"prompt_n": 5, "cache_n": 2, "predicted_n": n}) for n in range(1, 50)]
    journal, budget = FakeJournal(), FakeBudget()
    async with answering(answer(lines(*chunks))) as upstream, Http() as client:

        async def address(name: str) -> Address:
            return upstream.address

        w = world(journal=journal, budget=budget, execute=Models(client, address).execute, route=lambda g, c: TARGET)
        async with aclosing(govern(HELLO, ApiKey("good"), w)) as events:
            async for event in events:
                if event == TextDelta("9 "):
                    break
    (receipt,) = journal.closed
    assert isinstance(receipt, Receipt)
    assert (receipt.outcome, receipt.usage) == ("abandoned", Usage(7, 9, 2))
    assert [usage for _, usage in budget.settled] == [Usage(7, 9, 2)]


async def test_counts_below_zero_give_no_tokens_back() -> None:
    body = lines(text("a", "stop"), {"choices": [], "usage": {"prompt_tokens": -9, "completion_tokens": -9}}, b"[DONE]")
    async with answering(answer(body)) as upstream:
        assert UsageSeen(Usage(0, 0)) in await executed(upstream, HELLO)


def vectors(*rows: tuple[float, ...], indexes: tuple[int, ...] | None = None) -> bytes:
    data = [
        {"embedding": base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode(), "index": index}
        for row, index in zip(rows, indexes or range(len(rows)), strict=True)
    ]
    return answer(json.dumps({"data": data, "usage": {"prompt_tokens": 4}}).encode(), kind="application/json")


async def test_vectors_come_in_the_order_of_their_texts() -> None:
    async with answering(vectors((1.0, 2.0), (3.0, 4.0), indexes=(1, 0))) as upstream:
        embedded, usage, finish = await executed(upstream, Embed("m", ("a", "b")))
    assert isinstance(embedded, Embedded) and struct.unpack("<4f", embedded.data) == (3.0, 4.0, 1.0, 2.0)
    assert (embedded.dimensions, embedded.count, usage, finish) == (2, 2, UsageSeen(Usage(4)), Finish())


@pytest.mark.parametrize(
    "body",
    [
        vectors((1.0, 2.0)),
        vectors((1.0, 2.0), (1.0, 2.0), (1.0, 2.0)),
        vectors((1.0, 2.0), (1.0,)),
        vectors((), ()),
        vectors((1.0, float("nan")), (1.0, 2.0)),
        vectors((1.0, 2.0), (float("inf"), 2.0)),
        answer(b'{"data": []}'),
        answer(b'{"data": [{"embedding": "!!"}, {"embedding": "!!"}]}'),
        answer(b'{"data": [{"embedding": "YWI="}, {"embedding": "YWI="}]}'),
        answer(b'{"data": [{"embedding": [1e999]}, {"embedding": [1]}]}'),
        answer(b'{"data": [{"embedding": [1e300]}, {"embedding": [1]}]}'),
        answer(b"[" * 50_000),
        answer(b"<html>"),
    ],
    ids=[
        "too few",
        "too many",
        "uneven",
        "empty",
        "NaN",
        "infinite",
        "none",
        "no base64",
        "half a float",
        "huge",
        "too large",
        "deep",
        "a web page",
    ],
)
async def test_vectors_that_are_wrong_are_the_providers_fault(body: bytes) -> None:
    async with answering(body) as upstream:
        with pytest.raises(ProviderError) as raised:
            await executed(upstream, Embed("m", ("a", "b")))
    assert isinstance(raised.value, TiffinError) and raised.value.fault == "provider"
