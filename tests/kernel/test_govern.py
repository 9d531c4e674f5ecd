"""The path, left by every exit: one receipt with the right outcome, every hold settled once, the upstream closed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from tests.kernel.fakes import EVERYTHING, FakeBudget, FakeGuard, FakeJournal, Upstream, allow, world
from tiffin.kernel.calls import Chat, Embed, Retrieve
from tiffin.kernel.errors import (
    Blocked,
    Bug,
    Forbidden,
    JournalUnavailable,
    NotFound,
    OverBudget,
    ProviderUnavailable,
    TiffinError,
    Truncated,
    Unauthenticated,
)
from tiffin.kernel.govern import collect, govern
from tiffin.kernel.parts import Event, Finish, Opened, TextDelta, Usage, UsageSeen, message
from tiffin.kernel.people import ApiKey, Grant
from tiffin.kernel.ports import World
from tiffin.kernel.receipt import Receipt, check_payload

GOOD = ApiKey("good")
HELLO = Chat("default", (message("user", "hello"),))


def raising(error: Exception):
    def fails(*_: object) -> None:
        raise error

    return fails


def the_receipt(w: World, outcome: str, *, started: bool) -> Receipt:
    """The one receipt, after checking that nothing was left behind."""
    journal, budget, upstream = w.journal, w.budget, w.execute
    assert isinstance(journal, FakeJournal) and isinstance(budget, FakeBudget) and isinstance(upstream, Upstream)
    assert [r.outcome for r in journal.closed] == [outcome]
    assert [hold for hold, _ in budget.settled] == budget.held
    assert (upstream.started, upstream.closed) == ((1, 1) if started else (0, 0))
    assert len(journal.intents) == (1 if started else 0)
    return journal.closed[0]


async def test_a_whole_answer_is_completed_and_its_end_waits_for_the_receipt() -> None:
    journal = FakeJournal()
    w = world(journal=journal)
    seen: list[Event] = []
    async with aclosing(govern(HELLO, GOOD, w)) as events:
        async for event in events:
            if isinstance(event, Finish):
                assert journal.closed, "the end was visible before the receipt was durable"
            elif isinstance(event, Opened):
                assert journal.intents == [event.receipt]
            seen.append(event)
    receipt = the_receipt(w, "completed", started=True)
    assert [type(e) for e in seen] == [Opened, TextDelta, TextDelta, UsageSeen, Finish]
    assert receipt.usage == Usage(3, 2)
    assert w.budget.settled[0][1] == Usage(3, 2)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        ({"authorise": raising(Forbidden("No."))}, Forbidden),
        ({"guards": (FakeGuard(bad_input="hello"),)}, Blocked),
        ({"budget": FakeBudget(refuses=True)}, OverBudget),
        ({"route": raising(NotFound("No such model."))}, NotFound),
        ({"journal": FakeJournal(intend_fails=True)}, JournalUnavailable),
    ],
    ids=["access", "input guard", "budget", "route", "journal"],
)
async def test_a_refusal_at_any_stage_leaves_one_receipt_and_starts_nothing(
    broken: dict[str, object], error: type[TiffinError]
) -> None:
    w = world(**broken)
    with pytest.raises(error) as raised:
        await collect(govern(HELLO, GOOD, w))
    assert raised.value.receipt == the_receipt(w, "refused", started=False).id


async def test_a_stranger_leaves_no_receipt() -> None:
    w = world()
    with pytest.raises(Unauthenticated):
        await collect(govern(HELLO, ApiKey("bad"), w))
    assert w.journal.closed == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("stage", ["authorise", "route"])
async def test_a_bug_in_a_stage_is_broken_and_says_nothing_of_itself(stage: str) -> None:
    w = world(**{stage: raising(ZeroDivisionError("secret detail"))})
    with pytest.raises(Bug) as raised:
        await collect(govern(HELLO, GOOD, w))
    receipt = the_receipt(w, "broken", started=False)
    assert "secret" not in raised.value.message
    assert b"secret detail" not in receipt.payload()


@pytest.mark.parametrize(
    ("events", "outcome", "error"),
    [
        ((ProviderUnavailable("down"),), "failed", ProviderUnavailable),
        ((TextDelta("half"), ProviderUnavailable("died")), "failed", ProviderUnavailable),
        ((TextDelta("half"),), "truncated", Truncated),
        ((), "truncated", Truncated),
        ((TextDelta("half"), ZeroDivisionError()), "broken", Bug),
        ((TextDelta("half"), NotFound("gone")), "refused", NotFound),
    ],
    ids=["at once", "mid-stream", "no finish", "empty", "bug", "refused by the executor"],
)
async def test_an_upstream_that_fails(events: tuple, outcome: str, error: type[TiffinError]) -> None:
    w = world(execute=Upstream(events))
    with pytest.raises(error) as raised:
        await collect(govern(HELLO, GOOD, w))
    receipt = the_receipt(w, outcome, started=True)
    assert raised.value.receipt == receipt.id
    assert receipt.error_kind == raised.value.kind


async def test_a_refused_answer_is_an_answer() -> None:
    w = world(execute=Upstream((TextDelta("I do not know."), Finish("refused", "not in the collection"))))
    events = await collect(govern(HELLO, GOOD, w))
    assert events[-1] == Finish("refused", "not in the collection")
    assert the_receipt(w, "refused", started=True).decisions[-1].reason == "not in the collection"


async def test_the_output_guard_holds_back_and_blocks() -> None:
    w = world(guards=(FakeGuard(bad_output="world"),))
    shown: list[Event] = []
    with pytest.raises(Blocked):
        async with aclosing(govern(HELLO, GOOD, w)) as events:
            async for event in events:
                shown.append(event)
    assert not any(isinstance(e, TextDelta) for e in shown)
    the_receipt(w, "refused", started=True)


async def test_held_back_text_is_released_before_the_finish() -> None:
    events = await collect(govern(HELLO, GOOD, world(guards=(FakeGuard(),))))
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["hello ", "world"]
    assert isinstance(events[-1], Finish)


async def test_a_client_that_leaves_abandons_the_call() -> None:
    w = world()
    async with aclosing(govern(HELLO, GOOD, w)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert the_receipt(w, "abandoned", started=True).payload().count(b"hello ") == 1


@pytest.mark.parametrize(
    ("after_s", "changes"),
    [
        (0.02, {"budget": FakeBudget(delay_s=0.05)}),
        (0.02, {"execute": Upstream(delay_s=0.05)}),
        (0.02, {"execute": Upstream(delay_s=0.05), "journal": FakeJournal(close_delay_s=0.05)}),
    ],
    ids=["while reserving", "while streaming", "and again while closing"],
)
async def test_cancellation(after_s: float, changes: dict[str, object]) -> None:
    w = world(**changes)
    task = asyncio.create_task(collect(govern(HELLO, GOOD, w)))
    await asyncio.sleep(after_s)
    task.cancel()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    the_receipt(w, "abandoned", started="execute" in changes)


async def test_a_journal_that_cannot_close_is_said_instead_of_the_end() -> None:
    w = world(journal=FakeJournal(close_fails=True))
    shown: list[Event] = []
    with pytest.raises(JournalUnavailable):
        async with aclosing(govern(HELLO, GOOD, w)) as events:
            async for event in events:
                shown.append(event)
    assert not any(isinstance(e, Finish) for e in shown)
    assert w.execute.closed == 1  # type: ignore[attr-defined]
    assert len(w.budget.settled) == 1  # type: ignore[attr-defined]


async def test_calls_inside_a_call_are_narrowed_and_form_a_tree() -> None:
    async def nested(target, call, context):
        if isinstance(call, Retrieve):
            async with aclosing(context.ask(Embed("minilm", (call.query,)))) as inner:
                async for event in inner:
                    if not isinstance(event, Opened | Finish):
                        yield event
        yield Finish()

    def only_embed(caller, call):
        grant = Grant(caller, EVERYTHING, rule="r")
        return grant.narrow(operations=frozenset({"retrieve", "embed"})) if isinstance(call, Retrieve) else grant

    w = world(execute=nested, authorise=only_embed)
    await collect(govern(Retrieve("c", "q"), ApiKey("good", subjects=("p1",)), w))
    inner, outer = w.journal.closed  # type: ignore[attr-defined]
    assert inner.parent == outer.id and outer.parent is None
    assert inner.subjects == outer.subjects == ("p1",)
    assert [r.outcome for r in (inner, outer)] == ["completed", "completed"]


async def test_a_call_inside_may_not_do_more_than_its_parent() -> None:
    async def sneaky(target, call, context):
        if isinstance(call, Retrieve):
            async for event in context.ask(HELLO):
                yield event
        yield Finish()

    def only_retrieve(caller, call):
        return allow(caller, call).narrow(operations=frozenset({"retrieve"}))

    w = world(execute=sneaky, authorise=only_retrieve)
    with pytest.raises(TiffinError, match="may not chat"):
        await collect(govern(Retrieve("c", "q"), GOOD, w))
    assert [r.outcome for r in w.journal.closed] == ["refused", "refused"]  # type: ignore[attr-defined]


async def test_a_grant_for_some_collections_opens_no_other() -> None:
    def only_trials(caller, call):
        return Grant(caller, EVERYTHING, collections=frozenset({"trials"}))

    w = world(authorise=only_trials)
    await collect(govern(Retrieve("trials", "dose"), ApiKey("good"), w))
    with pytest.raises(Forbidden):
        await collect(govern(Retrieve("salaries", "dose"), ApiKey("good"), w))
    assert [receipt.outcome for receipt in w.journal.closed] == ["completed", "refused"]


async def test_a_call_about_a_crowd_is_refused() -> None:
    w = world()
    with pytest.raises(TiffinError, match="people at most"):
        await collect(govern(HELLO, ApiKey("good", tuple(f"p{i}" for i in range(1_001))), w))
    assert len(the_receipt(w, "refused", started=False).subjects) == 1_000


async def test_entry_and_payload_commit_to_each_other_and_the_entry_names_nobody() -> None:
    w = world()
    await collect(govern(Chat("default", (message("user", "I am Jane Roe"),)), GOOD, w))
    receipt = w.journal.closed[0]  # type: ignore[attr-defined]
    entry, payload = receipt.entry({"policy": "p1"}), receipt.payload()
    assert check_payload(entry, payload) is None
    assert b"Jane" in payload and b"Jane" not in entry and b"Alice" not in entry
    tampered = payload.replace(b"Jane", b"John")
    assert "request" in (check_payload(entry, tampered) or "")
    assert msgspec.json.decode(entry)["parameters"]["seed"] == receipt.seed
