"""Removing: gone from tables, full text, memory and files, with plain errors for what was never there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tiffin.kernel.calls import Ingest, NewDocument, Remove, Retrieve
from tiffin.kernel.errors import NotFound
from tiffin.kernel.parts import Finish, Row
from tiffin.knowledge.ingest import ingest
from tiffin.knowledge.remove import remove
from tiffin.knowledge.search import retrieve

from .conftest import Shelf

New = Callable[..., NewDocument]
SECRET = "Anna Example received zanamol in Kyoto. "


async def fill(shelf: Shelf, new: New) -> None:
    await shelf.run(ingest, Ingest("c", (new("anna", SECRET * 30, title="Annatitle", metadata={"who": "Annameta"}),)))
    await shelf.run(
        ingest, Ingest("c", (new("anna", SECRET * 31, subjects=("Annasubject",)), new("b", "Another text.")))
    )
    await shelf.run(retrieve, Retrieve("c", "zanamol"))


def left(shelf: Shelf) -> list[tuple[str, bytes]]:
    folder = shelf.library.database.path.parent
    secrets = (b"Anna", b"zanamol", b"zanamo", b"Kyoto", b"kyoto")
    return [(file.name, secret) for file in folder.iterdir() for secret in secrets if secret in file.read_bytes()]


async def test_a_removed_document_leaves_no_byte(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    assert left(shelf)
    row, finish = await shelf.run(remove, Remove("c", "anna"))
    assert isinstance(row, Row) and isinstance(finish, Finish)
    removed = row.value["removed"]
    assert isinstance(removed, dict)
    assert (removed["documents"], removed["versions"], row.value["scrubbed"]) == (1, 2, True)
    assert left(shelf) == []


async def test_a_removed_collection_leaves_no_byte_and_its_name_is_free(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    await shelf.run(remove, Remove("c"))
    assert left(shelf) == []
    with pytest.raises(NotFound):
        await shelf.run(retrieve, Retrieve("c", "zanamol"))
    await fill(shelf, new)
    assert await shelf.run(retrieve, Retrieve("c", "zanamol"))


async def test_what_is_not_there_cannot_be_removed(shelf: Shelf, new: New) -> None:
    with pytest.raises(NotFound):
        await shelf.run(remove, Remove("c"))
    await fill(shelf, new)
    with pytest.raises(NotFound):
        await shelf.run(remove, Remove("c", "nobody"))
    with pytest.raises(NotFound):
        await shelf.run(remove, Remove("c", "anna"), "another project")
