"""One file operation fails, whichever and whenever: nothing acknowledged is lost, nothing refused is acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.home import Home, add, entry, payload, receipt_id
from tiffin.ledger.disk import Disk, FailingDisk, Fault, put_file, sync_all, write_all
from tiffin.ledger.errors import LedgerBroken, LedgerDamaged, LedgerError, LedgerFull
from tiffin.ledger.log import Log

OPERATIONS = ["create", "extend", "write", "sync", "truncate", "rename", "remove", "make_folder", "sync_folder"]
FAULTS = {
    "EIO before": lambda after: Fault(errno.EIO, after),
    "EIO after": lambda after: Fault(errno.EIO, after, persists=True),
    "ENOSPC before": lambda after: Fault(errno.ENOSPC, after),
    "ENOSPC halfway": lambda after: Fault(errno.ENOSPC, after, short=7),
}
TIMES = [*range(6), 8, 11, 16, 30, 60]


async def scenario(home: Home, disk: Disk) -> dict[int, int]:
    """Open, add, publish, cross a tile, close, going on whatever fails; answers what was acknowledged."""
    acknowledged: dict[int, int] = {}

    async def one(log: Log, number: int) -> None:
        try:
            await log.intend(receipt_id(number), b"{}")
            acknowledged[number] = await log.close(receipt_id(number), entry(number), payload(number), ("ada",))
        except LedgerError:
            return

    try:
        log = home.open(disk=disk)
    except (LedgerError, OSError):
        return acknowledged
    try:
        for numbers in (range(3), range(3, 4), range(4, 270), range(270, 272)):
            await asyncio.gather(*(one(log, number) for number in numbers))
            if log.committed:
                try:
                    await log.publish(log.committed - 1)
                except LedgerError:
                    continue
    finally:
        with contextlib.suppress(LedgerError):
            await log.aclose()
    return acknowledged


@pytest.mark.parametrize(
    ("operation", "fault"),
    [(operation, fault) for operation in OPERATIONS for fault in FAULTS if operation == "write" or "half" not in fault],
)
async def test_one_failure(tmp_path: Path, operation: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.ledger.log.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("tiffin.ledger.journal.SEGMENT_BYTES_MAX", 2_000)
    for after in TIMES:
        home = Home.make(tmp_path / str(after))
        disk = FailingDisk(faults={operation: FAULTS[fault](after)})
        acknowledged = await scenario(home, disk)
        log = home.open()
        for number, index in acknowledged.items():
            assert (log.entry(index), log.payload(index)) == (entry(number), payload(number)), (after, number)
        await add(log, range(1_000, 1_003))
        await log.aclose()
        report = home.verify()
        assert report.ok, (after, report.problems)
        shutil.rmtree(home.path)
        if not disk.fired:
            break


async def test_a_full_disk_refuses_and_the_same_writer_goes_on_later(home: Home) -> None:
    disk = FailingDisk()
    log = home.open(disk=disk)
    await add(log, range(3))
    await log.publish(2)  # so that only the journal writes next
    disk.faults["write"] = Fault(errno.ENOSPC, short=11)
    with pytest.raises(LedgerFull):
        await log.intend(receipt_id(3), b"{}")
    assert not log.broken
    assert await add(log, [3, 4]) == [3, 4]
    await log.aclose()
    report = home.verify()
    assert report.ok and report.logs[0].size == 5


@pytest.mark.parametrize("operation", ["sync", "truncate"])
async def test_a_writer_that_does_not_know_what_is_on_disk_stops(home: Home, operation: str) -> None:
    disk = FailingDisk()
    log = home.open(disk=disk)
    await add(log, range(3))
    await log.publish(2)
    disk.faults["write"] = Fault(errno.ENOSPC, after=0 if operation == "truncate" else 1_000, short=5)
    disk.faults[operation] = Fault(errno.EIO)
    with pytest.raises(LedgerBroken):
        await log.intend(receipt_id(3), b"{}")
    disk.faults.clear()
    with pytest.raises(LedgerBroken):
        await log.intend(receipt_id(4), b"{}")
    assert log.broken and log.entry(2) == entry(2)
    await log.aclose()
    log = home.open()
    assert receipt_id(4) not in log.open_intents()
    await add(log, [3])
    await log.aclose()
    assert home.verify().ok


async def test_publishing_waits_out_a_full_disk(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.ledger.log.RETRY_SECONDS", 0.01)
    disk = FailingDisk()
    log = home.open(disk=disk)
    disk.faults["rename"] = Fault(errno.ENOSPC)
    await add(log, range(3))
    with contextlib.suppress(LedgerFull):  # raised unless the refusal came before anybody waited
        await log.publish(2)
    await log.publish(2)
    assert log.size == 3 and disk.fired == ["rename"]
    await log.aclose()
    assert home.verify().ok


FILLING = """
import asyncio, os, resource, sys
from pathlib import Path
from tests.ledger.home import Home, add, entry
from tiffin.ledger.errors import LedgerFull

async def main(path, limit):
    home = Home.make(path)
    log = home.open()
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    number, refused = 0, 0
    while refused < 3:
        try:
            await add(log, range(number, number + 20))
        except LedgerFull:
            refused += 1
        number += 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await asyncio.sleep(0.1)
    (index,) = await add(log, [9_999])
    assert log.entry(index) == entry(9_999)
    await log.aclose()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def test_a_file_size_limit_is_a_full_disk(home: Home) -> None:
    """The kernel itself refuses: frames are cut half-way at whatever byte the limit falls on."""
    for limit in (30_000, 50_001):
        path = home.path / str(limit)
        ran = subprocess.run(
            [sys.executable, "-c", FILLING, path, str(limit)],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        report = Home.make(path).verify()
        assert report.ok, report.problems
        assert report.logs[0].size > 20
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB; only root may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.getuid() != 0 or mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_disk_that_is_full(small_disk: Path) -> None:
    home = Home.make(small_disk)
    log = home.open()
    acknowledged: dict[int, int] = {}
    with pytest.raises(LedgerFull):
        for number in range(100_000):
            await log.intend(receipt_id(number), b"{}")
            content = json.dumps({"id": receipt_id(number), "noise": os.urandom(1_500).hex()}).encode()
            acknowledged[number] = await log.close(receipt_id(number), entry(number), content, ())
    assert len(acknowledged) > 100
    for number, index in acknowledged.items():
        assert log.entry(index) == entry(number) and receipt_id(number).encode() in log.payload(index)
    with contextlib.suppress(LedgerFull):
        await log.aclose()
    report = home.verify()
    assert report.ok and report.logs[0].committed == len(acknowledged), report.problems


def test_the_fakes_switches(tmp_path: Path) -> None:
    disk = FailingDisk(faults={"write": Fault(errno.EIO, after=1), "rename": Fault(errno.EIO, persists=True)})
    put = tmp_path / "a"
    with pytest.raises(OSError, match="error"):
        put_file(disk, put, b"one", tmp_path / "scratch")
    assert put.read_bytes() == b"one" and disk.fired == ["rename"]
    fd = disk.create(tmp_path / "b")
    with pytest.raises(OSError, match="error"):
        write_all(disk, fd, b"two")
    write_all(disk, fd, b"two")
    sync_all(disk, [fd, fd])
    os.close(fd)
    assert (tmp_path / "b").read_bytes() == b"two"
    assert isinstance(LedgerDamaged("log", "what", 3).index, int)
