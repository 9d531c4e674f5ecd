"""Ingest: whole documents or nothing, every one answered for, safe to repeat, and never undone by a kill."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tiffin.kernel import limits
from tiffin.kernel.calls import Embed, Ingest, NewDocument, Read, Retrieve
from tiffin.kernel.errors import Invalid, ProviderError, ProviderUnavailable
from tiffin.kernel.parts import DocumentResult, Event, Finish, Found, Progress, Row
from tiffin.knowledge.ingest import BATCH_TEXTS, BATCHES_QUEUED_MAX, ingest
from tiffin.knowledge.read import read
from tiffin.knowledge.search import retrieve
from tiffin.store import documents
from tiffin.store.check import check
from tiffin.store.database import Database

from .conftest import Shelf

New = Callable[..., NewDocument]
LONG = "The committee reviewed the data of every subject and found no new risk. "


def results(events: list[Event]) -> list[DocumentResult]:
    return [event for event in events if isinstance(event, DocumentResult)]


async def put(shelf: Shelf, *new: NewDocument, name: str = "c") -> list[DocumentResult]:
    events = await shelf.run(ingest, Ingest(name, new))
    assert isinstance(events[-1], Finish)
    return results(events)


async def rows(shelf: Shelf, what: str, **more: object) -> list[dict[str, object]]:
    events = await shelf.run(read, Read(what, **more))  # type: ignore[arg-type]
    return [event.value for event in events if isinstance(event, Row)]


async def test_documents_are_taken_in_and_reported_in_order(shelf: Shelf, new: New) -> None:
    made = [new(f"doc{number}", LONG * number) for number in range(1, 20)]
    done = await put(shelf, *made)
    assert [one.document for one in done] == [one.id for one in made]
    assert {one.status for one in done} == {"ingested"}
    assert [one.digest for one in done] == [one.digest for one in made]
    assert done[-1].chunks > done[0].chunks == 1


async def test_an_unchanged_document_asks_the_model_nothing(shelf: Shelf, new: New) -> None:
    one = new("doc", LONG, title="T", metadata={"a": 1}, subjects=("s",))
    assert [r.status for r in await put(shelf, one)] == ["ingested"]
    asked = len(shelf.ask.calls)
    (again,) = await put(shelf, one)
    assert (again.status, again.version, again.digest) == ("unchanged", 1, one.digest)
    assert len(shelf.ask.calls) == asked


@pytest.mark.parametrize("change", [{"metadata": {"a": 2}}, {"subjects": ("t",)}, {"title": "New"}, {"text": "Other."}])
async def test_any_change_makes_a_new_version(shelf: Shelf, new: New, change: dict[str, object]) -> None:
    first: dict[str, object] = {"text": LONG, "title": "T", "metadata": {"a": 1}, "subjects": ("s",)}
    await put(shelf, new("doc", **first))
    (changed,) = await put(shelf, new("doc", **{**first, **change}))
    assert (changed.status, changed.version) == ("ingested", 2)
    (whole,) = await rows(shelf, "document", name="c", item="doc", version=1)
    assert whole["text"] == LONG


async def test_another_embedding_model_makes_a_new_version(shelf: Shelf, new: New) -> None:
    await put(shelf, new("doc", LONG))
    tuned = replace(shelf, library=replace(shelf.library, embed_digest="another"))
    (changed,) = await put(tuned, new("doc", LONG))
    assert (changed.status, changed.version) == ("ingested", 2)


async def test_files_are_read_by_the_parser_and_refusals_are_results(shelf: Shelf, new: New, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text(LONG)
    bad.write_text("refuse me")
    given = [
        replace_path(new("folder/good.txt", LONG), good),
        replace_path(new("bad.txt", "refuse me"), bad),
        replace_path(new("gone.txt", LONG), tmp_path / "gone.txt"),
        replace_path(new("changed.txt", "Something else."), good),
        new("text", LONG),
    ]
    done = await put(shelf, *given)
    assert [(one.status, one.reason) for one in done] == [
        ("ingested", ""),
        ("refused", "encrypted"),
        ("refused", "corrupt"),
        ("refused", "corrupt"),
        ("ingested", ""),
    ]
    assert all(one.detail for one in done if one.status == "refused")
    assert (done[0].notes, done[1].version) == (("a note",), 0)
    (whole,) = await rows(shelf, "document", name="c", item="folder/good.txt")
    assert (whole["title"], whole["text"]) == ("good.txt", LONG)


def replace_path(new: NewDocument, path: Path) -> NewDocument:
    return NewDocument(new.id, new.digest, path=str(path))


async def test_a_refused_change_keeps_the_version_that_was_in(shelf: Shelf, new: New) -> None:
    await put(shelf, new("doc", LONG))
    (refused,) = await put(shelf, new("doc", " \n. . ."))
    assert (refused.status, refused.reason) == ("refused", "empty")
    assert [row["version"] for row in await rows(shelf, "documents", name="c")] == [1]


@pytest.mark.parametrize(
    "documents_of",
    [
        lambda new: (new("a", "x"), new("a", "y")),
        lambda new: (new("", "x"),),
        lambda new: (new("a\nb", "x"),),
        lambda new: (new("x" * 513, "x"),),
        lambda new: (NewDocument("a", "0" * 64, text="x"),),
        lambda new: (NewDocument("a", "0" * 64),),
        lambda new: (NewDocument("a", "0" * 64, text="x", path="/tmp/x"),),
        lambda new: (new("a", "x", metadata={"n": float("nan")}),),
        lambda new: (new("a", "x", metadata={"\ud800": 1}),),
        lambda new: (NewDocument("a", "0" * 64, text="\ud800"),),
        lambda new: (new("a", "x", subjects=("s" * 300,)),),
        lambda new: (),
        lambda new: tuple(new(f"d{n}", "x") for n in range(limits.DOCUMENTS_PER_CALL_MAX + 1)),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_done(
    shelf: Shelf, new: New, documents_of: Callable[[New], tuple[NewDocument, ...]]
) -> None:
    with pytest.raises(Invalid):
        await put(shelf, *documents_of(new))
    assert shelf.ask.calls == []
    assert await rows(shelf, "collections") == []


@pytest.mark.parametrize("name", ["", " ", "a/b", "../x", "x" * 129, "-x", "a\nb", "\0"])
async def test_a_bad_collection_name_is_refused(shelf: Shelf, new: New, name: str) -> None:
    with pytest.raises(Invalid):
        await put(shelf, new("doc", LONG), name=name)


async def test_odd_texts_are_stored_as_they_are(shelf: Shelf, new: New) -> None:
    texts = ["a\0b word\0", "\ufeffbom", "e\u0301 ﬁ 😀 日本語。", "\r\nline\r\n", "word " * 3_000, "\x85\u2028x"]
    done = await put(shelf, *(new(f"doc{number}", text) for number, text in enumerate(texts)))
    assert {one.status for one in done} == {"ingested"}
    for number, text in enumerate(texts):
        (whole,) = await rows(shelf, "document", name="c", item=f"doc{number}")
        assert whole["text"] == text
    events = await shelf.run(retrieve, Retrieve("c", "word"))
    for hit in (hit for event in events if isinstance(event, Found) for hit in event.hits):
        assert hit.text == texts[int(hit.document.removeprefix("doc"))][hit.start : hit.end]


async def test_large_documents_are_embedded_in_bounded_batches(shelf: Shelf, new: New) -> None:
    events = await shelf.run(ingest, Ingest("c", (new("big", LONG * 4_000), new("small", LONG))))
    sizes = [len(call.texts) for call in shelf.ask.calls]
    assert max(sizes) == BATCH_TEXTS
    assert len(sizes) > 2
    assert sum(sizes) == sum(one.chunks for one in results(events))
    steps = [event for event in events if isinstance(event, Progress) and event.stage == "chunks"]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].total == sum(sizes)


async def test_the_model_is_asked_ahead_but_not_without_bound(shelf: Shelf, new: New) -> None:
    open_now, most = 0, 0

    class Slow:
        async def __call__(self, call: Embed):  # type: ignore[no-untyped-def]
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(0.02)
            open_now -= 1
            async for event in shelf.ask(call):
                yield event

    await put(replace(shelf, ask=Slow()), new("big", LONG * 3_000))  # type: ignore[arg-type]
    assert most == BATCHES_QUEUED_MAX


async def test_a_failing_model_stores_nothing_of_its_document_and_keeps_the_others(shelf: Shelf, new: New) -> None:
    shelf.ask.fail_from = 3
    made = [new(f"doc{number}", LONG * 1_400) for number in range(4)]  # about a batch each
    with pytest.raises(ProviderUnavailable):
        await put(shelf, *made)
    listed = {str(row["id"]) for row in await rows(shelf, "documents", name="c")}
    assert listed and listed < {one.id for one in made}
    shelf.ask.fail_from = None
    done = await put(shelf, *made)
    assert {one.document for one in done if one.status == "unchanged"} == listed


@pytest.mark.parametrize("wrong", [lambda data: data[:-4], lambda data: b"", lambda data: bytes(len(data))])
async def test_vectors_of_a_wrong_shape_are_not_stored(shelf: Shelf, new: New, wrong: Callable[[bytes], bytes]) -> None:
    shelf.ask.wrong = wrong
    with pytest.raises(ProviderError):
        await put(shelf, new("doc", LONG))
    assert await rows(shelf, "collections") == []


async def test_a_client_who_leaves_stops_the_work(shelf: Shelf, new: New) -> None:
    events = ingest(Ingest("c", tuple(new(f"doc{n}", LONG * 900) for n in range(20))), shelf.context(), shelf.library)
    async for event in events:
        if isinstance(event, DocumentResult):
            break
    await events.aclose()
    asked = len(shelf.ask.calls)
    await asyncio.sleep(0.1)
    assert len(shelf.ask.calls) == asked < 20


async def test_two_calls_with_the_same_document_store_it_once(shelf: Shelf, new: New) -> None:
    one = new("doc", LONG * 100)
    done = await asyncio.gather(*(put(shelf, one) for _ in range(6)))
    assert sorted(r.status for (r,) in done) == ["ingested"] + ["unchanged"] * 5
    with shelf.library.database.read() as connection:
        collection = documents.find(connection, "p", "c")
        assert collection is not None
        assert documents.counts(connection, collection)[0] == collection.generation == 1


async def test_racing_changes_leave_one_current_version_each(shelf: Shelf, new: New) -> None:
    await asyncio.gather(*(put(shelf, new("doc", f"Version {number}. {LONG}")) for number in range(10)))
    (row,) = await rows(shelf, "documents", name="c")
    assert row["version"] == 10


KILLED = """
import asyncio, hashlib, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from tests.knowledge.conftest import TOKENIZER, Asker, Shelf, TextParser
from tests.knowledge.test_ingest import many
from tiffin.kernel.calls import Ingest
from tiffin.knowledge.chunk import Chunker
from tiffin.knowledge.index import ExactIndex
from tiffin.knowledge.ingest import ingest
from tiffin.knowledge.library import Library
from tiffin.store.database import Database

