"""Receipts as their readers see them: only their own project's, with the tree inside, and the files for a stranger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from tests.kernel.fakes import ALICE, EVERYTHING
from tests.ledger.home import Home
from tiffin.kernel.calls import Ask, Call, Chat, Read
from tiffin.kernel.errors import Conflict, NotFound
from tiffin.kernel.parts import Finish, Row
from tiffin.kernel.people import ApiKey, Caller, Delegation, Grant
from tiffin.kernel.ports import Context
from tiffin.kernel.receipt import Receipt
from tiffin.ledger.log import Log
from tiffin.ledger.proof import verify_proof
from tiffin.ledger.reading import TREE_DEPTH_MAX, Receipts
from tiffin.ledger.recorder import Recorder
from tiffin.store.database import Database

NOW = 1_764_000_000_000_000_000
MEMBER = replace(ALICE, id="key_m", role="member")
STRANGER = replace(ALICE, id="key_s", role="member", project="other")


class Reader:
    def __init__(self, log: Log, recorder: Recorder, database: Database) -> None:
        self.log, self.recorder, self._receipts = log, recorder, Receipts(log, recorder, database)
        self._time = NOW

    async def recorded(self, call: Call, caller: Caller = ALICE, parent: str | None = None) -> Receipt:
        grant = Grant(caller, EVERYTHING)
        self._time += 1_000_000
        receipt = Receipt(call, caller, Delegation(grant, parent) if parent else ApiKey("k", ("jane",)), self._time)
        receipt.see(Finish())
        receipt.conclude()
        await self.recorder.close(receipt)
        return receipt

    async def read(self, call: Read, caller: Caller = ALICE) -> list[dict[str, object]]:
        context = Context(Grant(caller, EVERYTHING), "r", lambda call: None, NOW)  # type: ignore[arg-type,return-value]
        events = [event async for event in self._receipts.read(call, context)]
        assert events[-1] == Finish()
        return [event.value for event in events if isinstance(event, Row)]


@pytest.fixture
async def reader(home: Home) -> AsyncIterator[Reader]:
    log, database = home.open(), Database.open(home.path / "tiffin.db")
    async with Recorder(log, database, {}, lambda: NOW) as recorder:
        yield Reader(log, recorder, database)
    await log.aclose()
    database.close()


async def test_a_receipt_can_be_read_as_soon_as_it_is_closed(reader: Reader) -> None:
    receipt = await reader.recorded(Chat("m", ()))
    (shown,) = await reader.read(Read("receipt", receipt.id))
    assert (shown["id"], shown["index"], shown["log"]) == (receipt.id, 0, reader.log.name)
    assert shown["entry"] == msgspec.json.decode(reader.log.entry(0)) and shown["children"] == []


async def test_the_files_of_a_receipt_verify(reader: Reader) -> None:
    for _ in range(3):
        receipt = await reader.recorded(Chat("m", ()))
    (entry,), (proof,), (payload,) = [
        await reader.read(Read("receipt", receipt.id, item)) for item in ("entry", "proof", "payload")
    ]
    assert verify_proof(str(proof["content"]), str(entry["content"]).encode(), reader.log.vkey).size == 3
    assert str(payload["content"]).encode() == receipt.payload()


async def test_lists_are_newest_first_without_calls_inside_and_without_reads(reader: Reader) -> None:
    outer = await reader.recorded(Ask("c", "q"))
    inner = await reader.recorded(Chat("m", ()), parent=outer.id)
    look = await reader.recorded(Read("status"))
    last = await reader.recorded(Chat("m", ()))
    assert [row["id"] for row in await reader.read(Read("receipts"))] == [last.id, outer.id]
    assert [row["id"] for row in await reader.read(Read("receipts", limit=1))] == [last.id]
    assert [row["id"] for row in await reader.read(Read("receipts", before=last.id))] == [outer.id]
    assert [row["id"] for row in await reader.read(Read("receipts", operation="chat"))] == [last.id, inner.id]
    assert [row["id"] for row in await reader.read(Read("receipts", operation="read"))] == [look.id]


async def test_the_tree_of_calls_is_shown_to_its_depth(reader: Reader) -> None:
    parent = root = await reader.recorded(Ask("c", "q"))
    for _ in range(TREE_DEPTH_MAX + 2):
        parent = await reader.recorded(Chat("m", ()), parent=parent.id)
    (shown,) = await reader.read(Read("receipt", root.id))
    depth = 0
    while shown["children"]:
        (shown,) = shown["children"]  # type: ignore[misc]
        depth += 1
    assert depth == TREE_DEPTH_MAX


@pytest.mark.parametrize("item", ["", "entry", "proof", "payload"])
async def test_another_projects_receipts_do_not_exist(reader: Reader, item: str) -> None:
    theirs, mine = await reader.recorded(Chat("m", ()), MEMBER), await reader.recorded(Chat("m", ()), STRANGER)
    for receipt_id in (theirs.id, "nothing", "", "' OR 1=1", "\0"):
        with pytest.raises(NotFound):
            await reader.read(Read("receipt", receipt_id, item), STRANGER)
    assert await reader.read(Read("receipt", mine.id, item), STRANGER)
    assert [row["id"] for row in await reader.read(Read("receipts"), STRANGER)] == [mine.id]
    assert len(await reader.read(Read("receipts"), ALICE)) == 2, "an administrator sees all projects"


async def test_erased_content_is_said_to_be_erased(reader: Reader, home: Home) -> None:
    receipt = await reader.recorded(Chat("m", ()))
    home.keys.destroy("jane")
    with pytest.raises(Conflict, match="erased"):
        await reader.read(Read("receipt", receipt.id, "payload"))
    assert await reader.read(Read("receipt", receipt.id, "proof"))
