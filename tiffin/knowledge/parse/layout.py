"""Blocks of a PDF page, from where its characters stand: lines, then paragraphs, headings, list items and table rows.

A PDF stores no paragraphs. Lines are what PDFium ended with a line end; neighbours on one baseline are one line. A new
block begins at a wider gap, a change of size, a jump to another column, an indent after a short line, or a list mark.
The blocks only steer where chunks are cut: text and offsets do not depend on them.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import pypdfium2.raw as pdfium

from tiffin.knowledge.parse.values import Block, BlockKind, Page

_BULLET = re.compile(r"[\u2022\u25aa\u25cf\u25cb\u25e6\u25a0\u25a1\u2013\u2014*\uf0b7\u00b7-]\s+\S")
_ENUMERATED = re.compile(r"(?:\(?(?:\d{1,2}|[a-zA-Z]|[ivx]{1,5})[.)])\s+\S")
_NUMBERED_HEADING = re.compile(r"(?:(?:\d{1,2}(?:\.\d{1,2}){0,4}\.?|[IVX]{1,5}\.|[A-Z]\.|Appendix \w+:?)\s+)[A-Z\"(]")
_SENTENCE_ENDS = (".", "!", "?", ":", ";", "\u3002", ".\u201d", '."')
_MARK = re.compile(r"[(\[]?(?:\d{1,2}(?:\.\d{1,2}){0,4}|[IVXivx]{1,5}|[A-Za-z])[.)\]]*|[^\w\s]|\uf0b7")
_LINE_ENDS = re.compile(r"(?<=[\n\u00ad])")
_BROKEN_WORD = "\u00ad"  # PDFium's mark of a word broken at a line's end; it writes no line end there
_HEADING_MAX_CHARS = 160  # characters; longer large type is a paragraph set large
_BOLD_WEIGHT = 600  # CSS weight from which type is bold
_LINE_MAX_CHARS = 4_000  # characters of a line that are measured; no page is wider, but a hostile one has millions
_EDGE_BLOCKS = 2  # blocks from the top and the foot of a page that can be running heads
_RUNNING_PAGES = 3  # pages on which a head stands before it counts as running
_DIGITS = re.compile(r"\d+")
_SAME_BASELINE = 0.35  # share of the line height within which two lines stand on one baseline
_WIDE_GAP = 1.4  # line heights between two words of a table row; justified text stays below 0.8
_PARAGRAPH_GAP = 1.3  # times the usual distance of lines
_SIZE_CHANGE = 1.15  # ratio of line heights that ends a block
_INDENT = 0.9  # line heights of a first-line indent
_SHORT_LINE = 0.85  # share of the column's width below which a line ended early


Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Glyphs:
    """A page's text, PDFium's text page to ask where character `i` stands, and the page's rotation in degrees."""

    text: str
    textpage: object
    rotation: int

    def stored_box(self, index: int) -> Box | None:
        """Left, bottom, right, top of a character in the page's own, unrotated space, or None without a box."""
        rect = pdfium.FS_RECTF()
        if not pdfium.FPDFText_GetLooseCharBox(self.textpage, index, rect):
            return None
        return rect.left, rect.bottom, rect.right, rect.top

    def box(self, index: int) -> Box | None:
        """The same as the page is read, after its rotation."""
        stored = self.stored_box(index)
        if stored is None or self.rotation == 0:
            return stored
        left, bottom, right, top = stored
        if self.rotation == 90:
            return bottom, -right, top, -left
        if self.rotation == 180:
            return -right, -top, -left, -bottom
        return -top, left, -bottom, right

    def bold(self, index: int) -> bool:
        """Whether a character is set in a bold font, by weight or by the font's name."""
        if pdfium.FPDFText_GetFontWeight(self.textpage, index) >= _BOLD_WEIGHT:
            return True
        flags = ctypes.c_int()
        buffer = ctypes.create_string_buffer(128)
        size = pdfium.FPDFText_GetFontInfo(self.textpage, index, buffer, len(buffer), flags)
        name = buffer.raw[: max(min(size, len(buffer)) - 1, 0)].lower()
        return b"bold" in name or b"black" in name or b"heavy" in name