async def main():
    library = Library(Database.open(Path(sys.argv[2])), ExactIndex(384), Chunker(TOKENIZER), TextParser(), "d")
    print("ready", flush=True)
    shelf = Shelf(library, Asker())
    for first in range(0, 40, 8):
        async for event in ingest(Ingest("c", many(int(sys.argv[3]))[first:first + 8]), shelf.context(), library):
            pass
    print("done", flush=True)

asyncio.run(main())
"""


def many(generation: int) -> tuple[NewDocument, ...]:
    """Forty documents of which half change from one generation to the next."""
    import hashlib

    made = []
    for number in range(40):
        text = f"Document {number} of generation {generation if number % 2 else 0}. " + LONG * (number % 7 * 10 + 5)
        made.append(NewDocument(f"doc{number}", hashlib.sha256(text.encode()).hexdigest(), text=text))
    return tuple(made)


def test_a_kill_at_any_moment_leaves_whole_documents(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    path = tmp_path / "tiffin.db"
    randomness = random.Random(7)
    for generation in (1, 2):
        for attempt in range(6):
            arguments = [sys.executable, "-c", KILLED, str(root), str(path), str(generation)]
            child = subprocess.Popen(arguments, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)})
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            if attempt < 5:
                time.sleep(randomness.uniform(0.0, 0.08))
                child.send_signal(signal.SIGKILL)
            rest, _ = child.communicate()
            database = Database.open(path)
            assert check(database) == []
            database.close()
        assert rest == b"done\n"
        database = Database.open(path)
        with database.read() as connection:
            collection = documents.find(connection, "p", "c")
            assert collection is not None
            current = documents.many(connection, collection, limit=99)
            assert {v.document: v.digest for v in current} == {one.id: one.digest for one in many(generation)}
            assert {v.version for v in current} == {1, generation}
        database.close()
