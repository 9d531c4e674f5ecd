"""Answers a question from a collection: find, quote, let the model add words, let only what the sources carry leave.

Holds no model and no index: it makes governed calls inside its own (Retrieve, Embed, Chat), so each is authorised, paid
for and recorded. Every citation is compared with the stored text just before it leaves. Words of the model leave one
sentence at a time, each judged first; what its evidence does not carry is withheld, and counted in the receipt.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
import numpy as np

from tiffin.kernel import limits
from tiffin.kernel.calls import Ask, Chat, Retrieve
from tiffin.kernel.errors import Invalid, TooLarge
from tiffin.kernel.govern import collect
from tiffin.kernel.parts import (
    Citation,
    Decided,
    Event,
    Finish,
    Found,
    Hit,
    SentenceDone,
    TextDelta,
    Usage,
    UsageSeen,
    UsedInside,
)
from tiffin.kernel.ports import Context
from tiffin.knowledge import answer, support
from tiffin.knowledge.answer import Choice, Sentence, Source
from tiffin.knowledge.embedding import embed
from tiffin.knowledge.index import Floats
from tiffin.knowledge.library import Library
from tiffin.knowledge.sentences import sentences
from tiffin.store import documents

HITS = 10  # chunks that are shown as found; a collection's answer is rarely below them
WORDS_TOKENS = (
    128  # output tokens of the model's own words when the caller sets no bound: three sentences, 2 s on two cores
)
WORDS_SENTENCES_MAX = 6  # sentences of the model that are let through
WORDS_JUDGED_MAX = 12  # sentences of the model that are judged; a model that never stops is stopped here
WORDS_CHARS_MAX = 8_000  # characters read of a model that ignores its token bound or ends no sentence
_ASIDE = support.Verdict(reason="aside")
_REPEATS = support.Verdict(reason="repeats")
_MAY_END = re.compile(r"[.!?…。！？\n]")
_NO_VECTORS = np.zeros((1, 1), np.float32)
REFUSED = "the collection does not hold an answer"


@dataclass
class _Words:
    """What became of the model's own words."""

    released: list[str] = field(default_factory=list)
    withheld: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)

    @property
    def judged(self) -> int:
        return len(self.released) + self.withheld.total()


@dataclass(frozen=True)
class _Search:
    hits: tuple[Hit, ...]
    among: tuple[Sentence, ...]
    vectors: Floats  # of the question, then of each candidate
    choice: Choice


@dataclass(frozen=True)
class _Ground:
    """What an answer may stand on: the sentences that the model reads, and those quoted already."""

    texts: tuple[str, ...]
    titles: tuple[str, ...]
    quoted: tuple[str, ...]
    citations: tuple[Citation, ...]
    vectors: Floats
    question: Floats


async def ask(call: Ask, context: Context, library: Library) -> AsyncGenerator[Event, None]:
    """Yields Found, then TextDelta and SentenceDone for each sentence with its citations, Decided between, Finish.

    Finish says "refused" if the collection does not hold an answer; a plain sentence says so as text before.
    Raises what the calls inside raise: an unknown collection, a model that failed.
    """
    _check(call)
    search = await _search(call.question, call, context, library)
    again = None if search.choice.evidence else answer.completed(call.question, call.history)
    if again is not None:
        wider = await _search(again, call, context, library)
        search = wider if wider.choice.evidence else search
    among, choice = search.among, search.choice
    yield Found(search.hits)
    yield Decided("evidence", "enough" if choice.evidence else "not enough", by=answer.RULES, reason=choice.reason)
    quotes = await _exact([among[i].citation(score) for i, score in choice.evidence], context, library)
    yield Decided("citations", "compared", by="exact-span", reason=_compared(choice, quotes))
    if not any(quotes):
        yield TextDelta(answer.refusal(call.collection))
        yield Finish("refused", REFUSED)
        return
    before: list[Sentence] = []
    for (index, _), citation in zip(choice.evidence, quotes, strict=True):
        if citation is not None:
            text = answer.quoted(among[index], before)
            yield TextDelta(f"\n{text}" if before else text)
            yield SentenceDone(text, True, (citation,))
            before.append(among[index])
    async with aclosing(_own_words(call, context, library, _ground(among, choice, search.vectors))) as words:
        async for event in words:
            yield event
    yield Finish()


async def _search(question: str, call: Ask, context: Context, library: Library) -> _Search:
    """What the collection holds for a question, and whether it is enough."""
    hits = await _found(
        Retrieve(call.collection, question[: limits.QUESTION_CHARS_MAX], HITS, as_of=call.as_of), context
    )
    sources = await asyncio.to_thread(_sources, library, context.grant.caller.project, hits)
    among = answer.candidates(sources)
    vectors = await embed((question, *(one.text for one in among)), context, library) if among else _NO_VECTORS
    return _Search(hits, among, vectors, answer.choose(question, among, (vectors[1:] @ vectors[0]).tolist()))


async def _own_words(call: Ask, context: Context, library: Library, ground: _Ground) -> AsyncGenerator[Event, None]:
    """The model's sentences that the ground carries."""
    yield Decided("prompt", "rendered", by=answer.PROMPT, reason=f"sha256:{answer.PROMPT_DIGEST}")
    words = _Words()
    async with aclosing(_spoken(_chat(call, ground), context, words)) as spoken:
        async for sentence in spoken:
            repeated = support.repeats(sentence, (*ground.quoted, *words.released))
            verdict = _REPEATS if repeated else await _judge(sentence, ground, context, library)
            if verdict.supported:
                citations = [ground.citations[i] for i in verdict.by]
                citations = [c for c in await _exact(citations, context, library) if c is not None]
                verdict = verdict if citations else support.Verdict(reason="gone")
            if verdict.supported:
                yield TextDelta(f" {sentence}" if words.released else f"\n\n{sentence}")
                yield SentenceDone(sentence, True, tuple(citations))
                words.released.append(sentence)
            else:
                words.withheld[verdict.reason] += 1
            if len(words.released) >= WORDS_SENTENCES_MAX or words.judged >= WORDS_JUDGED_MAX:
                break
    withheld = ", ".join(f"{reason} {count}" for reason, count in sorted(words.withheld.items()))
    told = f"{len(words.released)} of {words.judged} sentences released"
    yield Decided("support", told, by=support.RULES, reason=f"withheld: {withheld}" if withheld else "")
    yield UsedInside(words.usage)


