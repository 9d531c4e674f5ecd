"""Plain text and Markdown: the text is the file's decoded text, unchanged, so its offsets are the source's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.values import Block, BlockKind, Parsed, Unreadable

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_SETEXT = re.compile(r" {0,3}(?:=+|-+)\s*$")
_ITEM = re.compile(r"\s{0,12}(?:[-*+\u2022]|\d{1,3}[.)])\s+\S")
_ROW = re.compile(r"\s*\|.*\|\s*$")
_NUMBERED = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2}){0,4}\.?|[IVX]{1,5}\.|(?:Section|Chapter|Appendix|Article|Part) [\w.]+:?)\s+[A-Z]"
)
_TITLE_MAX_CHARS = 100  # characters of a line that can be a heading in plain text


def parse_markdown(text: str) -> Parsed:
    """Markdown as it is written; the title is its first heading."""
    blocks = list(_bounded(_markdown_blocks(text)))
    first = next((text[b.start : b.end] for b in blocks if b.kind == "heading"), None)
    title = first.splitlines()[0].strip().strip("#").strip() if first else None
    return _whole(text, blocks, "markdown", title)


def parse_text(text: str) -> Parsed:
    """Text as it is; paragraphs are what blank lines part, headings are lone short lines that look like one."""
    return _whole(text, list(_bounded(_text_blocks(text))), "text", None)


def _whole(text: str, blocks: list[Block], kind: str, title: str | None) -> Parsed:
    draft = Draft()
    draft.add_raw(text, blocks)
    return draft.finish(kind, title)


def _bounded(blocks: Iterator[Block]) -> Iterator[Block]:
    for count, block in enumerate(blocks):
        if count >= limits.MAX_BLOCKS:
            raise Unreadable("too_large", f"The file has more than {limits.MAX_BLOCKS:,} paragraphs.")
        yield block


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their offsets; only LF, CR LF and CR end a line, so that offsets never depend on rarer marks."""
    at = 0
    for match in re.finditer(r"\r\n|\n|\r", text):
        yield at, text[at : match.start()]
        at = match.end()
    if at < len(text):
        yield at, text[at:]


class _Run:
    """Lines gathered for one block."""

    def __init__(self) -> None:
        self.kind: BlockKind = "paragraph"
        self.start = -1
        self.end = -1
        self.lines = 0

    def take(self, at: int, line: str) -> None:
        if self.start < 0:
            self.start = at + len(line) - len(line.lstrip())
        self.end = at + len(line.rstrip())
        self.lines += 1

    def close(self, kind: BlockKind | None = None) -> Iterator[Block]:
        if 0 <= self.start < self.end:
            yield Block(kind or self.kind, self.start, self.end)
        self.kind, self.start, self.end, self.lines = "paragraph", -1, -1, 0


def _markdown_blocks(text: str) -> Iterator[Block]:
    run = _Run()
    fence: str | None = None
    for at, line in _lines(text):
        if fence is not None:
            run.take(at, line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
                yield from run.close("code")
        elif opened := _FENCE.match(line):
            yield from run.close()
            fence = opened.group(1)
            run.take(at, line)
        elif not line.strip():
            yield from run.close()
        elif _ATX.match(line):
            yield from run.close()
            run.take(at, line)
            yield from run.close("heading")
        elif _SETEXT.match(line) and run.lines == 1 and run.kind == "paragraph":
            run.take(at, line)
            yield from run.close("heading")
        elif _ROW.match(line):
            yield from run.close()
            run.take(at, line)
            yield from run.close("table_row")
        else:
            if _ITEM.match(line):
                yield from run.close()
                run.kind = "list_item"
            run.take(at, line)
    yield from run.close("code" if fence is not None else None)


def _text_blocks(text: str) -> Iterator[Block]:
    run = _Run()
    held: list[str] = []
    for at, line in _lines(text):
        if not line.strip():
            yield from run.close(_text_kind(run, held))
            held = []
            continue
        if run.lines and _ITEM.match(line):
            yield from run.close(_text_kind(run, held))
            held = []
        run.take(at, line)
        held.append(line.strip()) if len(held) < 2 else None
    yield from run.close(_text_kind(run, held))


def _text_kind(run: _Run, held: list[str]) -> BlockKind:
    if run.lines == 1 and len(held[0]) <= _TITLE_MAX_CHARS:
        line = held[0]
        letters = [char for char in line if char.isalpha()]
        if not line.endswith((".", ",", ";")) and (_NUMBERED.match(line) or (len(letters) > 3 and line.isupper())):
            return "heading"
    if held and _ITEM.match(held[0]):
        return "list_item"
    return "paragraph"
