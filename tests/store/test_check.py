"""The check finds every kind of damage that it names, and nothing in a sound database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tiffin.store import documents
from tiffin.store.check import check
from tiffin.store.database import Database
from tiffin.store.documents import Chunk, NewVersion


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database = Database.open(tmp_path / "tiffin.db")
    text = "Some words stand here. " * 4
    chunks = [Chunk(i, 1, i * 20, i * 20 + 20, "", text[i * 20 : i * 20 + 20], bytes(16)) for i in range(4)]
    for document in ("a", "b"):
        new = NewVersion(document, "", "text", "d", "p", "m", text, [], {}, (), (), chunks)
        with database.write() as connection:
            documents.put(connection, "p", "c", new, 1)
    assert check(database) == []
    database.close()
    return tmp_path / "tiffin.db"


DAMAGE = {
    "DELETE FROM vectors WHERE chunk_id = 3": "1 chunks have no vector",
    "INSERT INTO vectors VALUES (99, 'm', x'00')": "1 vectors belong to no chunk",
    "DELETE FROM chunks WHERE id = 2": "1 vectors belong to no chunk",
    "DELETE FROM versions WHERE document = 'b'": "4 chunks belong to no version",
    "DELETE FROM chunks WHERE version_id = 1": "1 versions have no chunk",
    "DELETE FROM collections": "2 versions belong to no collection",
    'UPDATE chunks SET "end" = 5000 WHERE id = 1': "1 chunks reach beyond their text",
    "UPDATE versions SET valid_to_ns = 0 WHERE document = 'a'": "1 versions end before they begin",
    "UPDATE collections SET generation = 1": "1 versions are ahead of their collection",
    "DELETE FROM text_1 WHERE rowid = 4": "collection p/c: 1 chunks are missing in full text",
    "INSERT INTO text_1 (rowid, body) VALUES (77, 'x')": "collection p/c: 1 full-text rows belong to no chunk",
    "UPDATE text_1 SET body = 'short' WHERE rowid = 1": (
        "collection p/c: 1 chunks are indexed at another length than they say"
    ),
    "DROP TABLE text_1_terms": "collection p/c has no full text",
}


@pytest.mark.parametrize(("damage", "problem"), DAMAGE.items())
@pytest.mark.parametrize("readonly", [False, True])
def test_damage_is_found_and_named(path: Path, damage: str, problem: str, readonly: bool) -> None:
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()
    database = Database.open(path, readonly=readonly)
    assert problem in check(database)
    database.close()
