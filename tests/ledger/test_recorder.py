"""The journal port on a real log: receipts become entries, and rows of an index that is never behind for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.kernel.fakes import ALICE
from tests.ledger.home import Home
from tiffin.kernel.calls import Ask, Chat
from tiffin.kernel.errors import JournalUnavailable
from tiffin.kernel.parts import Finish, TextDelta, message
from tiffin.kernel.people import ApiKey
from tiffin.kernel.receipt import Receipt, check_payload
from tiffin.ledger.log import Log
from tiffin.ledger.recorder import Recorder, catch_up
from tiffin.ledger.verify import verify
from tiffin.store import receipts
from tiffin.store.database import Database
from tiffin.store.receipts import IndexedReceipt, Wanted

NOW = 1_764_000_000_000_000_000


@dataclass
class Opened:
    log: Log
    database: Database

    def recorder(self) -> Recorder:
        return Recorder(self.log, self.database, {"tiffin": "0"}, lambda: NOW)

    def rows(self) -> list[IndexedReceipt]:
        with self.database.read() as connection:
            return sorted(receipts.listed(connection, Wanted(limit=10_000)), key=lambda row: row.position)

    async def indexed(self) -> None:
        async with asyncio.timeout(5):
            while not self.rows():  # noqa: ASYNC110  the recorder's own task is watched from outside
                await asyncio.sleep(0.01)

    def empty(self) -> None:
        with self.database.write() as connection:
            connection.execute(receipts.receipts.delete())

    def close(self) -> None:
        asyncio.run(self.log.aclose())
        self.database.close()


def opened(home: Home) -> Opened:
    return Opened(home.open(), Database.open(home.path / "tiffin.db"))


@pytest.fixture
def ours(home: Home) -> Iterator[Opened]:
    ours = opened(home)
    yield ours
    ours.log._shut()
    ours.database.close()


def finished(*people: str, text: str = "hello") -> Receipt:
    receipt = Receipt(Chat("m", (message("user", "hi"),)), ALICE, ApiKey("k", people), NOW)
    receipt.see(TextDelta(text))
    receipt.see(Finish())
    receipt.conclude()
    return receipt


async def test_a_receipt_becomes_an_entry_a_payload_and_a_row(ours: Opened) -> None:
    async with ours.recorder() as recorder:
        receipt = finished("jane")
        await recorder.intend(receipt)
        await recorder.close(receipt)
        await recorder.flush()
        (row,) = ours.rows()
    assert (row.id, row.position, row.outcome) == (receipt.id, 0, "completed")
    assert check_payload(ours.log.entry(0), ours.log.payload(0)) is None
    assert msgspec.json.decode(ours.log.entry(0))["versions"] == {"tiffin": "0"}


async def test_the_index_follows_by_itself(ours: Opened) -> None:
    async with ours.recorder() as recorder:
        await recorder.close(finished())
        await ours.indexed()


async def test_leaving_writes_the_rest_of_the_index(ours: Opened) -> None:
    async with ours.recorder() as recorder:
        await asyncio.gather(*(recorder.close(finished()) for _ in range(100)))
    assert [row.position for row in ours.rows()] == list(range(100))


async def test_an_index_that_was_emptied_is_filled_from_the_ledger(ours: Opened) -> None:
    async with ours.recorder() as recorder:
        for _ in range(5):
            await recorder.close(finished())
    before = ours.rows()
    ours.empty()
    async with ours.recorder():
        assert ours.rows() == before
    ours.empty()
    catch_up(ours.log, ours.database)
    assert ours.rows() == before


async def test_an_index_that_cannot_be_written_is_written_later(ours: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    record, failures = receipts.record, iter([OSError("no space"), OSError("no space")])

    def failing(database: Database, rows: list[IndexedReceipt]) -> None:
        for error in failures:
            raise error
        record(database, rows)

    monkeypatch.setattr(receipts, "record", failing)
    async with ours.recorder() as recorder:
        await recorder.close(finished())
        await ours.indexed()


def test_what_a_crash_left_open_is_closed_as_unknown_once(home: Home) -> None:
    crowd = tuple(f"person {n} with a long name" for n in range(1_000))
    receipt = finished(*crowd)
    first = opened(home)

    async def dying() -> None:
        async with first.recorder() as recorder:
            await recorder.intend(receipt)

    asyncio.run(dying())
    first.close()
    for _ in range(2):
        ours = opened(home)

        async def living(ours: Opened = ours) -> None:
            async with ours.recorder():
                (row,) = ours.rows()
                assert (row.id, row.outcome, row.operation) == (receipt.id, "unknown", "chat")

        asyncio.run(living())
        assert not ours.log.open_intents()
        assert check_payload(ours.log.entry(0), ours.log.payload(0)) is None
        ours.close()
    assert verify(home.ledger, home.keys, check_payload=check_payload).ok


async def test_a_ledger_that_takes_nothing_more_is_said_to_whoever_asks(ours: Opened, tmp_path: Path) -> None:
    async with ours.recorder() as recorder:
        await ours.log.aclose()
        for recording in (recorder.intend(finished()), recorder.close(finished())):
            with pytest.raises(JournalUnavailable) as raised:
                await recording
            assert raised.value.retryable and str(tmp_path) not in raised.value.message
    assert ours.rows() == []


async def test_a_call_that_two_people_share_needs_the_keys_of_both(ours: Opened, home: Home) -> None:
    async with ours.recorder() as recorder:
        await recorder.close(finished("jane", "john"))
        await recorder.close(finished())
    for people in (("jane",), ("john",), (f"project:{ALICE.project}",)):
        assert home.keys.cached_content_key(people) or home.keys.content_key(people)
    sealed_for = [len(home.keys.content_key(people).ids) for people in (("jane", "john"), ("project:default",))]
    assert sealed_for == [2, 1]


def test_an_ask_is_indexed_without_a_model() -> None:
    receipt = Receipt(Ask("c", "q"), ALICE, ApiKey("k"), NOW)
    assert receipts.indexed("main", 0, receipt.entry({})).model is None
