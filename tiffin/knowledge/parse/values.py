"""What parsing gives: a document's text with exact offsets, or the one plain reason why there is none.

Offsets are indices into `Parsed.text` as a Python string, never bytes. Nothing is both: a parser that finds no text
refuses, because an empty document would look ingested and answer nothing.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from tiffin.kernel.errors import PlatformError
from tiffin.knowledge.parse import limits

_BROKEN_WORD = re.compile(r"\u00ad\s*(?=[^\W\d_])(?![A-Z])")  # a capital starts something else
BlockKind = Literal["heading", "paragraph", "list_item", "table_row", "code"]
Reason = Literal[
    "encrypted",
    "corrupt",
    "too_large",
    "unsupported",
    "empty",
    "no_text_layer",
    "took_too_long",
    "out_of_memory",
]


class Page(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A page, slide or sheet, numbered from 1; `text[start:end]` is what stands on it."""

    number: int
    start: int
    end: int
    label: str | None = None


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A heading, paragraph, list item, table row or listing; blocks are in order and never overlap."""

    kind: BlockKind
    start: int
    end: int


class Parsed(msgspec.Struct, frozen=True, tag="parsed"):
    """A document that was read. `pages` is empty for formats without pages (Word, HTML, text, mail, CSV, XML).

    `notes` are plain sentences about what the reader of a citation should know ("3 of 12 pages have no text layer").
    """

    text: str
    pages: tuple[Page, ...]
    blocks: tuple[Block, ...]
    title: str | None
    kind: str
    notes: tuple[str, ...] = ()


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A document that was not read, and why, in one plain sentence for the person who gave it."""

    reason: Reason
    detail: str


class Unreadable(Exception):
    """Raised inside a parser, where reading cannot go on; becomes a `Refused` at the edge of the child."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


class ParserUnavailable(PlatformError):
    """The parsing process cannot be started or kept alive. Our fault, not the file's; worth trying again later."""

    retryable = True


def searchable(text: str) -> str:
    """Text for indexes and embeddings: words broken at line ends joined, white space evened. Not for offsets.

    A hyphen that only broke a word at a line's end stands in `Parsed.text` as U+00AD.
    """
    joined = _BROKEN_WORD.sub("", text).replace("\u00ad", "- ")
    return " ".join(joined.split())


def fault(parsed: Parsed) -> str | None:
    """Say what is wrong with a result's offsets, or None. A child that read a hostile file is not trusted."""
    size = len(parsed.text)
    if not parsed.text.strip():
        return "the text is empty"
    if size > limits.TEXT_MAX_CHARS or len(parsed.blocks) > limits.MAX_BLOCKS:
        return "the result is larger than its bounds"
    at = 0
    for block in parsed.blocks:
        if not at <= block.start < block.end <= size:
            return f"block {block.start}-{block.end} is out of order or out of the text"
        at = block.end
    at, number = 0, 0
    for page in parsed.pages:
        if not at <= page.start <= page.end <= size or page.number <= number:
            return f"page {page.number} is out of order or out of the text"
        at, number = page.end, page.number
    return None
