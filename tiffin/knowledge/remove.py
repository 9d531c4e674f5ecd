"""Deletes a document or a collection: from every table, from full text, from memory, and from the disk's pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from tiffin.kernel.calls import Remove
from tiffin.kernel.errors import NotFound
from tiffin.kernel.parts import Event, Finish, Row
from tiffin.kernel.ports import Context
from tiffin.knowledge.library import Library
from tiffin.knowledge.search import known_collection
from tiffin.store import documents
from tiffin.store.documents import Removed


async def remove(call: Remove, context: Context, library: Library) -> AsyncGenerator[Event, None]:
    """Yields one Row that counts what went, and Finish. All of it is gone, or, if it raises, perhaps none.

    `scrubbed` is false if a long reader kept deleted bytes alive in the database's log; the next deletion or a restart
    clears them.
    """
    removed, scrubbed = await asyncio.to_thread(_remove, call, context.grant.caller.project, library)
    counted = {"documents": removed.documents, "versions": removed.versions, "chunks": removed.chunks}
    yield Row({"collection": call.collection, "document": call.document, "removed": counted, "scrubbed": scrubbed})
    yield Finish()


def _remove(call: Remove, project: str, library: Library) -> tuple[Removed, bool]:
    with library.database.write() as connection:
        collection = known_collection(connection, project, call.collection)
        removed = documents.remove(connection, collection, call.document, library.clock())
        if call.document is not None and not removed.versions:
            raise NotFound(
                f"The collection {call.collection} holds no document {call.document}.",
                hint="`tiffin search` shows the ids of documents.",
                field="document",
            )
    library.index.forget(collection.id)
    return removed, library.database.scrub()
