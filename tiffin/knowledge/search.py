"""Finds the chunks that speak to a query: by its words (BM25) and by its sense (vectors), fused by rank (RRF).

The query is embedded by a governed call; everything else happens in one snapshot of the database, so a hit is never
half of an old version and half of a new one. The receipt says as of which change of the collection was searched: a
search with that `as_of` ranks the same again, whatever has been added since.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from tiffin.kernel import limits
from tiffin.kernel.calls import Retrieve
from tiffin.kernel.errors import Invalid, NotFound, TooLarge
from tiffin.kernel.parts import Decided, Event, Finish, Found, Hit
from tiffin.kernel.ports import Context
from tiffin.knowledge import bm25
from tiffin.knowledge.embedding import embed
from tiffin.knowledge.index import Bools, Floats, Rows
from tiffin.knowledge.library import Library
from tiffin.store import documents, fulltext, vectors
from tiffin.store.database import Connection
from tiffin.store.documents import Collection
from tiffin.store.vectors import Place

NAMES_IN_HINT = 10  # collections named when one is not found
FRACTION_DIGITS = 9  # of a second: as_of is exact to the nanosecond


async def retrieve(call: Retrieve, context: Context, library: Library) -> AsyncGenerator[Event, None]:
    """Yields Decided, Found and Finish; hits are best first. Raises NotFound for an unknown collection."""
    _check(call)
    as_of_ns = None if call.as_of is None else nanoseconds(call.as_of)
    project = context.grant.caller.project
    await asyncio.to_thread(_known, library, project, call.collection)
    query = (await embed((call.query,), context, library))[0]
    answer = await asyncio.to_thread(_search, _Search(call, project, as_of_ns, query), library)
    yield Decided("search", "searched", by="bm25+vectors", reason=f"as of {rfc3339(answer.as_of_ns)}")
    yield Found(answer.hits)
    yield Finish()


def nanoseconds(time: str) -> int:
    """RFC 3339 to nanoseconds since the epoch."""
    whole, point, rest = time.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789")) if point else 0
    try:
        moment = datetime.fromisoformat(whole + rest[digits:])
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the second: a year that only its time zone puts out of the calendar
        raise _bad_time(time) from error
    if moment.tzinfo is None or "T" not in time.upper() or (point and not 0 < digits <= FRACTION_DIGITS):
        raise _bad_time(time)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + int(
        rest[:digits].ljust(FRACTION_DIGITS, "0") if digits else 0
    )


def rfc3339(time_ns: int) -> str:
    """Nanoseconds since the epoch to RFC 3339, without loss."""
    seconds, rest = divmod(time_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def fused(lists: list[tuple[float, npt.NDArray[np.int64]]], k: float) -> dict[int, float]:
    """Reciprocal rank fusion: rows by descending score, then by row. Each list comes with its weight, best first."""
    total: dict[int, float] = {}
    for weight, ranked in lists:
        for rank, row in enumerate(ranked.tolist(), start=1):
            total[row] = total.get(row, 0.0) + weight / (k + rank)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class _Search:
    call: Retrieve
    project: str
    as_of_ns: int | None
    query: Floats


@dataclass(frozen=True)
class _Answer:
    hits: tuple[Hit, ...]
    as_of_ns: int


def _check(call: Retrieve) -> None:
    if not 1 <= call.limit <= limits.SEARCH_LIMIT_MAX:
        raise Invalid(f"limit must be from 1 to {limits.SEARCH_LIMIT_MAX}.", field="limit")
    if not call.query.strip():
        raise Invalid("The query is empty.", field="query")
    if len(call.query) > limits.QUESTION_CHARS_MAX:
        raise TooLarge(f"The query is longer than {limits.QUESTION_CHARS_MAX} characters.", field="query")


def _bad_time(time: str) -> Invalid:
    return Invalid(f"'{time[:64]}' is not a time.", hint="Write it like 2026-11-25T13:00:00Z.", field="as_of")


def _known(library: Library, project: str, name: str) -> None:
    with library.database.read() as connection:
        known_collection(connection, project, name)


def known_collection(connection: Connection, project: str, name: str) -> Collection:
    """The collection, or NotFound with the names of those that exist."""
    found = documents.find(connection, project, name)
    if found is not None:
        return found
    names = [known.name for known in documents.every_collection(connection, project)]
    listed = ", ".join(names[:NAMES_IN_HINT]) + (", …" if len(names) > NAMES_IN_HINT else "")
    hint = f"There are: {listed}." if names else "There are none yet; the first document put into one creates it."
    raise NotFound(f"There is no collection named {name[: limits.NAME_CHARS_MAX]}.", hint=hint, field="collection")


def _search(search: _Search, library: Library) -> _Answer:
    with library.database.read() as connection:
        collection = known_collection(connection, search.project, search.call.collection)
        rows = library.index.rows(connection, collection, library.vectors_by)
        valid = rows.valid(search.as_of_ns)
        wanted = valid
        if search.call.filter is not None:
            matching = documents.matching(connection, collection, search.call.filter.equals)
            wanted = valid & np.isin(rows.versions, matching)
        fusion = library.fusion
        depth = max(fusion.depth, search.call.limit)
        by_words = _by_words(connection, search.call.query, rows, (valid, wanted), library)[:depth]
        by_sense, similar = _by_sense(connection, search.query, rows, wanted, (depth, library.vectors_by))
        scores = fused([(fusion.words, by_words), (fusion.sense, by_sense)], fusion.k)
        best = list(scores.items())[: search.call.limit]
        chunks = {row: int(rows.chunks[row]) for row, _ in best}
        places = vectors.places(connection, chunks.values())
        missing = [chunk for chunk in chunks.values() if chunk not in similar]
        similar |= _exact(connection, search.query, missing, library.vectors_by)
    hits = tuple(_hit(collection, places[chunks[row]], score, similar.get(chunks[row], 0.0)) for row, score in best)
    return _Answer(hits, collection.updated_ns if search.as_of_ns is None else search.as_of_ns)


def _by_words(
    connection: Connection, query: str, rows: Rows, masks: tuple[Bools, Bools], library: Library
) -> npt.NDArray[np.int64]:
    """Rows that hold a word of the query, best first. Statistics are those of all valid rows, whatever the filter."""
    valid, wanted = masks
    terms = list(library.stemmer.terms(bm25.worth_asking(query)).items())[: bm25.QUERY_TERMS_MAX]
    postings = ((times, fulltext.postings(connection, rows.collection, term)) for term, times in terms)
    scores = np.where(wanted, bm25.scores(rows, valid, postings), 0.0)
    return _ranked(scores, np.flatnonzero(scores > 0))


def _by_sense(
    connection: Connection, query: Floats, rows: Rows, wanted: Bools, how: tuple[int, str]
) -> tuple[npt.NDArray[np.int64], dict[int, float]]:
    """Rows by exact similarity, best first, and the similarity of each chunk that was compared exactly."""
    depth, model = how
    rough = np.where(wanted, rows.similarities(query), -np.inf)
    likely = _most(rough, min(depth + depth // 2, int(wanted.sum())))
    similar = _exact(connection, query, rows.chunks[likely].tolist(), model)
    exact = np.array([similar.get(chunk, -np.inf) for chunk in rows.chunks[likely].tolist()])
    order = likely[np.lexsort((likely, -exact))]
    return order[: min(depth, int(np.isfinite(exact).sum()))], similar


def _exact(connection: Connection, query: Floats, chunks: list[int], model: str) -> dict[int, float]:
    """Cosine of the query and each chunk: both are unit vectors."""
    stored = vectors.exact(connection, chunks, model)
    if not stored:
        return {}
    matrix = np.frombuffer(b"".join(stored.values()), "<f4").reshape(len(stored), -1)
    return dict(zip(stored, (matrix.astype(np.float64) @ query.astype(np.float64)).tolist(), strict=True))


def _most(scores: Floats, count: int) -> npt.NDArray[np.int64]:
    """The rows of the `count` largest scores, in no order."""
    if count >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - count)[len(scores) - count :] if count else np.zeros(0, np.int64)


def _ranked(scores: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return rows[np.lexsort((rows, -scores[rows]))]


def _hit(collection: Collection, place: Place, score: float, similarity: float) -> Hit:
    return Hit(
        collection=collection.name,
        document=place.document,
        title=place.title,
        version=place.version,
        chunk=str(place.chunk),
        score=score,
        text=place.text,
        page=place.page,
        start=place.start,
        end=place.end,
        similarity=similarity,
    )
