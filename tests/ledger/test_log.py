"""The log as the gateway uses it: durable before answered, readable at once, provable once published."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.ledger.home import NAME, ORIGIN, Home, add, entry, filled, payload, receipt_id, subjects
from tiffin.ledger.checkpoint import open_checkpoint
from tiffin.ledger.errors import (
    LedgerBroken,
    LedgerDamaged,
    LedgerFull,
    NoSuchEntry,
    NotPublished,
    PayloadErased,
    TooLarge,
)
from tiffin.ledger.log import Log
from tiffin.ledger.note import parse_vkey
from tiffin.ledger.proof import verify_proof


async def test_a_receipt_from_intent_to_proof(home: Home) -> None:
    log = home.open()
    assert (log.name, log.origin, log.size, log.committed, log.open_intents()) == (NAME, ORIGIN, 0, 0, {})
    assert open_checkpoint(log.checkpoint(), parse_vkey(log.vkey)).size == 0
    await log.intend(receipt_id(0), b"{}")
    index = await log.close(receipt_id(0), lambda index: b'{"index":%d}' % index, payload(0), ("ada",))
    assert index == 0 and log.committed == 1
    assert (log.entry(0), log.payload(0)) == (b'{"index":0}', payload(0))
    await log.publish(0)
    assert log.size == 1 and log.find(receipt_id(0)) is None
    assert (log.entry(0), log.payload(0)) == (b'{"index":0}', payload(0))
    assert verify_proof(log.proof(0), log.entry(0), log.vkey).size == 1
    await log.publish(0)
    await log.aclose()
    await log.aclose()
    with pytest.raises(LedgerBroken, match="closed"):
        await log.intend(receipt_id(1), b"{}")


async def test_what_is_committed_can_be_read_and_found_before_it_is_published(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tiffin.ledger.log.PUBLISH_SECONDS", 60.0)
    log = home.open()
    await add(log, [0])
    await log.publish(0)
    await add(log, [1, 2])
    assert log.size == 1 and log.committed == 3
    assert log.find(receipt_id(2)) == 2 and log.find(receipt_id(9)) is None
    assert (log.entry(2), log.payload(2)) == (entry(2), payload(2))
    with pytest.raises(NotPublished):
        log.proof(2)
    await log.publish(2)
    assert log.proof(2)
    await log.aclose()


async def test_publishing_happens_without_being_asked(home: Home) -> None:
    log = home.open()
    await add(log, range(3))
    async with asyncio.timeout(10):
        while log.size < 3:  # noqa: ASYNC110 - what is waited for is that nothing has to be awaited
            await asyncio.sleep(0.02)
    await log.aclose()


async def test_indices_that_were_never_given(home: Home) -> None:
    log = home.open()
    await add(log, range(3))
    for index in (-1, 3, 1 << 70):
        for read in (log.entry, log.payload, log.proof):
            with pytest.raises(NoSuchEntry):
                read(index)
        with pytest.raises(NoSuchEntry):
            await log.publish(index)
    await log.aclose()


async def test_a_thousand_calls_at_once_share_few_frames_and_each_has_its_place(home: Home) -> None:
    log = home.open()

    async def call(number: int) -> int:
        await log.intend(receipt_id(number), b"{}")
        return await log.close(receipt_id(number), entry(number), payload(number), subjects(number))

    indices = await asyncio.gather(*(call(number) for number in range(1_000)))
    assert sorted(indices) == list(range(1_000))
    await log.publish(999)
    for number in range(0, 1_000, 37):
        index = indices[number]
        assert (log.entry(index), log.payload(index)) == (entry(number), payload(number))
        verify_proof(log.proof(index), entry(number), log.vkey)
    await log.aclose()
    (segment,) = (home.log / "journal").iterdir()
    assert segment.read_bytes().count(b"TFJ1") < 1_000
    assert home.verify().ok


async def test_one_bad_record_fails_alone(home: Home) -> None:
    log = home.open()

    def fails(index: int) -> bytes:
        raise ZeroDivisionError(index)

    results = await asyncio.gather(
        log.close("a", b"entry a", b"", ()),
        log.close("b", fails, b"", ()),
        log.close("c", bytes(65_536), b"", ()),
        log.close("", b"entry d", b"", ()),
        log.intend("e", bytes(65_536)),
        log.close("f", b"entry f", b"", ()),
        return_exceptions=True,
    )
    kinds = [type(result) for result in results]
    assert kinds == [int, ZeroDivisionError, TooLarge, TooLarge, TooLarge, int]
    assert {results[0], results[5]} == {0, 1} and log.committed == 2
    await log.aclose()
    assert (await reopened(home)).committed == 2


async def reopened(home: Home) -> Log:
    log = home.open()
    await log.aclose()
    return log


async def test_a_cancelled_caller_does_not_disturb_the_others(home: Home) -> None:
    log = home.open()
    closing = [asyncio.create_task(log.close(receipt_id(n), entry(n), payload(n), ())) for n in range(50)]
    await asyncio.sleep(0)
    for task in closing[::2]:
        task.cancel()
    results = await asyncio.gather(*closing, return_exceptions=True)
    indices = [result for result in results if isinstance(result, int)]
    assert len(indices) >= 25 and len(set(indices)) == len(indices)
    await log.aclose()
    assert home.verify().ok


async def test_open_intents_survive_and_are_closed_once(home: Home) -> None:
    log = home.open()
    await log.intend(receipt_id(0), b"zero")
    await log.intend(receipt_id(1), b"one")
    await log.close(receipt_id(0), entry(0), payload(0), ())
    await log.aclose()
    for _ in range(3):
        log = home.open()
        assert log.open_intents() == {receipt_id(1): b"one"}
        await log.aclose()
    log = home.open()
    await log.close(receipt_id(1), entry(1), payload(1), ())
    assert log.open_intents() == {}
    await log.aclose()
    assert (await reopened(home)).open_intents() == {}


async def test_segments_turn_over_without_losing_an_open_intent(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.ledger.journal.SEGMENT_BYTES_MAX", 5_000)
    log = home.open()
    await log.intend("long", b"a training run")
    for number in range(0, 400, 20):
        await add(log, range(number, number + 20))
    await log.publish(399)
    await add(log, [400])
    await log.aclose()
    assert len(list((home.log / "journal").iterdir())) <= 3
    log = home.open()
    assert log.open_intents() == {"long": b"a training run"} and log.committed == 401
    await log.aclose()
    assert home.verify().ok


async def test_an_erased_payload_says_so(home: Home) -> None:
    await filled(home, 3)
    log = home.open()
    home.keys.destroy("ada")
    assert log.payload(0) == payload(0)
    for index in (1, 2):
        assert log.entry(index) == entry(index)
        with pytest.raises(PayloadErased):
            log.payload(index)
    await log.aclose()


async def test_reading_damaged_files_never_answers_wrongly(home: Home) -> None:
    await filled(home, 3)
    log = home.open()
    for name, read in (("tile/entries/000.p/3", log.entry), ("tile/0/000.p/3", log.proof), ("vault/000", log.payload)):
        path = home.log / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        log._last_bundle = None
        with pytest.raises(LedgerDamaged):
            read(2)
        path.unlink()
        with pytest.raises(LedgerDamaged):
            read(2)
        path.write_bytes(whole)
    await log.aclose()


async def test_tiles_are_served_as_published(home: Home) -> None:
    await filled(home, 300)
    log = home.open()
    for path in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"):
        assert log.read_tile(path) == (home.log / path).read_bytes()
    narrower = log.read_tile("tile/0/001.p/7")
    assert narrower == (home.log / "tile/0/001.p/44").read_bytes()[: 7 * 32]
    assert log.read_tile("tile/entries/001.p/7")
    for path in (
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/2/000.p/1",
        "tile/0/002.p/1",
        "log.json",
        "tile/../log.json",
        "",
    ):
        assert log.read_tile(path) is None
    await log.aclose()


async def test_too_much_waiting_is_refused_intents_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tiffin.ledger.log.PUBLISH_SECONDS", 60.0)
    monkeypatch.setattr("tiffin.ledger.log.INTENT_BACKLOG_BYTES_MAX", 2_000)
    monkeypatch.setattr("tiffin.ledger.log.BACKLOG_BYTES_MAX", 20_000)
    log = home.open()
    await add(log, [0])
    await log.publish(0)
    await add(log, range(1, 6))
    with pytest.raises(LedgerFull):
        await log.intend("x", bytes(1_500))
    await log.close("y", bytes(1_500), b"", ())
    with pytest.raises(LedgerFull):
        await log.close("z", bytes(20_000), b"", ())
    await log.publish(log.committed - 1)
    await log.intend("x", bytes(1_500))
    await log.aclose()


async def test_names_and_folders_must_agree(home: Home, tmp_path: Path) -> None:
    for folder, name in ((tmp_path / "a", "b"), (tmp_path / "A", "A")):
        with pytest.raises(ValueError, match="a log's folder"):
            Log.open(folder, name=name, origin="o", keys=home.keys)
    await home.open().aclose()
    with pytest.raises(LedgerDamaged, match=r"log\.json"):
        Log.open(home.log, name=NAME, origin="another.example/origin", keys=home.keys)


async def test_a_large_payload(home: Home) -> None:
    log = home.open()
    large = bytes(range(256)) * 40_000
    index = await log.close("large", b"{}", large, ("ada",))
    assert log.payload(index) == large
    await log.publish(index)
    assert log.payload(index) == large
    await log.aclose()
    assert (home.log / "vault/000").stat().st_size < len(large) / 10


async def test_several_logs_share_one_key_ring(home: Home) -> None:
    logs = [home.open(name=f"worker-{number}") for number in range(3)]
    await asyncio.gather(*(add(log, range(20)) for log in logs))
    for log in logs:
        await log.aclose()
    report = home.verify()
    assert report.ok and [log.size for log in report.logs] == [20, 20, 20]
    assert len({log.vkey for log in report.logs}) == 3
