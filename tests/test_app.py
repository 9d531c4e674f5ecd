"""Everything is wired: each call has somebody who executes it, and ready is who can answer."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest

from tiffin.app import Executors, _health
from tiffin.kernel.calls import (
    EVERY_CALL,
    Administer,
    Ask,
    Chat,
    Embed,
    Ingest,
    Malformed,
    Read,
    Remove,
    Retrieve,
)
from tiffin.kernel.errors import Invalid
from tiffin.kernel.receipt import Target

ACTIONS = get_args(get_type_hints(Administer)["action"])
READS = get_args(get_type_hints(Read)["what"])


class Part:
    """A part of the house that says which of its doors was knocked at."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, door: str) -> Any:
        return lambda *_: f"{self._name}.{door}"


def executors() -> Executors:
    parts = [Part(name) for name in ("models", "library", "receipts", "keys", "shelf")]
    return Executors(*parts, status=dict)  # type: ignore[arg-type]


def reached(call: Any) -> str:
    found = executors().execute(Target(), call, None)  # type: ignore[arg-type]
    return found if isinstance(found, str) else f"{found.ag_code.co_name}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "executor"),
    [
        (Chat("m", ()), "models.execute"),
        (Embed("m", ()), "models.execute"),
        (Ask("c", "q"), "ask"),
        (Retrieve("c", "q"), "retrieve"),
        (Ingest("c", ()), "ingest"),
        (Remove("c"), "remove"),
        (Read("receipts"), "receipts.read"),
        (Read("receipt", "r"), "receipts.read"),
        (Read("keys"), "keys.read"),
        (Read("models"), "_models"),
        (Read("status"), "_status"),
        (Read("collections"), "read"),
        (Read("documents", "c"), "read"),
        (Read("document", "c", "d"), "read"),
        (Administer("create_key", "k"), "keys.administer"),
        (Administer("revoke_key", "k"), "keys.administer"),
        (Administer("add_model", "m"), "shelf.administer"),
        (Administer("remove_model", "m"), "shelf.administer"),
    ],
    ids=str,
)
def test_every_call_reaches_who_executes_it(call: object, executor: str) -> None:
    assert reached(call) == executor


def test_no_kind_of_call_is_forgotten() -> None:
    with pytest.raises(Invalid):
        reached(Malformed("POST /", "not_json"))
    examples = (Chat("m", ()), Embed("m", ()), Ask("c", "q"), Retrieve("c", "q"), Ingest("c", ()), Remove("c"))
    assert {type(call) for call in examples} | {Read, Administer, Malformed} == set(EVERY_CALL)
    assert all(reached(Administer(action, "x")) for action in ACTIONS)  # type: ignore[arg-type]
    assert all(reached(Read(what)) for what in READS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("engines", "broken", "ready"), [(True, "", True), (False, "", False), (True, "no sync", False)]
)
def test_ready_is_who_can_answer_and_record(engines: bool, broken: str, ready: bool) -> None:
    class Local:
        def status(self) -> dict[str, Any]:
            return {"ready": engines, "engines": {}}

    class Log:
        def __init__(self) -> None:
            self.broken = broken

    told = _health(Local(), Log())()  # type: ignore[arg-type]
    assert told["ready"] is ready and told["ledger"] == (broken or "ok")
