"""What a derived index needs: rows that came or ended since a generation, exact vectors, the places of chunks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tiffin.store.documents import Collection

BATCH_ROWS = 4_096  # rows fetched at a time: 6 MiB of vectors


@dataclass(frozen=True)
class Entry:
    """One chunk of the index. `valid_to_ns` is None while its version is current."""

    chunk: int
    version: int
    valid_from_ns: int
    valid_to_ns: int | None
    size: int
    model: str
    vector: bytes = field(repr=False)


@dataclass(frozen=True)
class Place:
    """Where a chunk stands, with what a hit shows of its document."""

    chunk: int
    version_id: int
    document: str
    version: int
    title: str
    page: int
    start: int
    end: int
    text: str = field(repr=False)


def entries(connection: Connection, collection: Collection, after: int) -> Iterator[Sequence[Entry]]:
    """Chunks of versions that came after a generation, in batches, by ascending chunk."""
    found = connection.exec_driver_sql(
        "SELECT c.id, v.id, v.valid_from_ns, v.valid_to_ns, c.size, x.model, x.vector FROM versions v"
        " JOIN chunks c ON c.version_id = v.id JOIN vectors x ON x.chunk_id = c.id"
        " WHERE v.collection_id = ? AND v.opened > ? ORDER BY c.id",
        (collection.id, after),
    )
    while rows := found.fetchmany(BATCH_ROWS):
        yield [Entry(*row) for row in rows]


def ended(connection: Connection, collection: Collection, after: int) -> list[tuple[int, int]]:
    """Versions superseded after a generation, each with the time at which it ended."""
    rows = connection.exec_driver_sql(
        "SELECT id, valid_to_ns FROM versions WHERE collection_id = ? AND closed > ?", (collection.id, after)
    )
    return [(row[0], row[1]) for row in rows]


def size(connection: Connection, collection: Collection) -> int:
    """How many chunks an index of the whole collection holds, past versions included."""
    found = connection.exec_driver_sql(
        "SELECT count(*) FROM chunks c JOIN versions v ON v.id = c.version_id WHERE v.collection_id = ?",
        (collection.id,),
    )
    return int(found.scalar_one())


def exact(connection: Connection, chunks: Iterable[int], model: str) -> dict[int, bytes]:
    """The stored float32 vectors of some chunks, as far as that model made them."""
    rows = connection.exec_driver_sql(
        "SELECT chunk_id, vector FROM vectors WHERE chunk_id IN (SELECT value FROM json_each(?)) AND model = ?",
        (_list(chunks), model),
    )
    return {row[0]: row[1] for row in rows}


def places(connection: Connection, chunks: Iterable[int]) -> dict[int, Place]:
    """Each document's text is read once, however many of its chunks are asked for."""
    rows = connection.exec_driver_sql(
        'SELECT c.id, v.id, v.document, v.version, v.title, c.page, c.start, c."end" FROM chunks c'
        " JOIN versions v ON v.id = c.version_id WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY v.id",
        (_list(chunks),),
    ).all()
    found: dict[int, Place] = {}
    open_version, text = 0, ""
    for row in rows:
        if row[1] != open_version:
            query = "SELECT text FROM versions WHERE id = ?"
            open_version, text = row[1], str(connection.exec_driver_sql(query, (row[1],)).scalar_one())
        chunk, version_id, document, version, title, page, start, end = row
        found[chunk] = Place(chunk, version_id, document, version, title, page, start, end, text[start:end])
    return found


def _list(chunks: Iterable[int]) -> str:
    return json.dumps([int(chunk) for chunk in chunks])
