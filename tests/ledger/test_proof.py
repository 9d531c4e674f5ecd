"""A receipt verifies with ours and with a script that knows nothing of Tiffin; a changed one with neither."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.home import Home, add, entry
from tiffin.ledger.errors import NotVerified
from tiffin.ledger.proof import Proof, parse_proof, verify_proof

SCRIPT = Path(__file__).resolve().parents[2] / "docs/verify_receipt.py"


def script(folder: Path, proof: str, leaf: bytes, vkey: str) -> subprocess.CompletedProcess[str]:
    (folder / "receipt.tlog-proof").write_bytes(proof.encode())
    (folder / "entry.json").write_bytes(leaf)
    command = [sys.executable, "-I", SCRIPT, folder / "receipt.tlog-proof", folder / "entry.json", vkey]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def test_the_script_is_short_and_stands_alone() -> None:
    source = SCRIPT.read_text("utf-8")
    assert len(source.splitlines()) <= 60
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


async def test_receipts_verify_and_changed_ones_do_not(home: Home, tmp_path: Path) -> None:
    log = home.open()
    await add(log, range(300))
    await log.publish(299)
    for index in (0, 1, 255, 256, 298, 299):
        checkpoint = verify_proof(log.proof(index), log.entry(index), log.vkey)
        assert checkpoint.size == 300
    proof, leaf = log.proof(257), log.entry(257)
    assert leaf == entry(257)
    right = script(tmp_path, proof, leaf, log.vkey)
    assert (right.returncode, right.stdout.count("ok  ")) == (0, 5), right.stdout + right.stderr
    lines = proof.split("\n")
    changed = {
        "another entry": (proof, leaf + b" ", log.vkey),
        "another index": (proof.replace("index 257", "index 258"), leaf, log.vkey),
        "a hash less": ("\n".join(lines[:2] + lines[3:]), leaf, log.vkey),
        "another size": (proof.replace("\n300\n", "\n301\n"), leaf, log.vkey),
        "no signature": (proof.rpartition("\u2014")[0], leaf, log.vkey),
        "another key": (proof, leaf, home.keys.new_signer("other", log.origin).verifier.vkey),
        "nothing": ("", leaf, log.vkey),
    }
    for what, (text, content, vkey) in changed.items():
        with pytest.raises(NotVerified):
            verify_proof(text, content, vkey)
        wrong = script(tmp_path, text, content, vkey)
        assert (wrong.returncode, "FAIL" in wrong.stdout) == (1, True), f"{what}: {wrong.stdout}{wrong.stderr}"
    await log.aclose()


async def test_every_flipped_byte_of_a_receipt_is_noticed(home: Home) -> None:
    log = home.open()
    await add(log, range(5))
    await log.publish(4)
    whole = log.proof(3).encode()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << position % 8
        with pytest.raises((NotVerified, UnicodeDecodeError)):
            verify_proof(flipped.decode(), log.entry(3), log.vkey)
    await log.aclose()


hashes = st.lists(st.binary(min_size=32, max_size=32), max_size=40).map(tuple)


@given(st.integers(0, 2**63 - 1), hashes, st.text(min_size=1), st.binary())
def test_proofs_survive_rendering(index: int, path: tuple[bytes, ...], checkpoint: str, extra: bytes) -> None:
    proof = Proof(index, path, checkpoint, extra)
    assert parse_proof(proof.render()) == proof


@given(st.text())
def test_garbage_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(NotVerified):
        parse_proof(text)
