"""Cuts a document into chunks that the embedding model reads whole: `text[start:end]`, exactly, in code points.

A chunk never crosses a page unless the page is nearly empty, ends at sentences, begins anew at headings, and fits the
model together with its prefix (title and heading). What is too long is cut into parts of like size, because a last
chunk of two lines would be found for its shortness. Neighbouring chunks of prose share about a sentence; rows and
items do not.
"""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from tokenizers import Tokenizer

from tiffin.knowledge.parse.values import searchable
from tiffin.knowledge.sentences import sentences

TOKENS_MAX = 256  # tokens that the embedding model reads, its two special ones included
FRAME_TOKENS = 8  # tokens kept free: two special ones, and words that are longer once joined over a line's end
PREFIX_TOKENS_MAX = 64  # tokens of title and heading; a longer title would crowd out the text
OVERLAP_TOKENS = 32  # tokens that neighbours share at most: a sentence, so that "it" keeps what it stands for
TINY_PAGE_TOKENS = 16  # tokens; a page below it (a divider, a lone number) joins the next page's first chunk
SECTION_TOKENS_MIN = 64  # tokens; a heading ends the chunk before it only if that holds at least as many
TITLE_WEIGHT = 3  # times that a title counts in full text (nDCG@10 cranfield .357 → .361, scifact .689 → .694)
TOKENISE_TEXTS = 512  # texts given to the tokenizer at a time; one text of megabytes takes it seconds
RECIPE = "chunk-1"  # part of a document's pipeline: changes with any change of the rules here

WHOLE_CHARS_MAX = 1_200  # characters of a row or item that is kept whole, as of a sentence
TOKEN_CHARS_MAX = (
    16  # characters that a token may stand for; a word of 10,000 is one unknown token, but not a short chunk
)

_WORD = re.compile(r"\w")
_LINE = re.compile(r"[^\n]+")


