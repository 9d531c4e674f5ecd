"""Whatever is done to a ledger's files, `verify` says so, and where; and it never cries wolf."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from tests.ledger.home import NAME, ORIGIN, Home, add, check_payload, entry, filled, payload, receipt_id
from tiffin.ledger import vault
from tiffin.ledger.checkpoint import Checkpoint, sign_checkpoint
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.note import make_signer
from tiffin.ledger.recover import card
from tiffin.ledger.tiles import Edge, grow, pack_bundle, unpack_bundle
from tiffin.ledger.tree import leaf_hash
from tiffin.ledger.verify import verify


async def test_a_whole_ledger_is_whole(home: Home) -> None:
    report = (await filled(home, 300)).verify()
    assert report.ok and not report.notes, report
    (log,) = report.logs
    assert (log.name, log.origin, log.size, log.committed, log.payloads_opened) == (NAME, ORIGIN, 300, 300, 300)


@pytest.mark.parametrize("integrating", [False, True])
async def test_every_single_flipped_byte_is_found(home: Home, integrating: bool) -> None:
    """Every byte of every file, one at a time, with a crash's leavings and unpublished closes among them."""
    await leave_everything(home, integrating)
    report = home.verify()
    assert report.ok, report.problems
    missed = []
    for path in home.files():
        whole = path.read_bytes()
        for position in range(len(whole)):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << (position % 8)
            path.write_bytes(flipped)
            if home.verify().ok:
                missed.append(f"{path.relative_to(home.ledger)} byte {position}")
        path.write_bytes(whole)
    assert home.verify().ok
    assert not missed


@pytest.mark.parametrize("seed", range(4))
async def test_a_file_changed_in_any_way_is_found(home: Home, seed: int) -> None:
    """Bytes flipped, cut off, put in, taken out, zeroed, a file emptied, or replaced by another of the log's own."""
    await filled(home, 300)
    saved = (home.log / "checkpoint").read_text("utf-8")
    chance = random.Random(seed)
    files = home.files()
    for _ in range(80):
        path = chance.choice(files)
        whole = path.read_bytes()
        start = chance.randrange(len(whole))
        end = min(len(whole), start + chance.randint(1, 64))
        changes = [
            whole[:start] + bytes([whole[start] ^ chance.randint(1, 255)]) + whole[start + 1 :],
            whole[:start],
            whole[:start] + chance.randbytes(9) + whole[start:],
            whole[:start] + whole[end:],
            whole[:start] + bytes(end - start) + whole[end:],
            b"",
            chance.choice(files).read_bytes(),
        ]
        change = chance.randrange(len(changes))
        path.write_bytes(changes[change])
        assert changes[change] == whole or not home.verify(saved).ok, (path, change, start)
        path.write_bytes(whole)
    assert home.verify(saved).ok


async def leave_everything(home: Home, integrating: bool) -> None:
    """A small log whose writer died: published and unpublished closes, an open intent, a torn frame kept aside.

    It died before integration began, or (`integrating`) just before the new checkpoint was put in place.
    """
    log = home.open()
    await add(log, range(2))
    await log.aclose()
    (segment,) = (home.log / "journal").iterdir()
    segment.write_bytes(segment.read_bytes() + b"TFJ1 torn")
    log = home.open()
    await log.intend(receipt_id(7), b'{"open": true}')
    await add(log, [2])
    await log.aclose()
    published = {path: path.read_bytes() for path in home.files() if "journal" not in path.parts}
    log = home.open()
    await add(log, [3])
    await log.aclose()
    for path in home.files():
        if "journal" not in path.parts and not integrating:
            path.unlink()
    for path, data in published.items():
        if not path.exists() or path.name == "checkpoint":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