async def _spoken(chat: Chat, context: Context, words: _Words) -> AsyncGenerator[str, None]:
    """A model's sentences as they become whole; one that its token bound cut off is not."""
    rest, read, stopped = "", 0, False
    async with aclosing(context.ask(chat)) as events:
        async for event in events:
            match event:
                case TextDelta(text):
                    rest += text[: WORDS_CHARS_MAX - read]
                    read += len(text)
                    whole, rest = _whole(rest)
                    for sentence in whole:
                        yield sentence
                case UsageSeen(usage):
                    words.usage = usage
                case Finish(reason):
                    stopped = reason == "stop"
                case _:
                    pass
            if read >= WORDS_CHARS_MAX:
                return
    for span in sentences(rest) if stopped else ():
        yield answer.plain(rest[span.start : span.end])


def _whole(text: str) -> tuple[list[str], str]:
    """The sentences that more text cannot change, and what is left."""
    spans = sentences(text) if _MAY_END.search(text) else ()
    if len(spans) < 2:
        return [], text
    return [answer.plain(text[span.start : span.end]) for span in spans[:-1]], text[spans[-1].start :]


async def _judge(sentence: str, ground: _Ground, context: Context, library: Library) -> support.Verdict:
    """Whether the ground carries a sentence; its sense is only asked for if its words pass."""
    nearest = support.check(sentence, ground.texts, ground.titles, [1.0] * len(ground.texts))
    if not nearest.supported:
        return nearest
    vector = (await embed((sentence,), context, library))[0]
    if float(ground.question @ vector) < answer.ASIDE_MAX:
        return _ASIDE
    return support.check(sentence, ground.texts, ground.titles, (ground.vectors @ vector).tolist())


async def _found(call: Retrieve, context: Context) -> tuple[Hit, ...]:
    events = await collect(context.ask(call))
    return tuple(hit for event in events if isinstance(event, Found) for hit in event.hits)


async def _exact(citations: Sequence[Citation], context: Context, library: Library) -> list[Citation | None]:
    """Each citation if the stored text still says so at that place, else None."""
    project = context.grant.caller.project
    return await asyncio.to_thread(_compare, library, project, citations)


def _check(call: Ask) -> None:
    if not call.question.strip():
        raise Invalid("The question is empty.", field="question")
    if len(call.question) > limits.QUESTION_CHARS_MAX:
        raise TooLarge(f"The question is longer than {limits.QUESTION_CHARS_MAX} characters.", field="question")


def _chat(call: Ask, ground: _Ground) -> Chat:
    chosen = call.sampling
    sampling = msgspec.structs.replace(
        chosen,
        temperature=0.0 if chosen.temperature is None else chosen.temperature,
        max_tokens=chosen.max_tokens or WORDS_TOKENS,
    )
    return Chat(call.model, answer.messages(call.question, ground.texts), sampling)


def _ground(among: Sequence[Sentence], choice: Choice, vectors: Floats) -> _Ground:
    read = answer.passages(among, choice)
    similarities = vectors[1:] @ vectors[0]
    return _Ground(
        tuple(among[i].text for i in read),
        tuple(among[i].source.hit.title for i in read),
        tuple(among[i].text for i, _ in choice.evidence),
        tuple(among[i].citation(float(similarities[i])) for i in read),
        vectors[[i + 1 for i in read]],
        vectors[0],
    )


def _compared(choice: Choice, quotes: Sequence[Citation | None]) -> str:
    dropped = sum(citation is None for citation in quotes)
    return f"{len(choice.evidence)} compared with the stored text, {dropped} dropped"


def _sources(library: Library, project: str, hits: Iterable[Hit]) -> list[Source]:
    """What is stored where each hit is, if its version is still there; one document in memory at a time."""
    by_version: dict[tuple[str, str, int], list[Hit]] = {}
    for hit in hits:
        by_version.setdefault((hit.collection, hit.document, hit.version), []).append(hit)
    found: dict[int, Source] = {}
    with library.database.read() as connection:
        for (name, document, number), its in by_version.items():
            collection = documents.find(connection, project, name)
            version = documents.one(connection, collection, document, number) if collection else None
            text = documents.text_of(connection, version.id) if version else None
            if version is None or text is None:
                continue
            pages = tuple((page[0], page[1]) for page in version.pages)
            for hit in its:
                found[id(hit)] = Source(hit, version.kind, pages, text[hit.start : hit.end])
    return [found[id(hit)] for hit in hits if id(hit) in found]


def _compare(library: Library, project: str, citations: Sequence[Citation]) -> list[Citation | None]:
    kept: list[Citation | None] = []
    with library.database.read() as connection:
        for citation in citations:
            collection = documents.find(connection, project, citation.collection)
            key = (citation.document, citation.version)
            version = documents.one(connection, collection, *key) if collection else None
            text = documents.text_of(connection, version.id) if version else None
            kept.append(citation if text is not None and answer.exact(citation, {key: text}) else None)
    return kept
