"""Places and vectors are those that were stored, whatever is asked for and in whatever order."""

from __future__ import annotations

from pathlib import Path

from tiffin.store import documents, vectors
from tiffin.store.database import Database
from tiffin.store.documents import Chunk, NewVersion


def test_entries_places_and_exact_vectors_agree(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "tiffin.db")
    texts = {"a": "日本語の😀文章 and words", "b": "x\0y and more words"}
    for number, (document, text) in enumerate(texts.items()):
        chunks = [Chunk(i, 2, i, len(text) - i, "H", f"indexed {i}", bytes([number, i, 0, 0])) for i in range(3)]
        new = NewVersion(document, "T", "text", "d", "p", "m", text, [], {}, (), (), chunks)
        with database.write() as connection:
            documents.put(connection, "p", "c", new, 10 + number)
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        (batch,) = vectors.entries(connection, collection, 0)
        assert [entry.vector for entry in batch] == [bytes([n, i, 0, 0]) for n in range(2) for i in range(3)]
        assert [entry.size for entry in batch] == [9] * 6
        assert len(next(vectors.entries(connection, collection, 1))) == 3
        assert list(vectors.entries(connection, collection, 2)) == []
        assert vectors.size(connection, collection) == 6
        asked = [entry.chunk for entry in reversed(batch)]
        places = vectors.places(connection, asked)
        assert vectors.exact(connection, asked, "m") == {entry.chunk: entry.vector for entry in batch}
        assert vectors.exact(connection, asked, "other") == {}
        assert vectors.places(connection, []) == {}
    for chunk in asked:
        place = places[chunk]
        assert place.text == texts[place.document][place.start : place.end]
        assert (place.title, place.page, place.version) == ("T", 2, 1)
    database.close()