@pytest.mark.parametrize("integrating", [False, True])
async def test_the_leavings_of_that_test_are_what_it_says(home: Home, integrating: bool) -> None:
    await leave_everything(home, integrating)
    (log,) = home.verify().logs
    assert (log.size, log.committed) == (3, 4)
    names = {path.relative_to(home.log).parts[0] for path in home.files()}
    assert names == {"checkpoint", "journal", "log.json", "tile", "torn", "vault"}
    assert (home.log / "tile/0/000.p/4").exists() is integrating and (home.log / "tile/0/000.p/3").exists()
    reopened = home.open()
    assert reopened.committed == 4 and reopened.open_intents() == {receipt_id(7): b'{"open": true}'}
    await reopened.aclose()
    assert home.verify().ok


@pytest.mark.parametrize("index", [0, 255, 256, 299])
async def test_a_changed_entry_is_located(home: Home, index: int) -> None:
    await filled(home, 300)
    path = bundle_of(home, index)
    data = path.read_bytes()
    position = data.index(entry(index)) + 20
    path.write_bytes(data[:position] + b"!" + data[position + 1 :])
    problems = home.verify().problems
    assert problems[0].what == "the entry was changed"
    assert {problem.index for problem in problems} == {index}


@pytest.mark.parametrize("index", [0, 255, 256, 299])
async def test_a_changed_length_in_a_bundle_is_located(home: Home, index: int) -> None:
    await filled(home, 300)
    path = bundle_of(home, index)
    data = bytearray(path.read_bytes())
    data[data.index(entry(index)) - 1] ^= 1
    path.write_bytes(data)
    assert index in {problem.index for problem in home.verify().problems}


@pytest.mark.parametrize("index", [3, 256, 298])
async def test_a_changed_tile_is_located(home: Home, index: int) -> None:
    await filled(home, 300)
    path = home.log / ("tile/0/000" if index < 256 else "tile/0/001.p/44")
    data = bytearray(path.read_bytes())
    data[index % 256 * 32] ^= 1
    path.write_bytes(data)
    (problem,) = home.verify().problems
    assert problem.index == index and "tile/0/" in problem.what


@pytest.mark.parametrize("index", [0, 255, 256, 299])
async def test_a_changed_payload_is_located(home: Home, index: int) -> None:
    await filled(home, 300)
    path, position, sealed = payload_of(home, index)
    data = bytearray(path.read_bytes())
    data[position + vault.RECORD_HEAD_BYTES + len(sealed) - 1] ^= 1
    path.write_bytes(data)
    assert {problem.index for problem in home.verify().problems} == {index}


