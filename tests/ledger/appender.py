"""A process that appends for ever and prints what was acknowledged: python -m tests.ledger.appender HOME FIRST"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from tests.ledger.home import Home, entry, payload, receipt_id, subjects
from tiffin.ledger import journal
from tiffin.ledger.log import Log

WORKERS = 20


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


async def work(log: Log, numbers: itertools.count[int]) -> None:
    for number in numbers:
        await log.intend(receipt_id(number), b"{}")
        say(f"intent {number}")
        index = await log.close(receipt_id(number), entry(number), payload(number), subjects(number))
        say(f"close {number} {index}")


async def save(log: Log) -> None:
    while True:
        await asyncio.sleep(0.05)
        say("checkpoint " + log.checkpoint().replace("\n", "|"))


async def main(path: Path, first: int) -> None:
    journal.SEGMENT_BYTES_MAX = 100_000  # many segments come and go before the end
    log = Home.make(path).open()
    say("open")
    numbers = itertools.count(first)
    await asyncio.gather(save(log), *(work(log, numbers) for _ in range(WORKERS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
