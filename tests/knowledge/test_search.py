"""Search: exact spans, both lists fused, filters, the past as it was, and plain errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel.calls import Filter, Ingest, NewDocument, Remove, Retrieve
from tiffin.kernel.errors import Invalid, NotFound, TooLarge
from tiffin.kernel.parts import Decided, Finish, Found, Hit
from tiffin.knowledge.ingest import ingest
from tiffin.knowledge.library import Fusion
from tiffin.knowledge.remove import remove
from tiffin.knowledge.search import fused, nanoseconds, retrieve, rfc3339

from .conftest import Shelf

TEXTS = {
    "dosing": "The maximum daily dose of zanamol is 40 mg. " * 3,
    "safety": "Serious adverse events are reported within 24 hours of awareness. " * 3,
    "visits": "Visit three takes place on day 28, plus or minus two days. " * 3,
    "storage": "Keep the tablets between 2 and 8 degrees; report every excursion. " * 3,
}
New = Callable[..., NewDocument]


async def fill(shelf: Shelf, new: New, project: str = "p", **texts: str) -> None:
    documents = tuple(new(name, text, title=name.title()) for name, text in (texts or TEXTS).items())
    await shelf.run(ingest, Ingest("trial", documents), project)


async def search(shelf: Shelf, query: str, project: str = "p", **more: object) -> tuple[Hit, ...]:
    events = await shelf.run(retrieve, Retrieve("trial", query, **more), project)
    (found,) = [event for event in events if isinstance(event, Found)]
    assert isinstance(events[-1], Finish)
    return found.hits


async def test_hits_are_exact_spans_best_first(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    hits = await search(shelf, "What is the maximum daily dose?")
    assert (hits[0].document, hits[0].title, hits[0].version, hits[0].page) == ("dosing", "Dosing", 1, 1)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].similarity == max(hit.similarity for hit in hits)
    for hit in hits:
        assert hit.text == TEXTS[hit.document][hit.start : hit.end]
        assert -1 <= hit.similarity <= 1
        assert hit.collection == "trial" and hit.document not in hit.chunk


async def test_each_list_finds_what_the_other_misses(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    for fusion in (Fusion(sense=0), Fusion(words=0), Fusion()):
        tuned = replace(shelf, library=replace(shelf.library, fusion=fusion))
        assert (await search(tuned, "excursion of tablets"))[0].document == "storage"
    assert await search(shelf, "wholly foreign vocabulary", limit=2)  # by sense something is always nearest


async def test_the_limit_is_kept_and_checked(shelf: Shelf, new: New) -> None:
    await fill(shelf, new, **{f"doc{number}": f"Common text number {number}." for number in range(30)})
    assert len(await search(shelf, "common text", limit=7)) == 7
    assert len(await search(shelf, "common text", limit=200)) == 30
    for limit in (0, -1, 201):
        with pytest.raises(Invalid, match="limit"):
            await search(shelf, "common text", limit=limit)


async def test_a_filter_leaves_only_documents_that_match(shelf: Shelf, new: New) -> None:
    made = tuple(
        new(f"doc{number}", f"Common text number {number}.", metadata={"site": number % 3, "new": number > 5})
        for number in range(12)
    )
    await shelf.run(ingest, Ingest("trial", made))
    hits = await search(shelf, "common text", filter=Filter({"site": (1,), "new": (True,)}))
    assert sorted(hit.document for hit in hits) == ["doc10", "doc7"]
    assert await search(shelf, "common text", filter=Filter({"site": ("1",)})) == ()
    assert await search(shelf, "common text", filter=Filter({"other": (1,)})) == ()


async def test_the_past_ranks_as_it_ranked_then(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    events = await shelf.run(retrieve, Retrieve("trial", "maximum dose of tablets"))
    (then,) = [event.hits for event in events if isinstance(event, Found)]
    (decided,) = [event for event in events if isinstance(event, Decided)]
    as_of = decided.reason.removeprefix("as of ")
    await fill(shelf, new, dosing="The maximum dose is now 20 mg.", more="The maximum of tablets. " * 40)
    now = await search(shelf, "maximum dose of tablets")
    assert {hit.document: hit.version for hit in now}["dosing"] == 2
    assert await search(shelf, "maximum dose of tablets", as_of=as_of) == then
    assert await search(shelf, "maximum dose of tablets", as_of="2001-01-01T00:00:00Z") == ()
    assert await search(shelf, "maximum dose of tablets", as_of="2999-01-01T00:00:00+02:00") == now


async def test_a_superseded_text_is_not_found_now(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    await fill(shelf, new, dosing="Withdrawn.")
    assert all("maximum" not in hit.text for hit in await search(shelf, "maximum daily dose"))


async def test_projects_do_not_see_each_other(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    await fill(shelf, new, "q", other="The maximum daily dose is a secret.")
    assert {hit.document for hit in await search(shelf, "maximum dose")} == set(TEXTS)
    assert {hit.document for hit in await search(shelf, "maximum dose", "q")} == {"other"}
    with pytest.raises(NotFound):
        await search(shelf, "maximum dose", "r")


async def test_an_unknown_collection_names_those_that_exist_and_embeds_nothing(shelf: Shelf, new: New) -> None:
    with pytest.raises(NotFound) as caught:
        await search(shelf, "dose")
    assert "none yet" in caught.value.hint
    await shelf.run(ingest, Ingest("real", (new("a", "Text."),)))
    asked = len(shelf.ask.calls)
    with pytest.raises(NotFound) as caught:
        await search(shelf, "dose")
    assert "real" in caught.value.hint
    assert len(shelf.ask.calls) == asked


@pytest.mark.parametrize(
    "query", ['"', "AND OR NOT", "NEAR(a b)", "*", "body:secret", "-dose", "^dose", "'; DROP TABLE versions; --", "\0"]
)
async def test_any_text_is_only_a_query(shelf: Shelf, new: New, query: str) -> None:
    await fill(shelf, new)
    assert len(await search(shelf, query)) == 4


async def test_empty_and_giant_queries_are_refused(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    with pytest.raises(Invalid):
        await search(shelf, "  \n")
    with pytest.raises(TooLarge):
        await search(shelf, "x" * 8_193)
    assert await search(shelf, " ".join(f"word{number}" for number in range(900)))


async def test_a_removed_document_is_not_found(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    await shelf.run(remove, Remove("trial", "dosing"))
    assert {hit.document for hit in await search(shelf, "maximum daily dose")} == set(TEXTS) - {"dosing"}


async def test_searches_during_an_ingest_see_whole_documents(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)

    async def many() -> None:
        for number in range(20):
            await fill(shelf, new, dosing=f"Version {number}. " + "The maximum dose. " * 60)

    async def watch() -> None:
        for _ in range(30):
            hits = await search(shelf, "maximum dose")
            assert len({hit.version for hit in hits if hit.document == "dosing"}) == 1

    await asyncio.gather(many(), watch(), watch())


async def test_a_hidden_text_in_another_collection_does_not_weigh(shelf: Shelf, new: New) -> None:
    await fill(shelf, new)
    before = await search(shelf, "maximum dose")
    await shelf.run(ingest, Ingest("other", tuple(new(f"d{n}", "maximum dose " * 9 + str(n)) for n in range(20))))
    assert await search(shelf, "maximum dose") == before


@given(st.integers(0, 4_102_444_800 * 10**9))
def test_times_are_exact_to_the_nanosecond(time_ns: int) -> None:
    assert nanoseconds(rfc3339(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-25T13:00:00Z", 1_795_611_600 * 10**9),
        ("2026-11-25T15:00:00+02:00", 1_795_611_600 * 10**9),
        ("2026-11-25T13:00:00.5Z", 1_795_611_600_500_000_000),
        ("1969-12-31T23:59:59Z", -(10**9)),
    ],
)
def test_times_are_read_as_written(text: str, wanted: int) -> None:
    assert nanoseconds(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-11-25", "2026-11-25T13:00:00", "2026-13-25T13:00:00Z", "2026-11-25T13:00:00.Z", "1" * 99],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a time"):
        nanoseconds(text)


def test_fusion_adds_reciprocal_ranks() -> None:
    lists = [(1.0, np.array([7, 3])), (2.0, np.array([3, 9]))]
    assert list(fused(lists, 10).items()) == [(3, 1 / 12 + 2 / 11), (9, 2 / 12), (7, 1 / 11)]