@dataclass(frozen=True)
class Line:
    """One visual line: text offsets, left and right edge, foot, height, whether bold, and how many wide gaps it has."""

    start: int
    end: int
    left: float
    right: float
    foot: float
    height: float
    bold: bool
    gaps: int


def page_blocks(glyphs: Glyphs) -> list[Block]:
    """Cut one page into blocks, in the order of its text."""
    lines = _join_baselines(_lines(glyphs))
    if not lines:
        return _plain_blocks(glyphs.text)
    body = _body_height(lines)
    leading = _leading(lines)
    heavy = sum(line.end - line.start for line in lines if line.bold) * 2 > sum(line.end - line.start for line in lines)
    rows = _rows(glyphs.text, lines)
    blocks: list[Block] = []
    group: list[Line] = []
    for index, line in enumerate(lines):
        joins = bool(group) and not rows[index] and not rows[index - 1]
        if group and not (joins and _continues(glyphs.text, group, line, leading)):
            blocks.append(_block(glyphs.text, group, row=rows[index - 1], body=body, heavy=heavy))
            group = []
        group.append(line)
    blocks.append(_block(glyphs.text, group, row=rows[-1], body=body, heavy=heavy))
    return blocks


def _plain_blocks(text: str) -> list[Block]:
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    return [Block("paragraph", start, end)] if start < end else []


