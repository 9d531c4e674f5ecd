"""Verify a Tiffin receipt without Tiffin: python verify_receipt.py RECEIPT.tlog-proof ENTRY_FILE VKEY

Formats: c2sp.org/tlog-proof, tlog-checkpoint, signed-note; hashing: RFC 6962. Needs Python and `cryptography`."""

import sys
from base64 import b64decode
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def check(holds: bool, what: str) -> None:
    print(("ok    " if holds else "FAIL  ") + what)
    if not holds:
        sys.exit(1)


def root_from(node: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    fn, sn = index, size - 1  # from the leaf to the root, as RFC 9162 says in section 2.1.3.2
    for sibling in path:
        if sn == 0 or len(sibling) != 32:
            return b""
        if fn & 1 or fn == sn:
            node = sha256(b"\x01" + sibling + node).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = sha256(b"\x01" + node + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    return node if sn == 0 else b""


def main(receipt: str, entry: bytes, vkey: str) -> None:
    name, key_id, key = vkey.split("+", 2)
    kind, public = b64decode(key)[:1], b64decode(key)[1:]
    expected = sha256(name.encode() + b"\n" + kind + public).hexdigest()[:8]
    check(kind == b"\x01" and key_id == expected, f"{expected} is an Ed25519 key of {name}")
    head, _, checkpoint = receipt.partition("\n\n")
    text, _, signatures = checkpoint.rpartition("\n\n")
    origin, size, root = (text + "\n").split("\n")[:3]
    signed = [line.split(" ")[2] for line in signatures.split("\n") if line.startswith(f"\u2014 {name} ")]
    mine = [b64decode(blob, validate=True)[4:] for blob in signed if b64decode(blob)[:4].hex() == key_id]
    check(origin == name and len(mine) == 1, f"the checkpoint is of {origin} and carries that key's signature")
    Ed25519PublicKey.from_public_bytes(public).verify(mine[0], (text + "\n").encode())  # raises InvalidSignature
    print(f"ok    the signature over the log's first {size} entries holds")
    magic, *lines = [line for line in head.split("\n") if not line.startswith("extra ")]
    check(magic == "c2sp.org/tlog-proof@v1" and lines[0].startswith("index "), "the receipt is a tlog-proof")
    index, path = int(lines[0].removeprefix("index ")), [b64decode(line, validate=True) for line in lines[1:]]
    found = root_from(sha256(b"\x00" + entry).digest(), index, int(size), path)
    check(0 <= index < int(size) and found == b64decode(root), f"the entry is number {index} of them")


if __name__ == "__main__":
    try:
        proof_file, entry_file, vkey = sys.argv[1:]
        main(Path(proof_file).read_bytes().decode(), Path(entry_file).read_bytes(), vkey)
    except (ValueError, IndexError, OSError, InvalidSignature) as error:
        check(False, f"the receipt does not verify: {error!r}")
