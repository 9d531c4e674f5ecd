"""RFC 6962 hashing against published vectors, and against a second, recursive reading of the RFC."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.ledger.errors import NotVerified
from tiffin.ledger.tree import (
    EMPTY_ROOT,
    HashReader,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
    verify_subtree,
)

# transparency-dev/merkle, testonly/constants.go (Apache-2.0)
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word, over leaf hashes."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else sha256(b"").digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + mth(leaves[:split]) + mth(leaves[split:])).digest()


def reader(leaves: list[bytes]) -> HashReader:
    def read(level: int, index: int) -> bytes:
        part = leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level, "a proof may ask for complete subtrees only"
        return mth(part)

    return read


def test_published_hashes() -> None:
    assert leaf_hash(b"").hex() == ROOTS[1]
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    expected = "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    assert node_hash(b"N123", b"N456").hex() == expected


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    leaves = [leaf_hash(leaf) for leaf in LEAVES[:size]]
    assert root_of(leaves).hex() == ROOTS[size]
    assert tree_root(size, reader(leaves)).hex() == ROOTS[size]


def vectors(shared: Path) -> Iterator[dict[str, object]]:
    with (shared / "dev/audit_log/merkle_proof_vectors.jsonl").open() as lines:
        yield from map(json.loads, lines)


def test_the_published_proofs(shared: Path) -> None:
    """All 259; three of them forbid what the witness protocol calls an empty proof: consistency with nothing."""
    disagreed, count = [], 0
    for vector in vectors(shared):
        count += 1
        try:
            check(vector)
            held = True
        except NotVerified:
            held = False
        if held is bool(vector["wantErr"]):
            disagreed.append(vector)
    assert count == 259
    assert all(vector["kind"] == "consistency" and vector["size1"] == 0 for vector in disagreed), disagreed
    assert len(disagreed) <= 3


def check(vector: dict) -> None:
    proof = [base64.b64decode(step) for step in vector["proof"] or []]
    roots = [base64.b64decode(vector[key]) for key in ("root1", "root2", "root", "leafHash") if key in vector]
    match vector["kind"]:
        case "inclusion":
            verify_inclusion(vector["leafIdx"], vector["treeSize"], roots[1], proof, roots[0])
        case "consistency":
            verify_consistency(vector["size1"], vector["size2"], proof, old_root=roots[0], root=roots[1])
        case "subtreeconsistency":
            start, end, size = vector["start"], vector["end"], vector["size"]
            verify_subtree(start, end, size, proof, subtree_root=roots[0], root=roots[1])
        case "subtreeinclusion":
            start, end = vector["start"], vector["end"]
            if start % (1 << max(0, (end - start - 1).bit_length())):
                raise NotVerified("no subtree begins there")
            verify_inclusion(vector["leafIdx"] - start, end - start, roots[1], proof, roots[0])
        case kind:
            raise AssertionError(kind)


@given(st.integers(1, 70), st.data())
def test_proofs_hold_and_any_change_breaks_them(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = mth(leaves)
    assert root_of(leaves) == root == tree_root(size, reader(leaves))
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, reader(leaves))
    verify_inclusion(index, size, leaves[index], proof, root)
    for wrong in ([*proof, root], proof[:-1] if proof else [root], [step[::-1] for step in proof] or [root]):
        with pytest.raises(NotVerified):
            verify_inclusion(index, size, leaves[index], wrong, root)
    with pytest.raises(NotVerified):
        verify_inclusion(index, size, leaf_hash(b"other"), proof, root)
    with pytest.raises(NotVerified):
        verify_inclusion(size, size, leaves[index], proof, root)


@given(st.integers(0, 70), st.data())
def test_consistency_proofs_hold_and_any_change_breaks_them(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(old, size, reader(leaves))
    roots = {"old_root": mth(leaves[:old]), "root": mth(leaves)}
    verify_consistency(old, size, proof, **roots)
    for wrong in ([*proof, bytes(32)], *([proof[:-1]] if proof else [])):
        with pytest.raises(NotVerified):
            verify_consistency(old, size, wrong, **roots)
    with pytest.raises(NotVerified):
        verify_consistency(old, size, proof, old_root=bytes(32), root=roots["root"])
    if old:
        with pytest.raises(NotVerified):
            verify_consistency(old, size, proof, old_root=roots["old_root"], root=bytes(32))


def test_nonsense_is_refused() -> None:
    assert mth([]) == EMPTY_ROOT
    with pytest.raises(ValueError, match="not in a tree"):
        inclusion_proof(3, 3, reader([]))
    with pytest.raises(ValueError, match="no older tree"):
        consistency_proof(4, 3, reader([]))
    with pytest.raises(NotVerified):
        verify_consistency(4, 3, [], old_root=bytes(32), root=bytes(32))
    with pytest.raises(NotVerified):
        verify_inclusion(0, 2, bytes(32), [b"short"], bytes(32))
    with pytest.raises(NotVerified):
        verify_subtree(1, 3, 4, [], subtree_root=bytes(32), root=bytes(32))
