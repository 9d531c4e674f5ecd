"""Claim: `verify` checks more than 100,000 entries a second, every level of the tree and every file of it included.

The limit is bare hashlib: one SHA-256 over each of the same entries, and nothing else. The log is written by the code
that serves users. Opening payloads (AES-GCM, zlib) is timed apart, as is bare AES-GCM over the same payloads.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tiffin.ledger import vault
from tiffin.ledger.disk import Disk
from tiffin.ledger.journal import Close, encode_record
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.recover import PUBLISH_ENTRIES_MAX, Opened, open_folder
from tiffin.ledger.report import LogReport
from tiffin.ledger.tree import leaf_hash
from tiffin.ledger.verify import verify

NAME, ORIGIN = "bench", "tiffin.example/bench"
ENTRIES_WANTED_PER_S = 100_000
JOURNALLED = 8_192  # entries that the journal still holds too, as it does in a log that is in use
WORDS = "dose trial adverse event site visit consent placebo arm subject protocol amendment week".split()


def entries(count: int) -> list[bytes]:
    """About 900 bytes each, as receipts of chats are."""
    digest = hashlib.sha256(b"model").hexdigest()
    filler = {f"field_{number}": digest for number in range(10)}
    return [json.dumps({"id": f"{number:032x}", "operation": "chat", **filler}).encode() for number in range(count)]


def payload(number: int) -> bytes:
    chosen = random.Random(number)
    return json.dumps({"id": number, "text": " ".join(chosen.choices(WORDS, k=120))}).encode()


def fill(opened: Opened, keys: KeyRing, leaves: list[bytes]) -> None:
    key = keys.content_key(("somebody",))
    for start in range(0, len(leaves), PUBLISH_ENTRIES_MAX):
        closes = []
        for index in range(start, min(start + PUBLISH_ENTRIES_MAX, len(leaves))):
            place = vault.Place(ORIGIN, index, leaf_hash(leaves[index]))
            sealed = vault.seal(vault.pack(payload(index)), key, place, f"{index:032x}")
            closes.append(Close(index, f"{index:032x}", leaves[index], sealed))
        if start + JOURNALLED >= len(leaves):
            opened.journal.rotate(start, ())
            opened.journal.append(b"".join(map(encode_record, closes)))
        opened.publisher.publish(closes)
        opened.journal.drop_covered(start)
    opened.journal.close()


def bare_hashing(leaves: list[bytes]) -> float:
    """Entries a second."""
    started = time.perf_counter()
    for leaf in leaves:
        hashlib.sha256(leaf).digest()
    return len(leaves) / (time.perf_counter() - started)


def bare_decryption(count: int) -> float:
    """Payloads a second, of the length that they have when sealed."""
    cipher, nonce = AESGCM(os.urandom(32)), bytes(12)
    sealed = cipher.encrypt(nonce, vault.pack(payload(1)).data, b"")
    started = time.perf_counter()
    for _ in range(count):
        cipher.decrypt(nonce, sealed, b"")
    return count / (time.perf_counter() - started)


def measure(ledger: Path, keys: KeyRing) -> LogReport:
    report = verify(ledger, keys)
    if not report.ok:
        sys.exit(f"the log does not verify: {report.problems[:3]}")
    return report.logs[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=150_000)
    count = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        keys = KeyRing.open(home / "keys")
        log = home / "ledger" / NAME
        log.mkdir(parents=True)
        leaves = entries(count)
        fill(open_folder(log, name=NAME, origin=ORIGIN, keys=keys, disk=Disk()), keys, leaves)
        # The limit before and after, so that a machine that slows down slows both.
        limits = [bare_hashing(leaves)]
        report = measure(home / "ledger", keys)
        limits.append(bare_hashing(leaves))
        limit = sum(limits) / 2
        payload_limit = bare_decryption(count)
    entries_per_s = report.size / report.tree_seconds
    payloads_per_s = report.payloads_opened / report.payload_seconds
    result = {
        "claim": f"verify checks ≥ {ENTRIES_WANTED_PER_S} entries a second",
        "entries": report.size,
        "entries_per_s": round(entries_per_s),
        "limit": "hashlib: one SHA-256 an entry",
        "limit_per_s": round(limit),
        "ratio": round(entries_per_s / limit, 3),
        "payloads_per_s": round(payloads_per_s),
        "payload_limit": "AES-256-GCM alone",
        "payload_ratio": round(payloads_per_s / payload_limit, 3),
    }
    print(json.dumps(result))
    return int(entries_per_s < ENTRIES_WANTED_PER_S)


if __name__ == "__main__":
    sys.exit(main())
