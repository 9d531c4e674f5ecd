"""Whatever kills the writer, what was acknowledged is there; what contradicts itself is refused, with the place."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.ledger.home import NAME, Home, add, entry, filled, payload, receipt_id
from tiffin.ledger.errors import KeysUnusable, LedgerDamaged, LedgerLocked
from tiffin.ledger.log import Log
from tiffin.ledger.recover import Lock

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 10
OPEN_SECONDS_MAX = 2.0


def run_until_killed(home: Home, first: int, seconds: float) -> list[list[str]]:
    """What the appender said before it was killed without warning."""
    command = [sys.executable, "-m", "tests.ledger.appender", str(home.path), str(first)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        killer = threading.Timer(seconds, process.send_signal, [signal.SIGKILL])
        killer.start()
        said = process.stdout.read().decode()
        killer.join()
    return [line.split(" ", 1) for line in said.splitlines(keepends=True) if line.endswith("\n")]


async def test_kill_nine_loses_nothing_that_was_acknowledged(home: Home) -> None:
    random.seed(20260)
    acknowledged: dict[int, int] = {}
    intents: set[int] = set()
    checkpoints: list[str] = []
    first = 0
    for _ in range(ROUNDS):
        said = run_until_killed(home, first, random.uniform(0.02, 0.5))
        for what, rest in said:
            if what == "intent":
                intents.add(int(rest))
            elif what == "close":
                number, index = map(int, rest.split())
                acknowledged[number] = index
            else:
                checkpoints.append(rest.rstrip("\n").replace("|", "\n"))
        report = home.verify(*checkpoints[-3:])
        assert report.ok, report.problems
        started = time.perf_counter()
        log = home.open()
        assert time.perf_counter() - started < OPEN_SECONDS_MAX
        check_all(log, acknowledged, intents)
        for receipt in log.open_intents():
            unknown = json.dumps({"id": receipt, "outcome": "unknown"}).encode()
            await log.close(receipt, unknown, unknown)
        intents.clear()
        first = max([*acknowledged, first]) + 1_000
        await log.aclose()
    assert len(acknowledged) > 500 and checkpoints
    assert len(set(acknowledged.values())) == len(acknowledged)
    assert home.verify(*checkpoints).ok


def check_all(log: Log, acknowledged: dict[int, int], intents: set[int]) -> None:
    for number, index in list(acknowledged.items())[-150:]:
        assert log.entry(index) == entry(number)
        assert log.payload(index) == payload(number)
    still_open = set(log.open_intents())
    closed = {receipt_id(number) for number in acknowledged}
    in_doubt = {receipt_id(number) for number in intents} - closed - still_open
    # An intent that is neither open nor acknowledged as closed was closed, and the answer was lost with the process.
    late = {log.entry(index) for index in range(max(0, log.committed - 200), log.committed)}
    assert all(any(receipt.encode() in one for one in late) for receipt in in_doubt)


async def test_only_one_writer(home: Home) -> None:
    log = home.open()
    with pytest.raises(LedgerLocked):
        home.open()
    await log.aclose()
    await home.open().aclose()


def test_a_forked_child_does_not_keep_the_lock(home: Home) -> None:
    """A parser's child, forked from the server, may outlive it."""
    lock = Lock(home.path)
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    try:
        with pytest.raises(LedgerLocked):
            Lock(home.path)
        lock.release()
        Lock(home.path).release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("tail", [b"T", b"TFJ1", b"TFJ1\0\0\0", b"\0" * 500, b"\0" * 3])
async def test_a_torn_tail_is_kept_aside_and_cut(home: Home, tail: bytes) -> None:
    await filled(home, 3)
    (segment,) = (home.log / "journal").iterdir()
    segment.write_bytes(segment.read_bytes() + tail)
    report = home.verify()
    assert report.ok and len(report.notes) == 1
    log = home.open()
    await add(log, [3])
    await log.aclose()
    (torn,) = (home.log / "torn").iterdir()
    assert torn.read_bytes() == tail
    report = home.verify()
    assert report.ok and len(report.notes) == 1 and report.logs[0].size == 4


