"""A small real transparency log for the fixture server: RFC 6962 tree, signed C2SP checkpoint, tlog-proof documents.

Written apart from tiffin/ledger on purpose: it is a second reading of the specification to test the verifier against.
"""

from __future__ import annotations

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORIGIN = "tiffin.example/fixture/0"


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(n: int) -> int:
    """The largest power of two strictly below n."""
    return 1 << (n - 1).bit_length() - 1


def root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    k = split(len(leaves))
    return node(root(leaves[:k]), root(leaves[k:]))


def inclusion(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962 §2.1.1, from the leaf's sibling up."""
    if len(leaves) < 2:
        return []
    k = split(len(leaves))
    if index < k:
        return [*inclusion(leaves[:k], index), root(leaves[k:])]
    return [*inclusion(leaves[k:], index - k), root(leaves[:k])]


class FixtureLog:
    """An in-memory log with one key."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.origin = origin
        self.entries: list[bytes] = []
        self._key = Ed25519PrivateKey.generate()
        public = b"\x01" + self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._key_id = hashlib.sha256(origin.encode() + b"\n" + public).digest()[:4]
        self.vkey = f"{origin}+{self._key_id.hex()}+{base64.b64encode(public).decode()}"

    def append(self, entry: dict[str, object]) -> int:
        self.entries.append(canonical(entry))
        return len(self.entries) - 1

    def checkpoint(self) -> str:
        leaves = [leaf(entry) for entry in self.entries]
        text = f"{self.origin}\n{len(leaves)}\n{base64.b64encode(root(leaves)).decode()}\n"
        blob = self._key_id + self._key.sign(text.encode())
        return f"{text}\n\u2014 {self.origin} {base64.b64encode(blob).decode()}\n"

    def proof(self, index: int) -> str:
        hashes = inclusion([leaf(entry) for entry in self.entries], index)
        lines = "".join(base64.b64encode(h).decode() + "\n" for h in hashes)
        return f"c2sp.org/tlog-proof@v1\nindex {index}\n{lines}\n{self.checkpoint()}"
