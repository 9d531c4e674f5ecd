"""A log of 70,000 entries, published in uneven steps, holds exactly the files that its entries determine."""

from __future__ import annotations

from pathlib import Path

from tests.ledger.home import NAME, ORIGIN, Home
from tests.ledger.test_tree import mth
from tiffin.ledger import vault
from tiffin.ledger.checkpoint import open_checkpoint
from tiffin.ledger.disk import Disk
from tiffin.ledger.journal import Close
from tiffin.ledger.recover import open_folder
from tiffin.ledger.tree import leaf_hash

SIZE = 70_000
STEPS = [1, 2, 252, 1, 1, 300, 4_096, 8_192, 8_191, 20_000, 30_000]


def test_a_log_of_seventy_thousand_entries(home: Home, tmp_path: Path) -> None:
    home.log.mkdir(parents=True)
    opened = open_folder(home.log, name=NAME, origin=ORIGIN, keys=home.keys, disk=Disk())
    entries = [f'{{"n":{number}}}'.encode() for number in range(SIZE)]
    key = home.keys.content_key(())
    sealed = vault.seal(vault.pack(b"p"), key, vault.Place(ORIGIN, 0, bytes(32)), "r")
    closes = [Close(number, f"r{number}", entry, sealed) for number, entry in enumerate(entries)]
    start = 0
    for step in [*STEPS, SIZE - sum(STEPS)]:
        opened.publisher.publish(closes[start : start + step])
        start += step
    opened.journal.close()
    leaves = [leaf_hash(entry) for entry in entries]
    checkpoint = open_checkpoint((home.log / "checkpoint").read_text("utf-8"), opened.signer.verifier)
    assert (checkpoint.size, checkpoint.root) == (SIZE, mth(leaves))
    expected = expected_files(entries, leaves)
    found = {path.relative_to(home.log).as_posix(): path for path in (home.log / "tile").rglob("*") if path.is_file()}
    assert set(found) == set(expected)
    assert all(path.read_bytes() == expected[name] for name, path in found.items())
    assert vault.read_payload(home.log, SIZE - 1) == sealed
    assert {path.name for path in (home.log / "vault").iterdir()} == {f"{number:03d}" for number in range(274)}


def expected_files(entries: list[bytes], leaves: list[bytes]) -> dict[str, bytes]:
    """The tiles of the specification, derived from nothing but the entries and its formulas."""
    files: dict[str, bytes] = {}
    for level in range(3):
        span = 256**level
        hashes = [mth(leaves[start : start + span]) for start in range(0, SIZE - span + 1, span)]
        for number in range(0, len(hashes), 256):
            part = hashes[number : number + 256]
            name = f"tile/{level}/{number // 256:03d}"
            files[name if len(part) == 256 else f"{name}.p/{len(part)}"] = b"".join(part)
    for number in range(0, SIZE, 256):
        part = entries[number : number + 256]
        name = f"tile/entries/{number // 256:03d}"
        files[name if len(part) == 256 else f"{name}.p/{len(part)}"] = b"".join(
            len(entry).to_bytes(2, "big") + entry for entry in part
        )
    return files
