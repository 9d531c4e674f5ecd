"""Checkpoints: real ones of other logs open, ours render as the specification says, and nothing else passes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint, sign_checkpoint
from tiffin.ledger.errors import NotVerified
from tiffin.ledger.note import make_signer, open_note, parse_vkey
from tiffin.ledger.tiles import Edge, grow, split_hashes, unpack_bundle
from tiffin.ledger.tree import leaf_hash, root_of

TESSERA = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
SUMDB_CHECKPOINT = (  # torchwood, cmd/litewitness/testdata/sumdb.txt
    "go.sum database tree\n35225469\nr8fLJr0OcbXvLHOpvvLjCNyFCRVEbbeEo1ZLfFiYSCw=\n\n"
)


@pytest.mark.parametrize("size", range(16))
def test_another_implementations_log(shared: Path, size: int) -> None:
    """Tessera's test log at sizes 0 to 15: entries, tile, root and signature agree with ours."""
    folder = shared / "common/specs/tlog_testdata/tessera_log"
    checkpoint = open_checkpoint((folder / f"checkpoint.{size}").read_text("utf-8"), parse_vkey(TESSERA))
    entries = unpack_bundle((folder / f"tile/entries/000.p/{size}").read_bytes()) if size else []
    hashes = [leaf_hash(entry) for entry in entries]
    edge, tiles = grow(Edge(), hashes)
    assert checkpoint.size == len(entries) == size
    assert checkpoint.root == root_of(hashes) == edge.root()
    if size:
        assert split_hashes((folder / f"tile/0/000.p/{size}").read_bytes()) == hashes
        assert [(tile.name.path, tile.hashes) for tile in tiles] == [(f"tile/0/000.p/{size}", b"".join(hashes))]


def test_a_real_key_of_another_log_parses() -> None:
    assert parse_vkey(SUMDB).name == "sum.golang.org"
    assert parse_checkpoint(SUMDB_CHECKPOINT[:-1]).size == 35225469


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(st.text("abc ", min_size=1)))
def test_checkpoints_survive_rendering(size: int, root: bytes, extensions: list[str]) -> None:
    checkpoint = Checkpoint("log.example/a", size, root, tuple(extensions))
    assert parse_checkpoint(checkpoint.render()) == checkpoint
    signer = make_signer("log.example/a", b"s" * 32)
    signed = sign_checkpoint(checkpoint, signer)
    assert open_checkpoint(signed, signer.verifier) == checkpoint
    assert open_note(signed, [signer.verifier]).text == checkpoint.render()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        "o\n01\n" + "A" * 43 + "=\n",
        "o\n-1\n" + "A" * 43 + "=\n",
        "o\n+1\n" + "A" * 43 + "=\n",
        "o\n１\n" + "A" * 43 + "=\n",
        "o\n9999999999999999999\n" + "A" * 43 + "=\n",
        "o\n1\nAAAA\n",
        "o\n1\n" + "A" * 42 + "B=\n",
        "\n1\n" + "A" * 43 + "=\n",
        "o\n1\n" + "A" * 43 + "=\n\nx\n",
        "o\n1\n" + "A" * 43 + "=",
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(NotVerified):
        parse_checkpoint(text)


def test_a_checkpoint_of_another_origin_is_refused() -> None:
    signer = make_signer("log.example/a", b"s" * 32)
    text = sign_checkpoint(Checkpoint("log.example/b", 0, b"r" * 32), signer)
    with pytest.raises(NotVerified, match=r"is of log\.example/b"):
        open_checkpoint(text, signer.verifier)
