"""Token budgets are exact under concurrency and survive a restart."""

from __future__ import annotations

import asyncio

import pytest

from tests.kernel.fakes import EVERYTHING, FakeJournal, Upstream, world
from tiffin.kernel.calls import Ask, Chat, Embed, Sampling
from tiffin.kernel.errors import OverBudget
from tiffin.kernel.govern import collect, govern
from tiffin.kernel.parts import Finish, Usage, UsageSeen, message
from tiffin.kernel.people import ApiKey, Caller, Grant
from tiffin.policy.budgets import TokenBudgets, worst_case
from tiffin.store import keys
from tiffin.store.database import Database
from tiffin.store.keys import Key

CALL = Chat("m", (message("user", "x" * 20),), Sampling(max_tokens=10))
WORST = worst_case(CALL)


def bounded(database: Database, tokens_max: int | None) -> Grant:
    key = Key("key_1", "n", "p", "member", tokens_max, 0, 1, None)
    keys.create(database, key, keys.new_secret(key.id))
    return Grant(Caller("key_1", "n", "p", "member", tokens_max), EVERYTHING)


async def test_a_budget_is_reserved_at_its_worst_and_settled_at_the_truth(database: Database) -> None:
    grant, budgets = bounded(database, 2 * WORST + 5), TokenBudgets(database)
    first = await budgets.reserve(grant, CALL)
    await budgets.reserve(grant, CALL)
    with pytest.raises(OverBudget):
        await budgets.reserve(grant, CALL)
    await budgets.settle(first, Usage(3, 2))
    await budgets.reserve(grant, CALL)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("the maximum daily dose", 5), ("一日の最大用量は四十ミリグラムです", 30), ("💊" * 10, 30), ("", 1)],
    ids=["English", "Japanese", "emoji", "empty"],
)
def test_the_worst_case_of_a_prompt_is_not_below_what_models_count(text: str, tokens: int) -> None:
    assert worst_case(Chat("m", (message("user", text),), Sampling(max_tokens=1))) > tokens
    assert worst_case(Embed("m", (text,))) >= min(tokens, 1)


async def test_used_tokens_survive_a_restart(database: Database) -> None:
    grant, budgets = bounded(database, WORST + 10), TokenBudgets(database)
    await budgets.settle(await budgets.reserve(grant, CALL), Usage(10, 5))
    with pytest.raises(OverBudget, match="15 are used"):
        await TokenBudgets(database).reserve(grant, CALL)


async def test_no_budget_means_no_limit_and_calls_that_use_no_tokens_are_free(database: Database) -> None:
    assert worst_case(Ask("c", "q")) == 0
    grant, budgets = bounded(database, None), TokenBudgets(database)
    for _ in range(100):
        await budgets.reserve(grant, CALL)


async def test_a_hundred_calls_at_once_never_overspend(database: Database) -> None:
    grant = bounded(database, 10 * WORST + 5)
    w = world(
        journal=FakeJournal(),
        budget=TokenBudgets(database),
        authorise=lambda caller, call: grant,
        execute=Upstream((UsageSeen(Usage(10, WORST - 10)), Finish()), delay_s=0.001),
    )
    results = await asyncio.gather(
        *(collect(govern(CALL, ApiKey("good"), w)) for _ in range(100)), return_exceptions=True
    )
    assert sum(isinstance(r, list) for r in results) == 10
    assert all(isinstance(r, list | OverBudget) for r in results)
    with database.read() as connection:
        assert keys.listed(connection)[0].tokens_used == 10 * WORST
