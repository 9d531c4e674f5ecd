"""Receipts of a home whose server is stopped: read from the ledger itself, with the index brought up to it first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tiffin import home
from tiffin.cli.show import NO, USAGE, Failure
from tiffin.config import Settings
from tiffin.ledger.errors import LedgerError
from tiffin.ledger.log import Log
from tiffin.ledger.reading import whole
from tiffin.ledger.recorder import catch_up
from tiffin.ledger.recover import is_written
from tiffin.store import receipts
from tiffin.store.database import Database


@dataclass(frozen=True)
class Receipt:
    """`shown` is what the API answers; the rest is what a stranger verifies."""

    shown: dict[str, Any]
    entry: str
    proof: str
    vkey: str


def receipt(where: Settings, receipt_id: str) -> Receipt:
    with _opened(where) as (log, database):
        catch_up(log, database)
        with database.read() as connection:
            found = receipts.find(connection, receipt_id)
        if found is None:
            raise Failure(
                f"There is no receipt '{receipt_id}'.", hint="`tiffin receipts` lists them.", code=NO, kind="not_found"
            )
        asyncio.run(log.publish(found.position))
        shown = whole(found, log, database)
        return Receipt(shown, log.entry(found.position).decode(), log.proof(found.position), log.vkey)


def index(where: Settings) -> None:
    """Brings the index of a stopped home up to its ledger; while a server runs that is the server's to do."""
    folder = where.ledger / home.LOG
    if folder.is_dir() and not is_written(folder):
        with _opened(where) as (log, database):
            catch_up(log, database)


@contextmanager
def _opened(where: Settings) -> Iterator[tuple[Log, Database]]:
    if not (where.ledger / home.LOG).is_dir():
        hint = "Set TIFFIN_HOME to the home of a Tiffin that has run."
        raise Failure(f"There is no ledger at {where.ledger}.", hint=hint, code=USAGE, kind="usage")
    try:
        log = home.open_log(where)
    except LedgerError as error:
        raise Failure(f"The ledger cannot be opened: {error}.", hint="`tiffin verify` says more.") from error
    try:
        database = Database.open(where.database)
        try:
            yield log, database
        finally:
            database.close()
    finally:
        asyncio.run(log.aclose())
