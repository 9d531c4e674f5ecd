"""The index of receipts: derived, written as often as one likes, and read in pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tiffin.kernel.calls import Ask, Chat, Read
from tiffin.kernel.parts import Finish, Usage, UsageSeen
from tiffin.kernel.people import ApiKey, Caller
from tiffin.kernel.receipt import Receipt, Target, unknown
from tiffin.store import receipts
from tiffin.store.database import Database
from tiffin.store.receipts import IndexedReceipt, Wanted, indexed

NOW = 1_764_000_000_000_000_000


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "tiffin.db")
    yield database
    database.close()


def row(number: int, **fields: object) -> IndexedReceipt:
    plain = IndexedReceipt(f"{number:04d}", "main", number, "t", 1, "chat", "p", "k", None, "m", "completed", 3, 0)
    return msgspec.structs.replace(plain, **fields)


def listed(database: Database, **wanted: object) -> list[str]:
    with database.read() as connection:
        return [found.id for found in receipts.listed(connection, Wanted(**wanted))]  # type: ignore[arg-type]


def test_a_row_says_what_its_entry_says() -> None:
    receipt = Receipt(Chat("m", ()), Caller("key_1", "Alice", "p", "admin"), ApiKey("k"), NOW)
    receipt.target = Target("smollm2", "local", "smollm2", "ab")
    for event in (UsageSeen(Usage(3, 4)), Finish()):
        receipt.see(event)
    receipt.conclude()
    receipt.closed_ns = NOW + 7_000
    found = indexed("main", 5, receipt.entry({}))
    assert (found.id, found.log, found.position, found.operation, found.model) == (
        receipt.id,
        "main",
        5,
        "chat",
        "smollm2",
    )
    assert (found.tokens, found.outcome, found.caller, found.duration_us) == (7, "completed", "key_1", 7)
    assert indexed("main", 6, unknown(receipt.intent(), NOW, {}).entry).outcome == "unknown"


def test_an_entry_of_another_version_with_more_fields_is_still_indexed() -> None:
    receipt = Receipt(Ask("c", "q"), Caller("k", "n", "p", "admin"), ApiKey("k"), NOW)
    more = msgspec.json.decode(receipt.entry({})) | {"v": 2, "surprise": {"x": []}}
    assert indexed("main", 0, msgspec.json.encode(more)).id == receipt.id


def test_writing_again_changes_nothing(database: Database) -> None:
    receipts.record(database, [])
    receipts.record(database, [row(1), row(2)])
    receipts.record(database, [row(2, outcome="failed"), row(3)])
    assert listed(database) == ["0003", "0002", "0001"]
    with database.read() as connection:
        found = receipts.find(connection, "0002")
        assert found == row(2)
        assert receipts.next_position(connection, "main") == 4 and receipts.next_position(connection, "other") == 0
        assert receipts.find(connection, "nothing") is None and receipts.find(connection, "' OR 1=1 --") is None


def test_lists_are_pages_of_what_was_wanted(database: Database) -> None:
    rows = [row(n) for n in range(10)]
    rows += [row(10, parent="0009"), row(11, operation="read"), row(12, project="q"), row(13, operation="embed")]
    receipts.record(database, rows)
    assert listed(database, limit=3, roots_only=True) == ["0013", "0012", "0009"]
    assert listed(database, limit=2, before="0009", roots_only=True) == ["0008", "0007"]
    assert listed(database, project="q") == ["0012"]
    assert listed(database, operation="read") == ["0011"]
    assert "0011" not in listed(database) and "0011" in listed(database, reads_too=True)
    with database.read() as connection:
        assert [child.id for child in receipts.children(connection, "0009")] == ["0010"]
    assert Read("receipts").limit == 100
