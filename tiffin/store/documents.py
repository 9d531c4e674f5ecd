"""Documents with all their versions, cut into chunks with offsets and vectors. A version is superseded, never changed.

A collection counts its changes in `generation`; `opened` and `closed` say at which change a version came and was
superseded, `purged` at which one rows were last deleted. So a derived index asks only for what is new, in any
process.

Every function takes the caller's transaction: what it does is durable when that ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from tiffin.store import fulltext
from tiffin.store.database import metadata

Scalar = str | int | float | bool

collections = sa.Table(
    "collections",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("updated_ns", sa.BigInteger, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("purged", sa.Integer, nullable=False),
    sa.UniqueConstraint("project", "name", name="one_collection_a_name"),
    sqlite_autoincrement=True,
)
versions = sa.Table(
    "versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("collection_id", sa.Integer, sa.ForeignKey("collections.id"), nullable=False),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("pipeline", sa.Text, nullable=False),
    sa.Column("pages", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    sa.Column("valid_from_ns", sa.BigInteger, nullable=False),
    sa.Column("valid_to_ns", sa.BigInteger, nullable=True),
    sa.Column("opened", sa.Integer, nullable=False),
    sa.Column("closed", sa.Integer, nullable=True),
    sa.Column("text", sa.Text, nullable=False),  # last, so that reading the other columns does not walk through it
    sa.UniqueConstraint("collection_id", "document", "version", name="one_row_a_version"),
    sa.Index(
        "one_current_version", "collection_id", "document", unique=True, sqlite_where=sa.text("valid_to_ns IS NULL")
    ),
    sa.Index("versions_by_opening", "collection_id", "opened"),
    sa.Index("versions_by_closing", "collection_id", "closed"),
    sqlite_autoincrement=True,
)
version_subjects = sa.Table(
    "version_subjects",
    metadata,
    sa.Column("version_id", sa.Integer, sa.ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Index("versions_by_subject", "subject"),
    sqlite_with_rowid=False,
)
chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),  # grows with every change and is never used again
    sa.Column("version_id", sa.Integer, sa.ForeignKey("versions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("page", sa.Integer, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("end", sa.Integer, nullable=False),
    sa.Column("heading", sa.Text, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),  # characters in full text, for BM25
    sa.UniqueConstraint("version_id", "ordinal", name="one_chunk_a_place"),
    sqlite_autoincrement=True,
)
vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("chunk_id", sa.Integer, sa.ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),  # little-endian float32
)


@dataclass(frozen=True)
class Collection:
    id: int
    project: str
    name: str
    created_ns: int
    updated_ns: int
    generation: int
    purged: int


@dataclass(frozen=True)
class Chunk:
    """`text[start:end]` of its version. `indexed` is what full text finds it by."""

    ordinal: int
    page: int
    start: int
    end: int
    heading: str
    indexed: str = field(repr=False)
    vector: bytes = field(repr=False)


@dataclass(frozen=True)
class NewVersion:
    document: str
    title: str
    kind: str
    digest: str
    pipeline: str
    model: str  # of the vectors
    text: str = field(repr=False)
    pages: Sequence[tuple[int, int, int, str | None]]  # number, start, end, label
    metadata: dict[str, Scalar]
    subjects: tuple[str, ...]
    notes: tuple[str, ...]
    chunks: Sequence[Chunk] = field(repr=False)


@dataclass(frozen=True)
class Version:
    """One version of a document, without its text."""

    id: int
    document: str
    version: int
    title: str
    kind: str
    digest: str
    pipeline: str
    pages: tuple[tuple[int, int, int, str | None], ...]
    metadata: dict[str, Scalar]
    notes: tuple[str, ...]
    subjects: tuple[str, ...]
    valid_from_ns: int
    valid_to_ns: int | None
    chunks: int

    def same_as(self, new: NewVersion) -> bool:
        """Whether storing `new` would change nothing that anybody can see."""
        return self.made_from(new.digest, new.pipeline, new.title, new.metadata, new.subjects)

    def made_from(
        self, digest: str, pipeline: str, title: str, metadata: dict[str, Scalar], subjects: tuple[str, ...]
    ) -> bool:
        """As `same_as`, before the document is read. An empty title leaves it to the document."""
        mine = (self.digest, self.pipeline, _json(self.metadata), frozenset(self.subjects))
        theirs = (digest, pipeline, _json(metadata), frozenset(subjects))
        return mine == theirs and title in ("", self.title)


@dataclass(frozen=True)
class Removed:
    documents: int
    versions: int
    chunks: int


def find(connection: Connection, project: str, name: str) -> Collection | None:
    where = (collections.c.project == project) & (collections.c.name == name)
    row = connection.execute(sa.select(collections).where(where)).first()
    return None if row is None else Collection(*row)


def every_collection(connection: Connection, project: str) -> list[Collection]:
    rows = connection.execute(
        sa.select(collections).where(collections.c.project == project).order_by(collections.c.name)
    )
    return [Collection(*row) for row in rows]


def counts(connection: Connection, collection: Collection) -> tuple[int, int]:
    """Current documents and their chunks."""
    row = connection.exec_driver_sql(
        "SELECT count(DISTINCT v.id), count(c.id) FROM versions v LEFT JOIN chunks c ON c.version_id = v.id"
        " WHERE v.collection_id = ? AND v.valid_to_ns IS NULL",
        (collection.id,),
    ).one()
    return row[0], row[1]


def put(connection: Connection, project: str, name: str, new: NewVersion, now_ns: int) -> tuple[Version, bool]:
    """Store a version, superseding the current one; the first document creates the collection.

    Answers the version and whether it was written: if the current one is the same already, it stays. `now_ns` becomes
    `valid_from_ns`, or the nanosecond after the collection's last change if clocks disagree: every change of a
    collection has a time of its own, so its state as of `updated_ns` is that of its generation.
    """
    collection = find(connection, project, name) or _create(connection, project, name, now_ns)
    current = one(connection, collection, new.document)
    if current is not None and current.same_as(new):
        return current, False
    now_ns = max(now_ns, collection.updated_ns + 1)
    generation = _changed(connection, collection, now_ns)
    number = 1 if current is None else current.version + 1
    if current is not None:
        ended = {"valid_to_ns": now_ns, "closed": generation}
        connection.execute(versions.update().where(versions.c.id == current.id).values(ended))
    version_id = _insert_version(connection, collection, new, (number, now_ns, generation))
    _insert_chunks(connection, collection, version_id, new)
    stored = one(connection, collection, new.document)
    assert stored is not None  # noqa: S101  it was inserted a moment ago, in this transaction
    return stored, True


def one(connection: Connection, collection: Collection, document: str, version: int | None = None) -> Version | None:
    """The current version of a document, or the one with that number."""
    chosen = versions.c.valid_to_ns.is_(None) if version is None else versions.c.version == version
    found = _select(connection, (versions.c.document == document) & chosen, collection)
    return found[0] if found else None


def many(connection: Connection, collection: Collection, *, limit: int, before: int | None = None) -> list[Version]:
    """Current versions, newest first; `before` is the id of the last one of the page before."""
    where: sa.ColumnElement[bool] = versions.c.valid_to_ns.is_(None)
    if before is not None:
        where &= versions.c.id < before
    return _select(connection, where, collection, limit=limit)


def text_of(connection: Connection, version_id: int) -> str | None:
    return connection.execute(sa.select(versions.c.text).where(versions.c.id == version_id)).scalar()


def remove(connection: Connection, collection: Collection, document: str | None, now_ns: int) -> Removed:
    """Delete a document with all its versions from every table, or, without one, the whole collection.

    The caller scrubs the database after the transaction; until then deleted bytes may stay in the files.
    """
    where: sa.ColumnElement[bool] = versions.c.collection_id == collection.id
    if document is not None:
        where &= versions.c.document == document
    ids = connection.execute(sa.select(versions.c.id, versions.c.document).where(where)).all()
    gone = sa.select(chunks.c.id).join(versions).where(where)
    chunk_ids = list(connection.execute(gone).scalars())
    removed = Removed(len({row.document for row in ids}), len(ids), len(chunk_ids))
    if document is None:
        fulltext.drop(connection, collection.id)
    else:
        fulltext.remove(connection, collection.id, chunk_ids)
    connection.execute(versions.delete().where(where))
    if document is None:
        connection.execute(collections.delete().where(collections.c.id == collection.id))
    elif ids:
        generation = _changed(connection, collection, max(now_ns, collection.updated_ns + 1))
        connection.execute(collections.update().where(collections.c.id == collection.id).values(purged=generation))
    return removed


def matching(connection: Connection, collection: Collection, equals: dict[str, tuple[Scalar, ...]]) -> list[int]:
    """Ids of the versions, past ones too, whose metadata equals one of the values under every key.

    True is not 1 and "1" is not 1, but 1 is 1.0.
    """
    found: set[int] | None = None
    for key, wanted in equals.items():
        rows = connection.exec_driver_sql(
            "SELECT v.id, j.type, j.value FROM versions v, json_each(v.metadata) j"
            " WHERE v.collection_id = ? AND j.key = ?",
            (collection.id, key),
        )
        fitting = {row[0] for row in rows if any(_equal(row[1], row[2], value) for value in wanted)}
        found = fitting if found is None else found & fitting
    if found is None:
        where = versions.c.collection_id == collection.id
        return list(connection.execute(sa.select(versions.c.id).where(where)).scalars())
    return sorted(found)


def _equal(json_type: str, stored: Any, wanted: Scalar) -> bool:
    match wanted:
        case bool():
            return json_type == ("true" if wanted else "false")
        case str():
            return json_type == "text" and bool(stored == wanted)
        case int() | float():
            return json_type in ("integer", "real") and bool(stored == wanted)


def _create(connection: Connection, project: str, name: str, now_ns: int) -> Collection:
    """`updated_ns` is the nanosecond before, so that its first document is there from `now_ns` on."""
    row = {"project": project, "name": name, "created_ns": now_ns, "updated_ns": now_ns - 1}
    created = connection.execute(collections.insert().values(**row, generation=0, purged=0)).inserted_primary_key
    assert created is not None  # noqa: S101  the driver always reports the key of a single insert
    fulltext.create(connection, created[0])
    return Collection(created[0], project, name, now_ns, now_ns - 1, 0, 0)


def _changed(connection: Connection, collection: Collection, now_ns: int) -> int:
    step = {"generation": collections.c.generation + 1, "updated_ns": now_ns}
    change = collections.update().where(collections.c.id == collection.id).values(step)
    return int(connection.execute(change.returning(collections.c.generation)).scalar_one())


def _insert_version(
    connection: Connection, collection: Collection, new: NewVersion, place: tuple[int, int, int]
) -> int:
    number, valid_from_ns, generation = place
    row = {
        "collection_id": collection.id,
        "document": new.document,
        "version": number,
        "title": new.title,
        "kind": new.kind,
        "digest": new.digest,
        "pipeline": new.pipeline,
        "pages": _json([list(page) for page in new.pages]),
        "metadata": _json(new.metadata),
        "notes": _json(list(new.notes)),
        "valid_from_ns": valid_from_ns,
        "opened": generation,
        "text": new.text,
    }
    key = connection.execute(versions.insert().values(row)).inserted_primary_key
    assert key is not None  # noqa: S101  as in _create
    for subject in dict.fromkeys(new.subjects):
        connection.execute(version_subjects.insert().values(version_id=key[0], subject=subject))
    return int(key[0])


def _insert_chunks(connection: Connection, collection: Collection, version_id: int, new: NewVersion) -> None:
    if not new.chunks:
        return
    connection.exec_driver_sql(
        'INSERT INTO chunks (version_id, ordinal, page, start, "end", heading, size) VALUES (?, ?, ?, ?, ?, ?, ?)',
        [(version_id, c.ordinal, c.page, c.start, c.end, c.heading, len(c.indexed)) for c in new.chunks],
    )
    placed = connection.execute(sa.select(chunks.c.ordinal, chunks.c.id).where(chunks.c.version_id == version_id))
    ids: dict[int, int] = {row.ordinal: row.id for row in placed}
    connection.exec_driver_sql(
        "INSERT INTO vectors (chunk_id, model, vector) VALUES (?, ?, ?)",
        [(ids[c.ordinal], new.model, c.vector) for c in new.chunks],
    )
    fulltext.add(connection, collection.id, [(ids[c.ordinal], c.indexed) for c in new.chunks])


def _select(
    connection: Connection, where: sa.ColumnElement[bool], collection: Collection, *, limit: int = 1
) -> list[Version]:
    counted = sa.select(sa.func.count()).where(chunks.c.version_id == versions.c.id).scalar_subquery()
    columns = [c for c in versions.c if c.name not in ("text", "collection_id", "opened", "closed")]
    chosen = sa.select(*columns, counted.label("chunks")).where(versions.c.collection_id == collection.id, where)
    rows = connection.execute(chosen.order_by(versions.c.id.desc()).limit(limit)).mappings().all()
    about = _subjects(connection, [row["id"] for row in rows])
    return [_version(dict(row), about.get(row["id"], ())) for row in rows]


def _subjects(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    listed = _json(list(ids))
    for version_id, subject in connection.exec_driver_sql(
        "SELECT version_id, subject FROM version_subjects WHERE version_id IN (SELECT value FROM json_each(?))",
        (listed,),
    ):
        found[version_id] = (*found.get(version_id, ()), subject)
    return found


def _version(row: dict[str, Any], subjects: tuple[str, ...]) -> Version:
    row["pages"] = tuple(tuple(page) for page in json.loads(row["pages"]))
    row["metadata"] = json.loads(row["metadata"])
    row["notes"] = tuple(json.loads(row["notes"]))
    return Version(**row, subjects=subjects)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
