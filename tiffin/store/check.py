"""Says what is wrong with stored documents: a chunk has one full-text row and one vector, and nothing is left over."""

from __future__ import annotations

from sqlalchemy import Connection

from tiffin.store import fulltext
from tiffin.store.database import Database

_COUNTED = {
    "chunks have no vector": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk_id FROM vectors)",
    "vectors belong to no chunk": "SELECT count(*) FROM vectors WHERE chunk_id NOT IN (SELECT id FROM chunks)",
    "chunks belong to no version": "SELECT count(*) FROM chunks WHERE version_id NOT IN (SELECT id FROM versions)",
    "versions have no chunk": "SELECT count(*) FROM versions WHERE id NOT IN (SELECT version_id FROM chunks)",
    "versions belong to no collection": (
        "SELECT count(*) FROM versions WHERE collection_id NOT IN (SELECT id FROM collections)"
    ),
    "chunks reach beyond their text": (
        'SELECT count(*) FROM chunks c JOIN versions v ON v.id = c.version_id WHERE c.start < 0 OR c."end" <= c.start'
        ' OR (c."end" > length(v.text) AND instr(v.text, char(0)) = 0)'  # length() stops at a NUL
    ),
    "versions end before they begin": "SELECT count(*) FROM versions WHERE valid_to_ns <= valid_from_ns",
    "versions are ahead of their collection": (
        "SELECT count(*) FROM versions v JOIN collections c ON c.id = v.collection_id"
        " WHERE v.opened > c.generation OR v.closed > c.generation OR v.valid_from_ns > c.updated_ns"
    ),
}


def check(database: Database) -> list[str]:
    """Problems in words, none if all is well. Reads everything: seconds a gigabyte. Works on a read-only database.

    It opens the file anew: FTS5's part of `integrity_check` trusts what its connection remembers of the index, and on
    one that had searched while another wrote it reported a sound table as malformed (SQLite 3.46, once in some runs).
    """
    fresh = Database.open(database.path, readonly=True)
    try:
        with fresh.read() as connection:
            return _problems(connection)
    finally:
        fresh.close()


def _problems(connection: Connection) -> list[str]:
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(5)") if row[0] != "ok"]
    for what, query in _COUNTED.items():
        count = connection.exec_driver_sql(query).scalar_one()
        if count:
            found.append(f"{count} {what}")
    return found + _collections(connection)


def _collections(connection: Connection) -> list[str]:
    found = []
    ids = {
        row[0]: f"{row[1]}/{row[2]}" for row in connection.exec_driver_sql("SELECT id, project, name FROM collections")
    }
    tables = set(fulltext.tables(connection))
    for collection_id, name in ids.items():
        if collection_id in tables:
            found += [f"collection {name}: {problem}" for problem in fulltext.problems(connection, collection_id)]
        else:
            found.append(f"collection {name} has no full text")
    found += [f"full text {left} belongs to no collection" for left in sorted(tables - set(ids))]
    return found
