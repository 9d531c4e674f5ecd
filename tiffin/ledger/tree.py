"""RFC 6962 hashing: roots, inclusion and consistency proofs, and their verification. Pure: no files, no state.

A proof is computed from a *hash reader*: a callable that answers the hash of the complete subtree of 2**level leaves
which starts at leaf index * 2**level.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from tiffin.ledger.errors import NotVerified

HashReader = Callable[[int, int], bytes]
"""(level, index) → hash of the complete subtree over leaves [index << level, (index + 1) << level)."""

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return _sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these hashes, taken as the leaves (or as equal, complete subtrees)."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    sha256 = _sha256
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        pairs = iter(row)
        # An odd last hash moves up unchanged: the same tree as splitting at the largest power of two below n.
        row = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)] + odd
    return row[0]


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The root of a tree that consists of these complete subtrees, left to right, each larger than the next."""
    if not subtrees:
        return EMPTY_ROOT
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def _subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """The complete subtrees (level, index) that make up leaves [start, end).

    `start` is aligned for the first of them.
    """
    found: list[tuple[int, int]] = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def _range_root(start: int, end: int, read: HashReader) -> bytes:
    return fold([read(level, index) for level, index in _subtrees(start, end)])


def tree_root(size: int, read: HashReader) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(0, size, read)


def inclusion_proof(index: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """Hashes from the leaf's sibling up to the root's child; ValueError unless 0 ≤ index < size."""
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not in a tree of {size}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + (1 << (end - start - 1).bit_length() - 1)
        if index < split:
            proof.append(_range_root(split, end, read))
            end = split
        else:
            proof.append(_range_root(start, split, read))
            start = split
    return tuple(reversed(proof))


def consistency_proof(old_size: int, size: int, read: HashReader) -> tuple[bytes, ...]:
    """Proof that the first `old_size` leaves of the tree of `size` are the old tree; empty for sizes 0 and equal."""
    if not 0 <= old_size <= size:
        raise ValueError(f"a tree of {size} has no older tree of {old_size}")
    if old_size in (0, size):
        return ()
    proof: list[bytes] = []
    start, end = 0, size
    whole = True  # whether [start, old end) is still the complete old tree, whose root the verifier has already
    while old_size != end:
        split = start + (1 << (end - start - 1).bit_length() - 1)
        if old_size <= split:
            proof.append(_range_root(split, end, read))
            end = split
        else:
            proof.append(_range_root(start, split, read))
            start = split
            whole = False
    if not whole:
        proof.append(_range_root(start, end, read))
    return tuple(reversed(proof))


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """NotVerified unless the proof leads from the leaf hash to the root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise NotVerified(f"index {index} is not in a tree of {size}")
    if len(leaf) != HASH_BYTES:
        raise NotVerified("the leaf hash has the wrong length")
    fn, sn, result = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            raise NotVerified("the inclusion proof is too long")
        if len(sibling) != HASH_BYTES:
            raise NotVerified("a hash of the inclusion proof has the wrong length")
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            result = node_hash(result, sibling)
        fn >>= 1
        sn >>= 1
    if sn:
        raise NotVerified("the inclusion proof is too short")
    if result != root:
        raise NotVerified("the inclusion proof does not lead to the root")


def verify_consistency(old_size: int, size: int, proof: Sequence[bytes], *, old_root: bytes, root: bytes) -> None:
    """NotVerified unless the old tree is a prefix of the new one (RFC 9162 §2.1.4.2); an empty old tree always is."""
    verify_subtree(0, old_size, size, proof, subtree_root=old_root, root=root)


def verify_subtree(
    start: int, end: int, size: int, proof: Sequence[bytes], *, subtree_root: bytes, root: bytes
) -> None:
    """NotVerified unless leaves [start, end) of the tree of `size` have this root of their own; no leaves always have.

    The algorithm is that of draft-ietf-plants-merkle-tree-certs, and for start 0 the one of RFC 9162 §2.1.4.2.
    """
    if not (0 <= start <= end <= size and start % (1 << max(0, end - start - 1).bit_length()) == 0):
        raise NotVerified(f"leaves {start} to {end} are no subtree of a tree of {size}")
    if start == end:
        if proof or subtree_root != EMPTY_ROOT:
            raise NotVerified("no leaves have the empty proof and the empty root")
        return
    if any(len(step) != HASH_BYTES for step in proof):
        raise NotVerified("a hash of the consistency proof has the wrong length")
    fn, sn, tn = start, end - 1, size - 1
    while fn != sn and (sn == tn or sn & 1):
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    path = list(proof)
    if fn != sn:
        if not path:
            raise NotVerified("the consistency proof is empty")
        found, whole = path[0], path.pop(0)
    else:
        found = whole = subtree_root
    for step in path:
        if tn == 0:
            raise NotVerified("the consistency proof is too long")
        if sn & 1 or sn == tn:
            if fn < sn:
                found = node_hash(step, found)
            whole = node_hash(step, whole)
            while sn and not sn & 1:
                fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
        else:
            whole = node_hash(whole, step)
        fn, sn, tn = fn >> 1, sn >> 1, tn >> 1
    if tn or found != subtree_root or whole != root:
        raise NotVerified("the consistency proof does not connect the two roots")
