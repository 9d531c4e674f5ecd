"""The text of a document while it is written: append blocks and pages, and every offset is right by construction."""

from __future__ import annotations

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.values import Block, BlockKind, Page, Parsed, Unreadable

_CLOSE_KINDS = ("table_row", "list_item", "code")  # runs of these stand on consecutive lines, others a blank line apart


class Draft:
    """A growing text with its blocks and pages.

    `add` separates blocks by a blank line, or by one line end inside a run of rows, items or code lines.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._pages: list[Page] = []
        self._page: tuple[int, int, str | None] | None = None
        self._length = 0
        self._notes: list[str] = []

    @property
    def length(self) -> int:
        """Characters written so far."""
        return self._length

    @property
    def has_blocks(self) -> bool:
        """Whether anything was written besides page borders."""
        return bool(self._blocks)

    def add(self, kind: BlockKind, text: str) -> None:
        """Append one block. Blank text is no block; white space around it is cut, but a listing keeps its indent."""
        text = text.rstrip() if kind == "code" else text.strip()
        if not text.strip():
            return
        self._separate(kind)
        start = self._length
        self._write(text)
        self._blocks.append(Block(kind, start, self._length))
        if len(self._blocks) > limits.MAX_BLOCKS:
            raise Unreadable("too_large", f"The file has more than {limits.MAX_BLOCKS:,} paragraphs or rows.")

    def add_raw(self, text: str, blocks: list[Block]) -> None:
        """Append text as it stands, with blocks whose offsets count from the start of this text."""
        base = self._length
        self._write(text)
        self._blocks.extend(Block(b.kind, base + b.start, base + b.end) for b in blocks)
        if len(self._blocks) > limits.MAX_BLOCKS:
            raise Unreadable("too_large", f"The file has more than {limits.MAX_BLOCKS:,} paragraphs or rows.")

    def page(self, number: int, label: str | None = None) -> None:
        """Begin a page, slide or sheet; the one before ends here."""
        self._end_page()
        if self._length:
            self._write("\n\n")
        self._page = (number, self._length, label)

    def note(self, sentence: str) -> None:
        """Keep one plain sentence for the reader; the same sentence is kept once."""
        if sentence not in self._notes:
            self._notes.append(sentence)

    def finish(self, kind: str, title: str | None) -> Parsed:
        """Close the last page and give the document; the caller has made sure that there is text."""
        self._end_page()
        text = "".join(self._parts)
        return Parsed(
            text=text,
            pages=tuple(self._pages),
            blocks=tuple(self._blocks),
            title=_tidy_title(title),
            kind=kind,
            notes=tuple(self._notes),
        )

    def _end_page(self) -> None:
        if self._page is not None:
            number, start, label = self._page
            self._pages.append(Page(number, start, self._length, label))
            self._page = None

    def _separate(self, kind: BlockKind) -> None:
        if not self._length or (self._page is not None and self._page[1] == self._length):
            return
        run = kind in _CLOSE_KINDS and bool(self._blocks) and self._blocks[-1].kind == kind
        self._write("\n" if run else "\n\n")

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > limits.TEXT_MAX_CHARS:
            raise Unreadable("too_large", f"The file has more than {limits.TEXT_MAX_CHARS:,} characters of text.")


def _tidy_title(title: str | None) -> str | None:
    if title is None:
        return None
    line = " ".join(title.split())
    return line[:300] or None


def listed(numbers: list[int]) -> str:
    """Spell out page numbers for a note: `2, 5 and 7`, or the first dozen `and others`."""
    shown = [str(n) for n in numbers[: limits.NOTE_LIST_MAX]]
    if len(numbers) > len(shown):
        return ", ".join(shown) + " and others"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]
