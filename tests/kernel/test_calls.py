"""Every call has a name, and knows what it is about."""

from __future__ import annotations

import msgspec
import pytest

from tiffin.kernel.calls import (
    EVERY_CALL,
    Administer,
    Ask,
    Call,
    Chat,
    Embed,
    Ingest,
    Malformed,
    NewDocument,
    Read,
    Remove,
    Retrieve,
    Sampling,
    collection_of,
    operation,
    pinned,
)
from tiffin.kernel.parts import message
from tiffin.policy.access import ROLES

CALLS: tuple[Call, ...] = (
    Chat("m", (message("user", "hi"),)),
    Embed("m", ("a",)),
    Retrieve("c", "q"),
    Ask("c", "q", "m"),
    Ingest("c", (NewDocument("d", "00", text="t"),)),
    Remove("c", "d"),
    Read("document", "c", "d"),
    Administer("create_key", "k"),
    Malformed("POST /", "not_json"),
)


def test_the_list_of_calls_is_complete_and_their_names_are_distinct() -> None:
    assert {type(call) for call in CALLS} == set(EVERY_CALL)
    assert len({operation(call) for call in CALLS}) == len(EVERY_CALL)


def test_an_administrator_may_do_everything_that_can_be_done() -> None:
    assert ROLES["admin"] == {operation(call) for call in CALLS} - {"malformed"}


@pytest.mark.parametrize("call", CALLS, ids=operation)
def test_a_call_survives_being_written_down(call: Call) -> None:
    assert msgspec.json.decode(msgspec.json.encode(call), type=Call) == call


def test_what_a_call_is_about() -> None:
    assert [collection_of(call) for call in CALLS] == [None, None, "c", "c", "c", "c", "c", None, None]
    assert collection_of(Read("receipt", "not a collection")) is None


def test_a_seed_is_fixed_where_nobody_chose_one() -> None:
    seeds = {type(call): getattr(pinned(call, 7), "sampling", None) for call in CALLS}
    assert seeds[Chat] == seeds[Ask] == Sampling(seed=7)
    chosen = Chat("m", (), Sampling(seed=0))
    assert pinned(chosen, 7) is chosen
    assert pinned(CALLS[1], 7) is CALLS[1]
