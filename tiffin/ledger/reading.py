"""Executes the reading of receipts: the list, one with its tree, and the files that a stranger verifies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

import msgspec

from tiffin.kernel.calls import Read
from tiffin.kernel.errors import Conflict, JournalUnavailable, NotFound, PlatformError
from tiffin.kernel.parts import Event, Finish, Row
from tiffin.kernel.people import Caller
from tiffin.kernel.ports import Context
from tiffin.ledger.errors import LedgerBroken, LedgerError, LedgerFull, PayloadErased
from tiffin.ledger.log import Log
from tiffin.ledger.recorder import Recorder
from tiffin.store import receipts
from tiffin.store.database import Database
from tiffin.store.receipts import IndexedReceipt, Wanted

TREE_DEPTH_MAX = 8  # levels of calls inside calls that one view shows; the path allows no more
LIST_MAX = 1_000  # receipts in one answer


class Receipts:
    def __init__(self, log: Log, recorder: Recorder, database: Database) -> None:
        self._log = log
        self._recorder = recorder
        self._database = database

    async def read(self, call: Read, context: Context) -> AsyncGenerator[Event, None]:
        await self._recorder.flush()
        caller = context.grant.caller
        if call.what == "receipts":
            for row in await asyncio.to_thread(self._list, call, caller):
                yield Row(summary(row))
        else:
            found = await asyncio.to_thread(self._find, call.name, caller)
            with _explained():
                answer = await self._one(found, call.item)
            yield answer
        yield Finish()

    def _list(self, call: Read, caller: Caller) -> list[IndexedReceipt]:
        wanted = Wanted(
            limit=min(call.limit, LIST_MAX),
            before=call.before,
            project=None if caller.role == "admin" else caller.project,
            operation=call.operation,
            roots_only=call.operation is None,
        )
        with self._database.read() as connection:
            return receipts.listed(connection, wanted)

    def _find(self, receipt_id: str, caller: Caller) -> IndexedReceipt:
        with self._database.read() as connection:
            found = receipts.find(connection, receipt_id)
        if found is None or (caller.role != "admin" and found.project != caller.project):
            raise NotFound(f"There is no receipt '{receipt_id}'.", hint="`tiffin receipts` lists them.")
        return found

    async def _one(self, found: IndexedReceipt, item: str) -> Row:
        position = found.position
        match item:
            case "entry":
                return Row({"content": (await asyncio.to_thread(self._log.entry, position)).decode()})
            case "proof":
                await self._log.publish(position)
                return Row({"content": await asyncio.to_thread(self._log.proof, position)})
            case "payload":
                try:
                    return Row({"content": (await asyncio.to_thread(self._log.payload, position)).decode()})
                except PayloadErased as error:
                    raise Conflict("The content of this call was erased; its receipt still verifies.") from error
            case _:
                return Row(await asyncio.to_thread(whole, found, self._log, self._database))


def whole(found: IndexedReceipt, log: Log, database: Database) -> dict[str, object]:
    """A receipt with its entry and the tree of the calls inside it. Blocking."""
    entry = msgspec.json.decode(log.entry(found.position))
    children = _tree(found.id, database)
    return summary(found) | {"log": found.log, "index": found.position, "entry": entry, "children": children}


def _tree(receipt_id: str, database: Database, depth: int = 0) -> list[dict[str, object]]:
    if depth >= TREE_DEPTH_MAX:
        return []
    with database.read() as connection:
        inside = receipts.children(connection, receipt_id)
    return [summary(row) | {"children": _tree(row.id, database, depth + 1)} for row in inside]


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """The ledger's failures in our error tree."""
    try:
        yield
    except (LedgerFull, LedgerBroken) as error:
        hint = "An administrator should run `tiffin doctor`: the disk may be full."
        raise JournalUnavailable("The ledger cannot publish this receipt at the moment.", hint=hint) from error
    except LedgerError as error:
        raise PlatformError(f"The ledger cannot be read: {error}.", hint="`tiffin verify` says more.") from error


def summary(row: IndexedReceipt) -> dict[str, object]:
    """A receipt as lists show it."""
    return {
        "id": row.id,
        "time": row.time,
        "operation": row.operation,
        "model": row.model,
        "outcome": row.outcome,
        "caller": row.caller,
        "project": row.project,
        "duration_ms": round(row.duration_us / 1000, 3),
        "tokens": row.tokens,
        "cost_usd": row.cost_microusd / 1e6,
        "parent": row.parent,
    }
