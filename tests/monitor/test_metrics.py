"""Every governed call is counted once, when its receipt is closed, and never before it is durable."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from tests.kernel.fakes import FakeJournal, Upstream, world
from tiffin.kernel.calls import Chat
from tiffin.kernel.errors import JournalUnavailable, ProviderUnavailable, TiffinError
from tiffin.kernel.govern import collect, govern
from tiffin.kernel.parts import Event, Finish, TextDelta, Usage, UsageSeen, message
from tiffin.kernel.people import ApiKey
from tiffin.monitor.metrics import Counted

HELLO = Chat("m", (message("user", "hi"),))


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("tiffin_calls_total", {"operation": "chat", "outcome": outcome}) or 0


def tokens(direction: str) -> float:
    return REGISTRY.get_sample_value("tiffin_tokens_total", {"operation": "chat", "direction": direction}) or 0


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ((TextDelta("a"), UsageSeen(Usage(3, 2)), Finish()), "completed"),
        ((TextDelta("a"), UsageSeen(Usage(3, 2)), ProviderUnavailable("gone")), "failed"),
        ((TextDelta("a"), UsageSeen(Usage(3, 2))), "truncated"),
    ],
)
async def test_each_outcome_is_counted_with_the_tokens_that_were_seen(
    events: tuple[Event | Exception, ...], outcome: str
) -> None:
    before = counted(outcome), tokens("input"), tokens("output")
    try:
        await collect(govern(HELLO, ApiKey("good"), world(execute=Upstream(events), journal=Counted(FakeJournal()))))
    except TiffinError as error:
        assert outcome != "completed", error
    assert (counted(outcome), tokens("input"), tokens("output")) == (before[0] + 1, before[1] + 3, before[2] + 2)


async def test_what_could_not_be_recorded_is_not_counted() -> None:
    before = counted("completed")
    with pytest.raises(JournalUnavailable):
        await collect(govern(HELLO, ApiKey("good"), world(journal=Counted(FakeJournal(close_fails=True)))))
    assert counted("completed") == before
