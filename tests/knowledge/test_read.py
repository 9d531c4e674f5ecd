"""Reading: what is there, newest first, page by page, with the text of any version."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tiffin.kernel.calls import Ingest, NewDocument, Read
from tiffin.kernel.errors import Invalid, NotFound
from tiffin.kernel.parts import Finish, Row
from tiffin.knowledge.ingest import ingest
from tiffin.knowledge.read import read

from .conftest import Shelf

New = Callable[..., NewDocument]


async def rows(shelf: Shelf, call: Read, project: str = "p") -> list[dict[str, object]]:
    events = await shelf.run(read, call, project)
    assert isinstance(events[-1], Finish)
    return [event.value for event in events if isinstance(event, Row)]


async def test_collections_count_their_current_documents(shelf: Shelf, new: New) -> None:
    assert await rows(shelf, Read("collections")) == []
    await shelf.run(ingest, Ingest("b", (new("one", "Text one."), new("two", "Text two."))))
    await shelf.run(ingest, Ingest("b", (new("one", "Changed."),)))
    await shelf.run(ingest, Ingest("a", (new("one", "Text one."),)))
    listed = await rows(shelf, Read("collections"))
    assert [(row["name"], row["documents"], row["chunks"]) for row in listed] == [("a", 1, 1), ("b", 2, 2)]
    assert str(listed[1]["updated"]) > str(listed[1]["created"])
    assert await rows(shelf, Read("collections"), "q") == []


async def test_documents_are_listed_in_pages(shelf: Shelf, new: New) -> None:
    await shelf.run(ingest, Ingest("c", tuple(new(f"doc{n}", f"Text {n}.", title=f"Title {n}") for n in range(5))))
    first = await rows(shelf, Read("documents", "c", limit=3))
    second = await rows(shelf, Read("documents", "c", limit=3, before=str(first[-1]["cursor"])))
    assert [row["id"] for row in first + second] == [f"doc{n}" for n in reversed(range(5))]
    with pytest.raises(Invalid):
        await rows(shelf, Read("documents", "c", before="'; --"))
    with pytest.raises(NotFound):
        await rows(shelf, Read("documents", "nothing"))


async def test_a_document_is_shown_whole_in_any_version(shelf: Shelf, new: New) -> None:
    await shelf.run(ingest, Ingest("c", (new("doc", "First text.", title="T", metadata={"a": 1}),)))
    await shelf.run(ingest, Ingest("c", (new("doc", "Second text.", title="T", subjects=("s",)),)))
    (now,) = await rows(shelf, Read("document", "c", "doc"))
    (then,) = await rows(shelf, Read("document", "c", "doc", version=1))
    assert (now["text"], now["version"], now["valid_to"], now["subjects"]) == ("Second text.", 2, None, ["s"])
    assert (then["text"], then["metadata"], then["valid_to"]) == ("First text.", {"a": 1}, now["valid_from"])
    assert now["pages"] == [{"number": 1, "start": 0, "end": 12, "label": None}]
    for item, version in (("nobody", None), ("doc", 3)):
        with pytest.raises(NotFound):
            await rows(shelf, Read("document", "c", item, version=version))