class Block(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class Page(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """One chunk: a span, the page it begins on (1 where there are none), and the heading that it stands under."""

    page: int
    start: int
    end: int
    heading: str


class _Region(NamedTuple):
    start: int
    end: int
    kind: str
    page: int


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not cut: a sentence, a heading, a row."""

    start: int
    end: int
    kind: str
    page: int
    tokens: int


class Chunker:
    """Thread-safe: the tokenizer holds no state between calls."""

    def __init__(self, tokenizer: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def cut(self, text: str, title: str, pages: Sequence[Page] = (), blocks: Sequence[Block] = ()) -> list[Piece]:
        """The chunks of a document in order; none if it holds no word."""
        regions = _joined(text, _regions(text, pages, blocks), pages)
        title_tokens = min(self._count([searchable(title)])[0], PREFIX_TOKENS_MAX) if title else 0
        room = TOKENS_MAX - FRAME_TOKENS - title_tokens
        units = self._units(text, regions, room - (PREFIX_TOKENS_MAX - title_tokens))
        pieces: list[Piece] = []
        heading: _Unit | None = None
        for section in _sections(units):
            free = room - (min(heading.tokens, PREFIX_TOKENS_MAX - title_tokens) if heading else 0)
            for run in _cut(section, free):
                under = heading if run[0].kind != "heading" else None
                words = text[under.start : under.end] if under else ""
                pieces.append(Piece(run[0].page, run[0].start, run[-1].end, self._short(words, PREFIX_TOKENS_MAX)))
                heading = next((unit for unit in reversed(run) if unit.kind == "heading"), heading)
        return pieces

    def embedded(self, title: str, heading: str, body: str) -> str:
        """What the embedding model reads of a chunk."""
        return searchable("\n".join(part for part in (self._short(title, PREFIX_TOKENS_MAX), heading, body) if part))

    def indexed(self, title: str, heading: str, body: str) -> str:
        """What full text finds a chunk by."""
        return searchable("\n".join([*[title] * TITLE_WEIGHT, heading, body]))

    def _short(self, text: str, tokens: int) -> str:
        """The beginning of a title or heading, at most so many tokens long."""
        plain = searchable(text.lstrip("# "))
        if len(plain) <= tokens:
            return plain
        offsets = self._tokenizer.encode(plain[: tokens * 32], add_special_tokens=False).offsets
        return plain if len(offsets) <= tokens else plain[: offsets[tokens - 1][1]]

    def _units(self, text: str, regions: list[_Region], tokens_max: int) -> Iterator[_Unit]:
        for first in range(0, len(regions), TOKENISE_TEXTS):
            batch = regions[first : first + TOKENISE_TEXTS]
            for region, tokens in zip(batch, self._count([text[r.start : r.end] for r in batch]), strict=True):
                if tokens <= tokens_max:
                    yield _Unit(*region, tokens)
                else:
                    yield from self._broken(text, region, tokens_max)

    def _broken(self, text: str, region: _Region, tokens_max: int) -> Iterator[_Unit]:
        """A sentence longer than a chunk, cut between tokens, and so that no part has too many characters."""
        start, end, kind, page = region
        offsets = self._tokenizer.encode(text[start:end], add_special_tokens=False).offsets
        kind = "paragraph" if kind == "heading" else kind
        first, at, count = start, start, 0
        for left, right in offsets:
            if count and (count >= tokens_max or start + right - first > tokens_max * TOKEN_CHARS_MAX):
                yield _Unit(first, at, kind, page, count)
                first, count = start + left, 0
            at, count = start + right, count + 1
        if count:
            yield _Unit(first, at, kind, page, count)

    def _count(self, texts: list[str]) -> list[int]:
        """Tokens of each text; of a text of giant words, which are one token each, as many as its length is worth."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [max(len(e.ids), len(t) // TOKEN_CHARS_MAX) for e, t in zip(encodings, texts, strict=True)]


def _regions(text: str, pages: Sequence[Page], blocks: Sequence[Block]) -> Iterator[_Region]:
    """The text as sentences, headings, rows and lines, none of which crosses a page."""
    edges = [(page.start, page.end, page.number) for page in pages] or [(0, len(text), 1)]
    at = 0
    for block in (*blocks, None):
        start, end, kind = (block.start, block.end, block.kind) if block else (len(text), len(text), "")
        for gap in _on_pages(at, start, edges):
            yield from _parts(text, gap, "paragraph")
        for part in _on_pages(start, end, edges):
            yield from _parts(text, part, kind)
        at = max(at, end)


def _joined(text: str, regions: Iterable[_Region], pages: Sequence[Page]) -> list[_Region]:
    """Regions that leave no visible sign between them uncounted: rules of dots and dashes are tokens too."""
    starts = [0, *(page.start for page in pages[1:])]  # what comes before the first page belongs to it
    joined: list[_Region] = []
    for region in regions:
        page_start = starts[bisect.bisect_right(starts, region.start) - 1]
        if joined and joined[-1].start >= page_start:
            joined[-1] = _stretched(text, joined[-1], region.start)
        else:
            if joined:
                joined[-1] = _stretched(text, joined[-1], starts[bisect.bisect_right(starts, joined[-1].start)])
            lead = text[page_start : region.start]
            region = region._replace(start=region.start - len(lead.lstrip()))
        joined.append(region)
    return joined


def _stretched(text: str, region: _Region, limit: int) -> _Region:
    """The region with the signs that follow it before the limit."""
    return region._replace(end=region.end + len(text[region.end : limit].rstrip()))


def _on_pages(start: int, end: int, edges: list[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """A span cut at the edges of pages; what lies between pages belongs to the one before."""
    if start >= end:
        return
    first = max(0, bisect.bisect_right(edges, start, key=lambda edge: edge[0]) - 1)
    for index in range(first, len(edges)):
        left = start if index == first else edges[index][0]
        right = edges[index + 1][0] if index + 1 < len(edges) else end
        if left >= end:
            return
        if left < min(right, end):
            yield left, min(right, end), edges[index][2]


def _parts(text: str, span: tuple[int, int, int], kind: str) -> Iterator[_Region]:
    start, end, page = span
    if kind == "code":
        spans = [(line.start(), line.end()) for line in _LINE.finditer(text, start, end)]
    elif kind in ("heading", "table_row", "list_item") and end - start <= WHOLE_CHARS_MAX:
        spans = [(start, end)]
    else:
        spans = [(one.start, one.end) for one in sentences(text, start, end)]
    for left, right in spans:
        if _WORD.search(text, left, right):
            yield _Region(left, right, kind, page)


def _sections(units: Iterable[_Unit]) -> Iterator[list[_Unit]]:
    """Runs of units that chunks must not reach beyond: they end at pages and headings."""
    section: list[_Unit] = []
    tokens = 0
    for unit in units:
        turned = bool(section) and unit.page != section[-1].page
        turned = turned and (tokens >= TINY_PAGE_TOKENS or unit.page != section[-1].page + 1)
        headed = (
            unit.kind == "heading" and bool(section) and section[-1].kind != "heading" and tokens >= SECTION_TOKENS_MIN
        )
        if turned or headed:
            yield section
            section, tokens = [], 0
        section.append(unit)
        tokens += unit.tokens
    if section:
        yield section


def _cut(section: list[_Unit], room: int) -> Iterator[list[_Unit]]:
    """A section in runs of at most `room` tokens, of like size."""
    total = sum(unit.tokens for unit in section)
    parts = 1 if total <= room else math.ceil((total - OVERLAP_TOKENS) / (room - OVERLAP_TOKENS))
    target = math.ceil((total + (parts - 1) * OVERLAP_TOKENS) / parts)
    run: list[_Unit] = []
    tokens = 0
    for unit in section:
        full = tokens + unit.tokens > room or (parts > 1 and tokens + unit.tokens / 2 > target)
        if run and full:
            yield run
            run = _tail(run, room - unit.tokens)
            tokens = sum(one.tokens for one in run)
        run.append(unit)
        tokens += unit.tokens
    if run:
        yield run


def _tail(run: list[_Unit], room: int) -> list[_Unit]:
    """The last sentences of a run that the next one repeats."""
    tail: list[_Unit] = []
    tokens = 0
    for unit in reversed(run[1:]):
        tokens += unit.tokens
        if unit.kind != "paragraph" or tokens > min(OVERLAP_TOKENS, room):
            break
        tail.insert(0, unit)
    return tail
