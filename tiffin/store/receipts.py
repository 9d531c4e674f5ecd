"""The index of receipts: where each one stands in which log, and what people search by. Derived from the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Column, Connection, Table, Text, func, select
from sqlalchemy.dialects.sqlite import insert

from tiffin.store.database import Database, metadata

receipts = Table(
    "receipts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("log", Text),
    Column("position", BigInteger),
    Column("time", Text),
    Column("duration_us", BigInteger),
    Column("operation", Text),
    Column("project", Text),
    Column("caller", Text),
    Column("parent", Text),
    Column("model", Text),
    Column("outcome", Text),
    Column("tokens", BigInteger),
    Column("cost_microusd", BigInteger),
)


class IndexedReceipt(Struct, frozen=True):
    """`position` is the index of the entry in its log."""

    id: str
    log: str
    position: int
    time: str
    duration_us: int
    operation: str
    project: str
    caller: str
    parent: str | None
    model: str | None
    outcome: str
    tokens: int
    cost_microusd: int


class _Model(Struct):
    name: str


class _Usage(Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Entry(Struct):
    id: str
    time: str
    operation: str
    project: str
    caller: str
    outcome: str
    duration_us: int = 0
    parent: str | None = None
    model: _Model | None = None
    usage: _Usage = msgspec.field(default_factory=_Usage)
    cost_microusd: int = 0


_decode = msgspec.json.Decoder(_Entry).decode


def indexed(log: str, position: int, entry: bytes) -> IndexedReceipt:
    """The row that stands for an entry of a log."""
    e = _decode(entry)
    return IndexedReceipt(
        id=e.id,
        log=log,
        position=position,
        time=e.time,
        duration_us=e.duration_us,
        operation=e.operation,
        project=e.project,
        caller=e.caller,
        parent=e.parent,
        model=e.model.name if e.model else None,
        outcome=e.outcome,
        tokens=e.usage.input_tokens + e.usage.output_tokens,
        cost_microusd=e.cost_microusd,
    )


def record(database: Database, rows: Sequence[IndexedReceipt]) -> None:
    """Adds rows; one that is there already stays as it is."""
    if rows:
        values = [{name: getattr(row, name) for name in row.__struct_fields__} for row in rows]
        with database.write() as connection:
            connection.execute(insert(receipts).on_conflict_do_nothing(), values)


def next_position(connection: Connection, log: str) -> int:
    """The first position of a log that may be missing here."""
    newest = connection.execute(select(func.max(receipts.c.position)).where(receipts.c.log == log)).scalar()
    return 0 if newest is None else newest + 1


def find(connection: Connection, receipt_id: str) -> IndexedReceipt | None:
    row = connection.execute(select(receipts).where(receipts.c.id == receipt_id)).first()
    return IndexedReceipt(**row._mapping) if row else None


def children(connection: Connection, receipt_id: str) -> list[IndexedReceipt]:
    rows = connection.execute(select(receipts).where(receipts.c.parent == receipt_id).order_by(receipts.c.id))
    return [IndexedReceipt(**row._mapping) for row in rows]


class Wanted(Struct, frozen=True):
    """Which receipts, newest first: before an id, of one project (None: all), one operation, roots only."""

    limit: int = 20
    before: str | None = None
    project: str | None = None
    operation: str | None = None
    roots_only: bool = False
    reads_too: bool = False


def listed(connection: Connection, wanted: Wanted) -> list[IndexedReceipt]:
    query = select(receipts).order_by(receipts.c.id.desc()).limit(wanted.limit)
    if wanted.before is not None:
        query = query.where(receipts.c.id < wanted.before)
    if wanted.project is not None:
        query = query.where(receipts.c.project == wanted.project)
    if wanted.operation is not None:
        query = query.where(receipts.c.operation == wanted.operation)
    elif not wanted.reads_too:
        query = query.where(receipts.c.operation != "read")
    if wanted.roots_only:
        query = query.where(receipts.c.parent.is_(None))
    return [IndexedReceipt(**row._mapping) for row in connection.execute(query)]
