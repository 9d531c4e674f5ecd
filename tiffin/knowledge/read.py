"""Shows what a project's collections hold: the collections, the documents of one, one document with its text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from tiffin.kernel.calls import Read
from tiffin.kernel.errors import Invalid, NotFound
from tiffin.kernel.parts import Event, Finish, Row
from tiffin.kernel.ports import Context
from tiffin.knowledge.library import Library
from tiffin.knowledge.search import known_collection, rfc3339
from tiffin.store import documents
from tiffin.store.database import Connection
from tiffin.store.documents import Collection, Version

LIST_MAX = 1_000  # documents listed at a time


async def read(call: Read, context: Context, library: Library) -> AsyncGenerator[Event, None]:
    """Yields a Row each and Finish. `what` is collections, documents (of `name`) or document (`item` of `name`).

    Documents come newest first; the `cursor` of the last one is the `before` of the next page.
    """
    for row in await asyncio.to_thread(_rows, call, context.grant.caller.project, library):
        yield Row(row)
    yield Finish()


def _rows(call: Read, project: str, library: Library) -> list[dict[str, object]]:
    with library.database.read() as connection:
        if call.what == "collections":
            return [_about(connection, one) for one in documents.every_collection(connection, project)]
        collection = known_collection(connection, project, call.name)
        if call.what == "documents":
            limit = max(1, min(call.limit, LIST_MAX))
            listed = documents.many(connection, collection, limit=limit, before=_cursor(call.before))
            return [_described(version) for version in listed]
        return [_whole(connection, collection, call)]


def _about(connection: Connection, collection: Collection) -> dict[str, object]:
    counted, chunks = documents.counts(connection, collection)
    return {
        "name": collection.name,
        "documents": counted,
        "chunks": chunks,
        "created": rfc3339(collection.created_ns),
        "updated": rfc3339(collection.updated_ns),
    }


def _described(version: Version) -> dict[str, object]:
    return {
        "id": version.document,
        "version": version.version,
        "title": version.title,
        "kind": version.kind,
        "digest": version.digest,
        "chunks": version.chunks,
        "pages": len(version.pages),
        "metadata": version.metadata,
        "subjects": list(version.subjects),
        "notes": list(version.notes),
        "valid_from": rfc3339(version.valid_from_ns),
        "valid_to": None if version.valid_to_ns is None else rfc3339(version.valid_to_ns),
        "cursor": str(version.id),
    }


def _whole(connection: Connection, collection: Collection, call: Read) -> dict[str, object]:
    version = documents.one(connection, collection, call.item, call.version)
    text = None if version is None else documents.text_of(connection, version.id)
    if version is None or text is None:
        numbered = "" if call.version is None else f" in version {call.version}"
        raise NotFound(f"The collection {call.name} holds no document {call.item}{numbered}.", field="item")
    pages = [{"number": n, "start": start, "end": end, "label": label} for n, start, end, label in version.pages]
    return {**_described(version), "collection": call.name, "text": text, "pages": pages}


def _cursor(before: str | None) -> int | None:
    if before is None:
        return None
    if not before.isascii() or not before.isdigit() or len(before) > 18:  # 18 digits fit a 64-bit integer
        raise Invalid("This cursor is none of ours.", field="before")
    return int(before)
