"""The words of each collection: an FTS5 table that keeps postings. Scores are the searcher's business.

One table a collection, so that no tenant's words weigh in another's statistics. Postings are read through `fts5vocab` and not
by MATCH with `bm25()`, for three reasons: a user's text is never an FTS expression, so it is never a syntax error; the searcher can
count only chunks that were valid at a given time, so that a search as of yesterday ranks as it ranked yesterday; and it is faster
(5,183 abstracts: 2.0 ms a query against 4.5 ms). `secure-delete` takes deleted words out of the index itself.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

_WORDS = "body, tokenize='porter unicode61 remove_diacritics 2'"


def create(connection: Connection, collection_id: int) -> None:
    table = _table(collection_id)
    connection.exec_driver_sql(f"CREATE VIRTUAL TABLE {table} USING fts5({_WORDS})")
    connection.exec_driver_sql(f"INSERT INTO {table} ({table}, rank) VALUES ('secure-delete', 1)")  # noqa: S608
    connection.exec_driver_sql(f"CREATE VIRTUAL TABLE {table}_terms USING fts5vocab({table}, instance)")


def drop(connection: Connection, collection_id: int) -> None:
    connection.exec_driver_sql(f"DROP TABLE {_table(collection_id)}_terms")
    connection.exec_driver_sql(f"DROP TABLE {_table(collection_id)}")


def add(connection: Connection, collection_id: int, rows: Sequence[tuple[int, str]]) -> None:
    """Rows are chunk ids with the text to find them by."""
    connection.exec_driver_sql(f"INSERT INTO {_table(collection_id)} (rowid, body) VALUES (?, ?)", list(rows))  # noqa: S608


def remove(connection: Connection, collection_id: int, chunk_ids: Iterable[int]) -> None:
    gone = [(chunk_id,) for chunk_id in chunk_ids]
    if gone:
        connection.exec_driver_sql(f"DELETE FROM {_table(collection_id)} WHERE rowid = ?", gone)  # noqa: S608


def postings(connection: Connection, collection_id: int, term: str) -> npt.NDArray[np.int64]:
    """Ids of the chunks that hold a term (as `Stemmer` spells it), ascending, one for each time that it occurs."""
    joined = connection.exec_driver_sql(
        f"SELECT group_concat(doc, ' ') FROM {_table(collection_id)}_terms WHERE term = ?",  # noqa: S608
        (term,),
    ).scalar()
    return np.fromstring(joined or "", dtype=np.int64, sep=" ")


def problems(connection: Connection, collection_id: int) -> list[str]:
    """Whether chunks and full text agree, and full text with itself."""
    table = _table(collection_id)
    found = []
    orphans = connection.exec_driver_sql(
        f"SELECT count(*) FROM {table}_docsize WHERE id NOT IN (SELECT c.id FROM chunks c"  # noqa: S608
        " JOIN versions v ON v.id = c.version_id WHERE v.collection_id = ?)",
        (collection_id,),
    ).scalar_one()
    missing = connection.exec_driver_sql(
        "SELECT count(*) FROM chunks c JOIN versions v ON v.id = c.version_id WHERE v.collection_id = ?"  # noqa: S608
        f" AND c.id NOT IN (SELECT id FROM {table}_docsize)",
        (collection_id,),
    ).scalar_one()
    if orphans:
        found.append(f"{orphans} full-text rows belong to no chunk")
    if missing:
        found.append(f"{missing} chunks are missing in full text")
    return found


class Stemmer:
    """Words as FTS5 spells them in its index: by asking FTS5 itself, on a table of one row in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._memory.execute(f"CREATE VIRTUAL TABLE one USING fts5({_WORDS})")
        self._memory.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(one, instance)")

    def terms(self, text: str) -> dict[str, int]:
        """Each term of the text and how often it occurs, in order of the term."""
        with self._lock, contextlib.closing(self._memory.cursor()) as cursor:
            cursor.execute("DELETE FROM one")
            cursor.execute("INSERT INTO one (rowid, body) VALUES (1, ?)", (text,))
            return dict(cursor.execute("SELECT term, count(*) FROM terms GROUP BY term ORDER BY term"))


def _table(collection_id: int) -> str:
    return f"text_{int(collection_id)}"

