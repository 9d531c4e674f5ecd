"""The kernel's journal port on a log: receipts become entries and payloads, then rows of the index.

The index follows the ledger and is never waited for by an answer; after a crash it is filled from the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from tiffin.kernel.calls import Call, Chat, Embed, Ingest
from tiffin.kernel.errors import JournalUnavailable
from tiffin.kernel.receipt import Clock, Receipt, unknown
from tiffin.ledger.errors import LedgerError
from tiffin.ledger.log import Log
from tiffin.store import receipts
from tiffin.store.database import Database
from tiffin.store.receipts import IndexedReceipt

INDEX_PAUSE_S = 0.05  # seconds between writes of the index, so that many receipts share one transaction
INLINE_CHARS_MAX = (
    1 << 18
)  # characters of a call; encoding and hashing more (> 2 ms) leaves the event loop for a thread
OVERLAP = 4_096  # entries looked at again after a start; more calls than this are never in flight

logger = logging.getLogger("tiffin.ledger")


class Recorder:
    """Use as an async context manager: leaving it writes the rest of the index."""

    def __init__(self, log: Log, database: Database, versions: dict[str, str], clock: Clock) -> None:
        self._log = log
        self._database = database
        self._versions = versions
        self._clock = clock
        self._waiting: list[IndexedReceipt] = []
        self._writing = asyncio.Lock()
        self._indexer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Recorder:
        await self._close_unknown()
        await asyncio.to_thread(catch_up, self._log, self._database)
        self._indexer = asyncio.create_task(self._index_forever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._indexer is not None:
            self._indexer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._indexer
        await self.flush()

    async def intend(self, receipt: Receipt) -> None:
        with _unavailable():
            await self._log.intend(receipt.id, receipt.intent())

    async def close(self, receipt: Receipt) -> None:
        if _chars(receipt.call) > INLINE_CHARS_MAX:
            entry, payload = await asyncio.to_thread(self._halves, receipt)
        else:
            entry, payload = self._halves(receipt)
        subjects = receipt.subjects or (f"project:{receipt.caller.project}",)
        with _unavailable():
            position = await self._log.close(receipt.id, entry, payload, subjects)
        self._waiting.append(receipts.indexed(self._log.name, position, entry))

    def _halves(self, receipt: Receipt) -> tuple[bytes, bytes]:
        return receipt.entry(self._versions), receipt.payload()

    async def flush(self) -> None:
        """Every receipt closed before this call is in the index when it returns."""
        async with self._writing:
            rows, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(receipts.record, self._database, rows)
            except BaseException:
                self._waiting = rows + self._waiting
                raise

    async def _index_forever(self) -> None:
        while True:
            await asyncio.sleep(INDEX_PAUSE_S)
            if self._waiting:
                try:
                    await self.flush()
                except Exception:  # the ledger has them; they are written later, or at the next start
                    logger.exception("The index of receipts could not be written; it will be tried again.")

    async def _close_unknown(self) -> None:
        """Calls that were open when the process died: all that is known of them is that they began.

        What was asked is not known, so their payload is the project's and nobody's else.
        """
        for intent in self._log.open_intents().values():
            record = unknown(intent, self._clock(), self._versions)
            await self._log.close(record.id, record.entry, record.payload, (f"project:{record.project}",))


def catch_up(log: Log, database: Database) -> None:
    """Brings the index up to what the ledger holds. Blocking."""
    with database.read() as connection:
        start = max(0, receipts.next_position(connection, log.name) - OVERLAP)
    for first in range(start, log.committed, OVERLAP):
        last = min(first + OVERLAP, log.committed)
        receipts.record(database, [receipts.indexed(log.name, i, log.entry(i)) for i in range(first, last)])


def _chars(call: Call) -> int:
    """How much text a call carries, where that may be much."""
    match call:
        case Ingest():
            return sum(len(document.text or "") for document in call.documents)
        case Chat():
            return sum(len(message.text) for message in call.messages)
        case Embed():
            return sum(map(len, call.texts))
        case _:
            return 0


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        logger.error("The ledger cannot take a record: %s", error)
        raise JournalUnavailable(
            "The ledger cannot take a record, so nothing is answered.",
            hint="An administrator should run `tiffin doctor`: the disk may be full.",
        ) from error
