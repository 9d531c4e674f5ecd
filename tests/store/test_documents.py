"""Documents and versions: superseded in one transaction, deleted without a trace, found by their metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiffin.store import documents, fulltext
from tiffin.store.check import check
from tiffin.store.database import Database
from tiffin.store.documents import Chunk, NewVersion, Removed, Scalar

WORDS = "Zirconium patients received SECRETWORD tablets. Über Naïve ducks walked home. " * 3


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "tiffin.db")
    yield opened
    assert check(opened) == []
    opened.close()


def version(
    document: str = "doc",
    text: str = WORDS,
    *,
    metadata: dict[str, Scalar] | None = None,
    subjects: tuple[str, ...] = (),
) -> NewVersion:
    spans = [(start, min(start + 40, len(text))) for start in range(0, len(text), 40)]
    return NewVersion(
        document=document,
        title="A title",
        kind="text",
        digest=hashlib.sha256(text.encode()).hexdigest(),
        pipeline="p1",
        model="m",
        text=text,
        pages=[(1, 0, len(text), None)],
        metadata=metadata or {},
        subjects=subjects,
        notes=("a note",),
        chunks=[
            Chunk(i, 1, start, end, "", text[start:end], bytes([1, 2, 3, 4]) * 8)
            for i, (start, end) in enumerate(spans)
        ],
    )


def put(
    database: Database, new: NewVersion, now_ns: int = 1, *, name: str = "c", project: str = "p"
) -> tuple[int, bool]:
    with database.write() as connection:
        stored, written = documents.put(connection, project, name, new, now_ns)
    return stored.version, written


def test_the_first_document_creates_its_collection(database: Database) -> None:
    assert put(database, version(subjects=("anna", "ben"), metadata={"a": 1})) == (1, True)
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        stored = documents.one(connection, collection, "doc")
        assert stored is not None
        assert documents.text_of(connection, stored.id) == WORDS
        assert documents.counts(connection, collection) == (1, stored.chunks)
    assert (stored.subjects, stored.metadata, stored.notes) == (("anna", "ben"), {"a": 1}, ("a note",))
    assert stored.pages == ((1, 0, len(WORDS), None),)


def test_an_unchanged_document_is_left_alone(database: Database) -> None:
    put(database, version())
    assert put(database, version(), 2) == (1, False)
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        assert collection.generation == 1


@pytest.mark.parametrize(
    "changed", [version(text="Another text."), version(metadata={"a": True}), version(subjects=("anna",))]
)
def test_a_changed_document_supersedes_the_old_version(database: Database, changed: NewVersion) -> None:
    put(database, version(metadata={"a": 1}), 10)
    assert put(database, changed, 20) == (2, True)
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        old, new = (documents.one(connection, collection, "doc", number) for number in (1, 2))
        assert old is not None and new is not None
        assert documents.one(connection, collection, "doc") == new
        assert [v.document for v in documents.many(connection, collection, limit=9)] == ["doc"]
    assert (old.valid_from_ns, old.valid_to_ns, new.valid_from_ns, new.valid_to_ns) == (10, 20, 20, None)


def test_a_clock_that_goes_back_does_not_reorder_changes(database: Database) -> None:
    put(database, version(), 1_000)
    put(database, version("other"), 500)
    put(database, version(text="Another text."), 400)
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        assert collection.updated_ns == 1_002  # the first at 1000, and every change a nanosecond later
        newest = documents.many(connection, collection, limit=9)
    assert [v.valid_from_ns for v in newest] == [1_002, 1_001]


def test_listing_pages_through_all_documents(database: Database) -> None:
    for number in range(7):
        put(database, version(f"doc-{number}", f"Text {number}"))
    seen: list[str] = []
    before = None
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        while page := documents.many(connection, collection, limit=3, before=before):
            seen += [v.document for v in page]
            before = page[-1].id
    assert seen == [f"doc-{number}" for number in reversed(range(7))]


def test_removing_a_document_leaves_no_byte_of_any_version(database: Database) -> None:
    put(database, version())
    put(database, version(text=WORDS + " More."), 2)
    put(database, version("other", "Something else."), 3)
    with database.write() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        removed = documents.remove(connection, collection, "doc", 4)
    assert (removed.documents, removed.versions) == (1, 2)
    assert database.scrub()
    assert not leftovers(database, b"SECRETWORD", b"secretword", b"zirconium", b"Zirconium")
    with database.read() as connection:
        assert fulltext.postings(connection, collection.id, "someth").tolist() != []


def test_removing_a_collection_removes_its_full_text_and_spares_others(database: Database) -> None:
    put(database, version())
    put(database, version("other", "Neighbour."), name="d")
    put(database, version("other", "Stranger."), project="q")
    with database.write() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        assert documents.remove(connection, collection, None, 4).documents == 1
    assert database.scrub()
    assert not leftovers(database, b"SECRETWORD", b"secretword")
    with database.read() as connection:
        assert documents.find(connection, "p", "c") is None
        assert [c.name for c in documents.every_collection(connection, "p")] == ["d"]
        assert documents.find(connection, "q", "c") is not None


def test_removing_what_is_not_there_changes_nothing(database: Database) -> None:
    put(database, version())
    with database.write() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        assert documents.remove(connection, collection, "nobody", 4) == Removed(0, 0, 0)
        assert documents.find(connection, "p", "c") == collection


@pytest.mark.parametrize(
    ("equals", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"site": ("Kyoto",)}, ["a", "b"]),
        ({"site": ("Kyoto", "Oslo"), "arm": (2,)}, ["b", "c"]),
        ({"arm": (1.0,)}, ["a"]),
        ({"arm": (True,)}, []),
        ({"blind": (True,)}, ["a"]),
        ({"blind": (1,)}, []),
        ({"arm": ("1",)}, []),
        ({"'; DROP TABLE versions; --": ("x",)}, []),
        ({'$."site"': ("Kyoto",)}, []),
    ],
)
def test_metadata_filters_by_equality(
    database: Database, equals: dict[str, tuple[Scalar, ...]], found: list[str]
) -> None:
    rows: dict[str, dict[str, Scalar]] = {
        "a": {"site": "Kyoto", "arm": 1, "blind": True},
        "b": {"site": "Kyoto", "arm": 2.0, "blind": "true"},
        "c": {"site": "Oslo", "arm": 2, 'a "quoted" key': "x"},
    }
    for name, about in rows.items():
        put(database, version(name, f"Text of {name}.", metadata=about))
    with database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        ids = {v.id: v.document for v in documents.many(connection, collection, limit=9)}
        assert sorted(ids[i] for i in documents.matching(connection, collection, equals)) == found


def leftovers(database: Database, *secrets: bytes) -> list[str]:
    content = {file.name: file.read_bytes() for file in database.path.parent.iterdir()}
    return [name for name, data in content.items() if any(secret in data for secret in secrets)]
