"""The exact index: the same ranks as brute force, in step with the database, and bounded in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tiffin.knowledge.index import ExactIndex, Rows
from tiffin.store import documents, vectors
from tiffin.store.database import Database
from tiffin.store.documents import Chunk, Collection, NewVersion

DIMENSIONS = 384


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "tiffin.db")
    yield opened
    opened.close()


def unit(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors in clusters, as embeddings of real texts are."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((20, DIMENSIONS))
    rows = centres[random.integers(0, 20, count)] + random.standard_normal((count, DIMENSIONS))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("<f4")


def put(database: Database, document: str, rows: np.ndarray, now_ns: int, *, name: str = "c", model: str = "m") -> None:
    text = f"{document} {now_ns} " + "word " * len(rows)
    chunks = [Chunk(i, 1, i, i + 1, "", "word", row.tobytes()) for i, row in enumerate(rows)]
    new = NewVersion(document, "", "text", f"{now_ns}", "p", model, text, [], {}, (), (), chunks)
    with database.write() as connection:
        documents.put(connection, "p", name, new, now_ns)


def read(database: Database, index: ExactIndex, *, name: str = "c", model: str = "m") -> tuple[Rows, Collection]:
    with database.read() as connection:
        collection = documents.find(connection, "p", name)
        assert collection is not None
        return index.rows(connection, collection, model), collection


def test_the_best_of_the_scan_hold_the_exact_top_ten(database: Database) -> None:
    matrix = unit(3_000)
    put(database, "a", matrix, 1)
    rows, _ = read(database, ExactIndex(DIMENSIONS))
    for query in unit(50, seed=1):
        exact = set(np.argsort(-(matrix @ query))[:10].tolist())
        rough = np.argsort(-rows.similarities(query))[:150].tolist()
        assert exact <= set(rough)


def test_a_scan_is_near_the_exact_product(database: Database) -> None:
    matrix = unit(100) * np.geomspace(0.01, 100, 100, dtype="<f4")[:, None]  # scales of all sizes
    put(database, "a", matrix.astype("<f4"), 1)
    rows, _ = read(database, ExactIndex(DIMENSIONS))
    query = unit(1, seed=2)[0]
    exact = matrix @ query
    assert np.abs(rows.similarities(query) - exact).max() <= 0.01 * np.linalg.norm(matrix, axis=1).max()


def test_an_index_follows_what_is_added_superseded_and_removed(database: Database) -> None:
    index = ExactIndex(DIMENSIONS)
    put(database, "a", unit(5), 10)
    first, _ = read(database, index)
    put(database, "b", unit(3, seed=3), 20)
    put(database, "a", unit(4, seed=4), 30)
    second, _ = read(database, index)
    assert len(first) == 5 and first.valid(None).all()
    assert len(second) == 12
    assert second.valid(None).sum() == 7
    assert [int(second.valid(at).sum()) for at in (9, 10, 19, 20, 29, 30, 10**18)] == [0, 5, 5, 8, 8, 7, 7]
    assert same(second, read(database, ExactIndex(DIMENSIONS))[0])
    with database.write() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        documents.remove(connection, collection, "a", 40)
    third, _ = read(database, index)
    assert len(third) == 3
    assert same(third, read(database, ExactIndex(DIMENSIONS))[0])


def test_an_older_snapshot_gets_the_rows_of_its_own_time(database: Database) -> None:
    index = ExactIndex(DIMENSIONS)
    put(database, "a", unit(5), 10)
    with database.read() as connection:
        old = documents.find(connection, "p", "c")
        assert old is not None
        put(database, "b", unit(3, seed=3), 20)
        assert len(read(database, index)[0]) == 8
        assert len(index.rows(connection, old, "m")) == 5
    assert len(read(database, index)[0]) == 8


def test_vectors_of_another_model_are_not_compared(database: Database) -> None:
    put(database, "a", unit(2), 10, model="old")
    put(database, "b", unit(2), 20)
    rows, _ = read(database, ExactIndex(DIMENSIONS))
    similar = rows.similarities(unit(2)[0])
    assert similar[:2].tolist() == [0, 0]
    assert similar[2] == pytest.approx(1, abs=0.02)
    with database.read() as connection:
        assert list(vectors.exact(connection, rows.chunks.tolist(), "m")) == rows.chunks[2:].tolist()


def test_the_least_used_collections_leave_memory_first(database: Database) -> None:
    index = ExactIndex(DIMENSIONS, bytes_max=3 * 100 * 430)
    for name in "abcde":
        put(database, "doc", unit(100), 1, name=name)
    kept = {name: read(database, index, name=name)[0] for name in "abcd"}
    assert read(database, index, name="d")[0] is kept["d"]
    assert read(database, index, name="a")[0] is not kept["a"]
    assert kept["a"].bytes / 100 == 428


def test_an_empty_collection_is_scanned_without_harm(database: Database) -> None:
    put(database, "a", unit(1), 1)
    index = ExactIndex(DIMENSIONS)
    with database.write() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        documents.remove(connection, collection, "a", 2)
    rows, _ = read(database, index)
    assert len(rows) == 0
    assert rows.similarities(unit(1)[0]).tolist() == []
    assert rows.valid(None).tolist() == []


def same(one: Rows, other: Rows) -> bool:
    names = ("chunks", "versions", "valid_from", "valid_to", "sizes", "codes", "scales")
    return one.generation == other.generation and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in names
    )