async def test_a_payload_changed_with_its_checksum_is_located(home: Home) -> None:
    await filled(home, 20)
    path, position, sealed = payload_of(home, 7)
    forged = vault.frame(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    data = path.read_bytes()
    path.write_bytes(data[:position] + forged + data[position + len(forged) :])
    assert {problem.index for problem in home.verify().problems} == {7}


async def test_two_payloads_swapped_are_located(home: Home) -> None:
    await filled(home, 30)
    path = home.log / vault.file_path(0)
    records = [vault.frame(vault.read_payload(home.log, index)) for index in range(30)]
    records[4], records[10] = records[10], records[4]
    path.write_bytes(b"".join(records))
    problems = home.verify().problems
    assert {problem.index for problem in problems} == {4, 10}
    assert "the payload was changed, or does not belong to this entry" in {problem.what for problem in problems}


async def test_a_payload_taken_out_is_found(home: Home) -> None:
    await filled(home, 30)
    path = home.log / vault.file_path(0)
    path.write_bytes(b"".join(vault.frame(vault.read_payload(home.log, index)) for index in range(30) if index != 12))
    assert 12 in {problem.index for problem in home.verify().problems}


async def test_two_entries_swapped_are_located_though_every_tile_was_rebuilt(home: Home) -> None:
    """The attacker rewrites bundle, tiles and vault, drops the journal's copies, and cannot sign."""
    await filled(home, 300)
    await (home.open()).aclose()  # the journal of before is gone with this
    entries = [one for number in (0, 256) for one in unpack_bundle(bundle_of(home, number).read_bytes())]
    entries[5], entries[290] = entries[290], entries[5]
    rebuild(home, entries)
    problems = home.verify().problems
    assert {5, 290} <= {problem.index for problem in problems}
    assert any("do not lead to the root that the signed checkpoint" in problem.what for problem in problems)
    swapped = [vault.frame(vault.read_payload(home.log, index)) for index in range(300)]
    swapped[5], swapped[290] = swapped[290], swapped[5]
    for number in (0, 1):
        (home.log / vault.file_path(number)).write_bytes(b"".join(swapped[number * 256 : (number + 1) * 256]))
    assert {5, 290} <= {problem.index for problem in home.verify().problems}


async def test_a_tail_cut_below_a_saved_checkpoint_is_found(home: Home, tmp_path: Path) -> None:
    await filled(home, 40)
    early = home.copy(tmp_path / "early")
    log = home.open()
    middle = log.checkpoint()
    await add(log, range(40, 90))
    await log.aclose()
    late = (home.log / "checkpoint").read_text("utf-8")
    assert home.verify(middle, late).ok
    assert early.verify(middle).ok
    problem, *_ = early.verify(middle, late).problems
    assert (problem.log, problem.index) == (NAME, 40) and "the tail was cut" in problem.what


async def test_a_log_rewritten_by_its_own_operator_is_found_by_a_saved_checkpoint(home: Home, tmp_path: Path) -> None:
    await filled(home, 40)
    saved = (home.log / "checkpoint").read_text("utf-8")
    shutil.rmtree(home.log)
    (home.path / "keys/logs" / f"{NAME}.key").rename(home.path / "keys/logs" / f"{NAME}.new")
    log = home.open()
    await add(log, range(1000, 1050))
    await log.aclose()
    assert home.verify().ok
    assert [problem.what for problem in home.verify(saved).problems] == [
        "the first 40 entries do not lead to the root that a saved checkpoint of them states"
    ]


async def test_saved_checkpoints_that_are_not_this_logs_are_named(home: Home) -> None:
    await filled(home, 3)
    stranger = make_signer(ORIGIN, b"s" * 32)
    forged = sign_checkpoint(Checkpoint(ORIGIN, 2, b"r" * 32), stranger)
    elsewhere = sign_checkpoint(Checkpoint("else.where", 2, b"r" * 32), make_signer("else.where", b"s" * 32))
    problems = [problem.what for problem in home.verify(forged, elsewhere, "garbage").problems]
    assert len(problems) == 3
    assert any("cannot be read" in what for what in problems)
    assert any("not this log's" in what for what in problems)
    assert any("of a log that is not here" in what for what in problems)


async def test_strangers_and_missing_files_are_found(home: Home) -> None:
    await filled(home, 300)
    assert home.verify().ok
    for path in home.files():
        whole = path.read_bytes()
        path.unlink()
        assert not home.verify().ok, f"{path} is missing"
        path.write_bytes(whole)
    for name in ("x", "tile/0/000.p/7.bak", "tile/00/000", "tile/0/002", "tile/0/000.p/256", "vault/3", "vault/002"):
        stranger = home.log / name
        stranger.parent.mkdir(parents=True, exist_ok=True)
        stranger.write_bytes(b"x")
        assert not home.verify().ok, name
        stranger.unlink()
    (home.log / "vault/link").symlink_to(home.log / "vault/000")
    assert not home.verify().ok
    (home.log / "vault/link").unlink()
    (home.ledger / "note.txt").write_text("hello")
    assert not home.verify().ok
    (home.ledger / "note.txt").unlink()
    assert home.verify().ok
    shutil.rmtree(home.log)
    assert [problem.log for problem in home.verify().problems] == [NAME]


async def test_a_log_that_poses_as_another_is_found(home: Home, tmp_path: Path) -> None:
    await filled(home, 3)
    other = await filled(Home.make(tmp_path / "other"), 3)
    shutil.copytree(other.log, home.ledger / "worker-1")
    assert not home.verify().ok
    shutil.rmtree(home.ledger / "worker-1")
    shutil.rmtree(home.log)
    shutil.copytree(other.log, home.log)
    assert not home.verify().ok


async def test_a_stranger_verifies_with_a_vkey_alone(home: Home) -> None:
    await filled(home, 30)
    vkey = home.keys.signer(NAME, ORIGIN).verifier.vkey
    report = verify(home.ledger, None, vkeys={NAME: vkey})
    assert report.ok and report.logs[0].payloads_opened == 0
    other = make_signer(ORIGIN, b"s" * 32).verifier.vkey
    assert not verify(home.ledger, None, vkeys={NAME: other}).ok
    (home.log / "log.json").write_bytes(card(NAME, ORIGIN, other))
    assert not verify(home.ledger, None, vkeys={NAME: vkey}).ok


async def test_an_erased_person_leaves_a_ledger_that_verifies(home: Home) -> None:
    await filled(home, 30)
    assert home.keys.destroy("ben") is not None
    report = home.verify()
    assert report.ok
    assert (report.logs[0].payloads_erased, report.logs[0].payloads_opened) == (10, 20)


async def test_a_key_lost_without_a_tombstone_is_a_problem(home: Home) -> None:
    await filled(home, 3)
    for path in (home.path / "keys/subjects").glob("??/*"):
        path.unlink()
    assert {problem.index for problem in verify(home.ledger, KeyRing.open(home.path / "keys")).problems} == {0, 1, 2}


async def test_what_the_caller_finds_wrong_is_reported(home: Home) -> None:
    await filled(home, 5)
    report = verify(home.ledger, home.keys, check_payload=lambda entry, _: "odd" if b"003" in entry else None)
    assert [(problem.index, problem.what) for problem in report.problems] == [(3, "odd")]


async def test_no_false_alarm_while_a_writer_writes(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification after verification in a thread, while the log grows through tiles, segments and checkpoints."""
    monkeypatch.setattr("tiffin.ledger.journal.SEGMENT_BYTES_MAX", 20_000)
    log = home.open()
    saved = first = log.checkpoint()
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            indices = await add(log, range(number, number + 17))
            number += 17
            if number % 3 == 0:
                await log.publish(indices[-1])

    writing = asyncio.create_task(write())
    rounds = 0
    while log.size < 1_000 or rounds < 25:
        report = await asyncio.to_thread(home.verify, first, saved)
        assert report.ok, report.problems
        saved = log.checkpoint()
        rounds += 1
    stop.set()
    await writing
    await log.aclose()
    assert home.verify(first, saved).ok


async def test_an_empty_or_half_created_ledger(home: Home) -> None:
    assert home.verify().ok
    home.log.mkdir(parents=True)
    report = home.verify()
    assert report.ok and len(report.notes) == 1
    await home.open().aclose()
    assert home.verify().ok


def bundle_of(home: Home, index: int) -> Path:
    if index < 256:
        return home.log / "tile/entries/000"
    (path,) = (home.log / "tile/entries/001.p").iterdir()
    return path


def payload_of(home: Home, index: int) -> tuple[Path, int, bytes]:
    """The vault file of an entry, the byte at which its record begins, and its sealed payload."""
    path = home.log / vault.file_path(index // 256)
    before = [vault.frame(vault.read_payload(home.log, one)) for one in range(index - index % 256, index)]
    return path, len(b"".join(before)), vault.read_payload(home.log, index)


def rebuild(home: Home, entries: list[bytes]) -> None:
    """Bundles and tiles as they would be for these entries; the checkpoint stays."""
    shutil.rmtree(home.log / "tile")
    _, tiles = grow(Edge(), [leaf_hash(one) for one in entries])
    files = {tile.name.path: tile.hashes for tile in tiles}
    files["tile/entries/000"] = pack_bundle(entries[:256])
    files[f"tile/entries/001.p/{len(entries) - 256}"] = pack_bundle(entries[256:])
    for name, data in files.items():
        (home.log / name).parent.mkdir(parents=True, exist_ok=True)
        (home.log / name).write_bytes(data)


def test_the_payload_rule_of_these_tests() -> None:
    assert check_payload(entry(1), payload(1)) is None
    assert check_payload(entry(1), payload(2)) is not None
