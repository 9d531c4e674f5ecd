"""C2SP `.tlog-proof`: the receipt that is handed out. An entry, this text and a vkey are all that a stranger needs."""

from __future__ import annotations

from dataclasses import dataclass

from tiffin.ledger.checkpoint import Checkpoint, open_checkpoint, parse_decimal
from tiffin.ledger.errors import NotVerified
from tiffin.ledger.note import decode_base64, encode_base64, parse_vkey
from tiffin.ledger.tree import HASH_BYTES, leaf_hash, verify_inclusion

MAGIC = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 63  # hashes; the depth of a tree of 2**63 entries


@dataclass(frozen=True)
class Proof:
    """Inclusion of the entry at `index` in the tree of `checkpoint` (a signed note, verbatim)."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes = b""

    def render(self) -> str:
        lines = [MAGIC]
        if self.extra:
            lines.append(f"extra {encode_base64(self.extra)}")
        lines.append(f"index {self.index}")
        lines.extend(encode_base64(step) for step in self.hashes)
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse_proof(text: str) -> Proof:
    """Form only; NotVerified when malformed."""
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != MAGIC:
        raise NotVerified(f"the text does not begin with {MAGIC}")
    rest = lines[1:]
    extra = b""
    if rest and rest[0].startswith("extra "):
        extra = decode_base64(rest.pop(0).removeprefix("extra "))
        if not extra:
            raise NotVerified("an extra line is empty")
    if not rest or not rest[0].startswith("index "):
        raise NotVerified("the index line is missing")
    index = parse_decimal(rest[0].removeprefix("index "))
    hashes = tuple(decode_base64(line) for line in rest[1:])
    if len(hashes) > HASHES_MAX or any(len(step) != HASH_BYTES for step in hashes):
        raise NotVerified("the inclusion proof is not a list of SHA-256 hashes")
    return Proof(index, hashes, checkpoint, extra)


def verify_proof(text: str, entry: bytes, vkey: str) -> Checkpoint:
    """The checkpoint that covers the entry, when the proof and the log's signature hold; NotVerified otherwise."""
    proof = parse_proof(text)
    checkpoint = open_checkpoint(proof.checkpoint, parse_vkey(vkey))
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(entry), proof.hashes, checkpoint.root)
    return checkpoint
