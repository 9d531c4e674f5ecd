"""A home with a key ring and logs, and the plainest way to put receipts into them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger.disk import Disk
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.log import Log
from tiffin.ledger.report import Report
from tiffin.ledger.verify import verify

NAME = "worker-0"
ORIGIN = "tiffin.example/worker-0"


@dataclass(frozen=True)
class Home:
    path: Path
    keys: KeyRing

    @classmethod
    def make(cls, path: Path) -> Home:
        return cls(path, KeyRing.open(path / "keys"))

    @property
    def ledger(self) -> Path:
        return self.path / "ledger"

    @property
    def log(self) -> Path:
        return self.ledger / NAME

    def open(self, *, disk: Disk | None = None, name: str = NAME) -> Log:
        return Log.open(self.ledger / name, name=name, origin=f"tiffin.example/{name}", keys=self.keys, disk=disk)

    def verify(self, *against: str) -> Report:
        return verify(self.ledger, self.keys, against=against, check_payload=check_payload)

    def files(self) -> list[Path]:
        return sorted(path for path in self.ledger.rglob("*") if path.is_file())

    def copy(self, path: Path) -> Home:
        shutil.copytree(self.path, path)
        return Home.make(path)


def receipt_id(number: int) -> str:
    return f"0198c0de-0000-7000-8000-{number:012d}"


def entry(number: int) -> bytes:
    """What a receipt's entry looks like to the ledger: bytes that name the receipt."""
    return json.dumps({"id": receipt_id(number), "operation": "chat"}, sort_keys=True).encode()


def payload(number: int) -> bytes:
    return json.dumps({"id": receipt_id(number), "request": f"question {number}", "response": "x" * 40}).encode()


def subjects(number: int) -> tuple[str, ...]:
    return ((), ("ada",), ("ada", "ben"))[number % 3]


def check_payload(entry: bytes, payload: bytes) -> str | None:
    """The rule of these receipts: both halves name the same one."""
    same = json.loads(entry)["id"] == json.loads(payload)["id"]
    return None if same else "the payload is another receipt's"


async def add(log: Log, numbers: Iterable[int]) -> list[int]:
    """Receipts in order, each intended and closed; answers their indices."""
    wanted = list(numbers)
    for number in range(3):
        log._keys.content_key(subjects(number))  # else the first close about a person takes a thread, and another turn
    await asyncio.gather(*(log.intend(receipt_id(number), b"{}") for number in wanted))
    closes = [log.close(receipt_id(number), entry(number), payload(number), subjects(number)) for number in wanted]
    return list(await asyncio.gather(*closes))


async def filled(home: Home, count: int) -> Home:
    """A closed log of `count` receipts."""
    log = home.open()
    await add(log, range(count))
    await log.aclose()
    return home
