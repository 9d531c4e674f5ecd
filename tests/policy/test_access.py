"""The whole permission matrix, cell by cell."""

from __future__ import annotations

from typing import get_args

import pytest

from tiffin.kernel.calls import (
    EVERY_CALL,
    Administer,
    Ask,
    Call,
    Chat,
    Embed,
    Ingest,
    Read,
    Remove,
    Retrieve,
    operation,
)
from tiffin.kernel.errors import Forbidden
from tiffin.kernel.people import Caller, CallerRole
from tiffin.policy.access import authorise

CALLS: tuple[Call, ...] = (
    Chat("m", ()),
    Embed("m", ("x",)),
    Retrieve("c", "q"),
    Ask("c", "q"),
    Ingest("c", ()),
    Remove("c"),
    Read("receipts"),
    Read("keys"),
    Administer("create_key", "x"),
)
ALLOWED = {
    "reader": {"chat", "embed", "retrieve", "ask", "read receipts"},
    "member": {"chat", "embed", "retrieve", "ask", "read receipts", "ingest", "remove"},
    "admin": {"chat", "embed", "retrieve", "ask", "read receipts", "ingest", "remove", "read keys", "administer"},
}


def named(call: Call) -> str:
    return f"read {call.what}" if isinstance(call, Read) else operation(call)


@pytest.mark.parametrize("role", get_args(CallerRole))
@pytest.mark.parametrize("call", CALLS, ids=named)
def test_each_role_may_do_what_is_listed_and_nothing_else(role: CallerRole, call: Call) -> None:
    caller = Caller("k", "n", "p", role)
    if named(call) in ALLOWED[role]:
        grant = authorise(caller, call)
        assert operation(call) in grant.operations and grant.rule
    else:
        with pytest.raises(Forbidden):
            authorise(caller, call)


def test_the_matrix_covers_every_operation() -> None:
    assert {type(call) for call in CALLS} == {kind for kind in EVERY_CALL if kind.__name__ != "Malformed"}
