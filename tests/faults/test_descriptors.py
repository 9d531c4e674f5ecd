"""The process has no file descriptor left: refused until there is one again, never broken for good."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from tests.ledger.home import Home, add, entry, payload, receipt_id
from tiffin.ledger import journal
from tiffin.ledger.disk import FailingDisk, Fault
from tiffin.ledger.errors import LedgerFull


@pytest.mark.parametrize("operation", ["create", "extend", "sync_folder"])
async def test_publishing_goes_on_when_there_is_a_descriptor_again(tmp_path: Path, operation: str) -> None:
    home = Home.make(tmp_path)
    disk = FailingDisk()
    log = home.open(disk=disk)
    await add(log, range(3))
    disk.faults[operation] = Fault(errno.EMFILE)
    index = await log.close(receipt_id(9), entry(9), payload(9))
    for _ in range(100):
        if log.size > index:
            break
        await asyncio.sleep(0.05)
    assert disk.fired == [operation]
    assert not log.broken
    assert log.size == index + 1
    await log.aclose()
    assert home.verify().ok


@pytest.mark.parametrize("operation", ["create", "sync_folder"])
async def test_a_new_segment_can_wait(tmp_path: Path, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.make(tmp_path)
    disk = FailingDisk()
    folder = tmp_path / "journal"
    folder.mkdir()
    book = journal.Journal(folder, log="worker-0", origin="tiffin.example/worker-0", disk=disk)
    book.begin(0, 0, [], [])
    disk.faults[operation] = Fault(errno.EMFILE)
    with pytest.raises(LedgerFull):
        book.rotate(0, [])
    assert not book.broken
    book.append(journal.encode_record(journal.Intent(receipt_id(1), b"{}")))
    book.rotate(0, [])
    book.close()
    assert len(journal.segment_names(folder)) == 2
    assert home.keys is not None


async def test_a_subjects_key_that_cannot_be_made_is_a_refusal(tmp_path: Path) -> None:
    home = Home.make(tmp_path)
    log = home.open()
    home.keys._disk = FailingDisk(faults={"create": Fault(errno.ENOSPC)})
    with pytest.raises(LedgerFull, match="subject"):
        await log.close(receipt_id(1), entry(1), payload(1), ("somebody new",))
    assert await log.close(receipt_id(1), entry(1), payload(1), ("somebody new",)) == 0
    await log.aclose()
    assert home.verify().ok