def _lines(glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    at = 0
    for raw in _LINE_ENDS.split(glyphs.text):
        start = at + len(raw) - len(raw.lstrip())
        end = at + len(raw.rstrip())
        at += len(raw)
        if start < end and (line := _measure(glyphs, start, end)) is not None:
            lines.append(line)
    return lines


def _measure(glyphs: Glyphs, start: int, end: int) -> Line | None:
    stop = min(end, start + _LINE_MAX_CHARS)
    printed = (i for i in range(start, stop) if not glyphs.text[i].isspace())
    boxes = [(i, box) for i in printed if (box := glyphs.box(i)) is not None]
    if not boxes:
        return None
    height = median(top - bottom for _, (_, bottom, _, top) in boxes)
    height = height if height > 0.1 else 10.0  # fonts without metrics; ten points is a usual line
    gaps = 0
    for (i, before), (j, after) in pairwise(boxes):
        wide = j > i + 1 and after[0] - before[2] > _WIDE_GAP * height
        if wide and not (gaps == 0 and _MARK.fullmatch(glyphs.text, start, i + 1)):
            gaps += 1
    return Line(
        start=start,
        end=end,
        left=min(box[0] for _, box in boxes),
        right=max(box[2] for _, box in boxes),
        foot=median(box[1] for _, box in boxes),
        height=height,
        bold=glyphs.bold(boxes[0][0]) and glyphs.bold(boxes[-1][0]),
        gaps=gaps,
    )


def _join_baselines(lines: list[Line]) -> list[Line]:
    """Make one line of neighbours on one baseline: cells of a row, or text around a raised footnote mark."""
    joined: list[Line] = []
    for line in lines:
        last = joined[-1] if joined else None
        if last is None or not _beside(last, line):
            joined.append(line)
            continue
        wide = line.left - last.right > _WIDE_GAP * max(last.height, line.height)
        longer = last if last.end - last.start >= line.end - line.start else line
        joined[-1] = Line(
            last.start, line.end, last.left, line.right, longer.foot, longer.height,
            last.bold and line.bold, last.gaps + line.gaps + int(wide),
        )  # fmt: skip
    return joined


def _beside(last: Line, line: Line) -> bool:
    """Whether a line stands on the baseline of the one before, to its right."""
    apart = abs(last.foot - line.foot)
    return apart <= _SAME_BASELINE * max(last.height, line.height) and line.left >= last.right - 1


def _body_height(lines: list[Line]) -> float:
    weights: dict[float, int] = {}
    for line in lines:
        weights[round(line.height, 1)] = weights.get(round(line.height, 1), 0) + line.end - line.start
    return max(weights, key=lambda height: weights[height])


def _leading(lines: list[Line]) -> float:
    steps = [
        before.foot - after.foot
        for before, after in pairwise(lines)
        if 0.5 * after.height < before.foot - after.foot < 2.2 * after.height
    ]
    return median(steps) if steps else lines[0].height * 1.3


def _rows(text: str, lines: list[Line]) -> list[bool]:
    """Which lines are table rows: two wide gaps, or one wide gap beside another line with gaps."""
    rows = []
    for index, line in enumerate(lines):
        near = [lines[i] for i in (index - 1, index + 1) if 0 <= i < len(lines)]
        row = line.gaps >= 2 or (line.gaps == 1 and any(other.gaps >= 1 for other in near))
        rows.append(row and text[line.end - 1] != _BROKEN_WORD)
    return rows


def _continues(text: str, group: list[Line], line: Line, leading: float) -> bool:
    """Whether a line belongs to the block above it."""
    last = group[-1]
    said = text[line.start : line.end]
    above = text[last.start : last.end]
    if above.endswith(_BROKEN_WORD):
        return said[:1].islower() or said[:1].isdigit()
    ratio = max(line.height, last.height) / min(line.height, last.height)
    if ratio > _SIZE_CHANGE and min(last.end - last.start, line.end - line.start) > 3:
        return False
    step = last.foot - line.foot
    unfinished = not above.endswith(_SENTENCE_ENDS) and said[:1].islower()
    if step < -_SAME_BASELINE * line.height or step > 6 * line.height:  # another column, or past a figure
        return unfinished and last.bold == line.bold
    if step > _PARAGRAPH_GAP * leading:
        return False
    if last.bold != line.bold and len(above) < _HEADING_MAX_CHARS and not unfinished:
        return False
    right = max(member.right for member in group)
    left = min(member.left for member in group)
    short = last.right - left < _SHORT_LINE * (max(right, line.right) - min(left, line.left))
    ended = above.endswith(_SENTENCE_ENDS)
    if _BULLET.match(said) or (_ENUMERATED.match(said) and (ended or short)):
        return False
    if line.left - left > _INDENT * line.height and ended and len(group) > 1:
        return False
    return not (short and ended)


def _block(text: str, group: list[Line], *, row: bool, body: float, heavy: bool) -> Block:
    start, end = group[0].start, group[-1].end
    said = text[start:end]
    kind: BlockKind = "paragraph"
    if row:
        kind = "table_row"
    elif _is_heading(said, group, body=body, heavy=heavy):
        kind = "heading"
    elif _BULLET.match(said) or _ENUMERATED.match(said):
        kind = "list_item"
    return Block(kind, start, end)


def _is_heading(said: str, group: list[Line], *, body: float, heavy: bool) -> bool:
    letters = sum(1 for char in said if char.isalpha())
    if len(said) > _HEADING_MAX_CHARS or letters < 3 or len(group) > 3 or said.rstrip().endswith((",", ";")):
        return False
    if said.rstrip().endswith(".") and not _NUMBERED_HEADING.match(said):
        return False
    if group[0].height > body * 1.12:
        return True
    if all(line.bold for line in group) and not heavy:
        return True
    alone = len(group) == 1 and len(said) < 100
    return alone and said.isupper() and letters > 3


def demote_running_heads(text: str, pages: tuple[Page, ...], blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Make paragraphs of headings that stand at the edge of many pages: they name the document, not what follows."""
    firsts: dict[str, list[int]] = {}
    edges: list[int] = []
    at = 0
    for page in pages:
        begin = at
        while at < len(blocks) and blocks[at].start < page.end:
            at += 1
        foot = max(begin + _EDGE_BLOCKS, at - _EDGE_BLOCKS)
        edges += [*range(begin, min(begin + _EDGE_BLOCKS, at)), *range(foot, at)]
    for index in edges:
        block = blocks[index]
        if block.kind == "heading":
            said = _DIGITS.sub("0", " ".join(text[block.start : block.end].split()))
            firsts.setdefault(said, []).append(index)
    demoted = {index for found in firsts.values() if len(found) >= _RUNNING_PAGES for index in found}
    return tuple(Block("paragraph", b.start, b.end) if i in demoted else b for i, b in enumerate(blocks))