async def test_the_last_frame_cut_anywhere_is_torn_and_the_rest_is_there(home: Home, tmp_path: Path) -> None:
    log = home.open()
    await add(log, [0])
    await log.publish(0)
    await log.intend(receipt_id(1), b"{}")
    await log.aclose()
    (segment,) = (home.log / "journal").iterdir()
    whole = segment.read_bytes()
    frame = 24 + 1 + 2 + 4 + len(receipt_id(1)) + 2
    for cut in range(1, frame):
        copy = home.copy(tmp_path / str(cut))
        (copy.log / "journal" / segment.name).write_bytes(whole[:-cut])
        assert copy.verify().ok
        log = copy.open()
        assert (log.committed, log.open_intents()) == (1, {})
        await log.aclose()
    log = home.open()
    assert set(log.open_intents()) == {receipt_id(1)}
    await log.aclose()


async def test_damage_is_refused_with_its_place(home: Home, tmp_path: Path) -> None:
    await filled(home, 300)
    (segment,) = [path.name for path in (home.log / "journal").iterdir()]
    cases = {
        "a frame in the middle of the journal": (f"journal/{segment}", 200),
        "the last frame of the journal": (f"journal/{segment}", -1),
        "the checkpoint": ("checkpoint", 25),
        "the card": ("log.json", 20),
        "the edge of the tree": ("tile/0/001.p/44", 3),
        "the last bundle": ("tile/entries/001.p/44", 30),
    }
    for number, (what, (name, position)) in enumerate(cases.items()):
        copy = home.copy(tmp_path / str(number))
        data = bytearray((copy.log / name).read_bytes())
        data[position] ^= 1
        (copy.log / name).write_bytes(data)
        with pytest.raises(LedgerDamaged) as caught:
            copy.open()
        assert caught.value.log == NAME, what
    for number, name in enumerate([f"journal/{segment}", "checkpoint", "log.json", "tile/0/001.p/44", "vault/001"]):
        copy = home.copy(tmp_path / f"missing-{number}")
        (copy.log / name).unlink()
        with pytest.raises(LedgerDamaged):
            copy.open()


async def test_a_damaged_frame_before_good_ones_is_damage(home: Home) -> None:
    log = home.open()
    for number in range(3):
        await log.intend(receipt_id(number), b"{}")
    await log.aclose()
    (segment,) = (home.log / "journal").iterdir()
    data = bytearray(segment.read_bytes())
    data[-100] ^= 1
    segment.write_bytes(data)
    with pytest.raises(LedgerDamaged, match="checksum"):
        home.open()


async def test_an_emptied_log_is_not_begun_anew_under_its_old_key(home: Home) -> None:
    await filled(home, 3)
    for path in home.files():
        path.unlink()
    for folder in ("tile", "vault"):
        (home.log / folder).rename(home.path / folder)
    with pytest.raises(KeysUnusable, match="had entries"):
        home.open()


async def test_creation_can_be_interrupted_anywhere(home: Home) -> None:
    await home.open().aclose()
    (segment,) = (home.log / "journal").iterdir()
    segment.unlink()
    assert home.verify().ok
    await home.open().aclose()
    (home.path / "keys/logs" / f"{NAME}.key").rename(home.path / "keys/logs" / f"{NAME}.new")
    assert home.verify().ok
    await home.open().aclose()
    (home.path / "keys/logs" / f"{NAME}.key").rename(home.path / "keys/logs" / f"{NAME}.new")
    (home.log / "log.json").unlink()
    (segment,) = (home.log / "journal").iterdir()
    segment.unlink()
    assert home.verify().ok
    log = home.open()
    await add(log, range(3))
    await log.aclose()
    assert home.verify().ok
