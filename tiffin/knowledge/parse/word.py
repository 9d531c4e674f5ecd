"""Word documents by walking their XML: paragraphs, tables, text boxes, notes, comments, headers and footers.

python-docx was measured to lose text boxes, comments and footers, so the parts are read directly. A Word file has no
pages until something lays it out; citations use the text's own offsets. Numbers that Word computes (`4.2`) are
computed here too, because people cite sections by them.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from tiffin.knowledge.parse import rows
from tiffin.knowledge.parse.archive import Archive
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.numbering import Numbering, whole
from tiffin.knowledge.parse.office import core_title, part_of, related
from tiffin.knowledge.parse.values import BlockKind, Parsed, Unreadable

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SIDE_PARTS = (
    ("header", "Header"),
    ("footer", "Footer"),
    ("footnotes", "Footnote"),
    ("endnotes", "Endnote"),
    ("comments", "Comment"),
)
_UNSEEN = frozenset(
    (f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", f"{_W}delText", f"{_W}rPr", f"{_W}pPr", f"{_MC}Fallback")
)
_SPACING = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "\u2011", f"{_W}ptab": "\t"}
_SYMBOLS = {0xF0B0: "\u00b0", 0xF0B1: "\u00b1", 0xF0B3: "\u2265", 0xF0A3: "\u2264", 0xF06D: "\u00b5"}  # Symbol font
_HEADING_LEVEL_MAX = 9


def parse_docx(archive: Archive) -> Parsed:
    """The body in order, then headers, footers, notes and comments, each once and by name."""
    main = part_of(archive, "officeDocument", "word/document.xml")
    body = archive.tree(main).find(f"{_W}body")
    if body is None:
        raise Unreadable("corrupt", "The Word file has no body.")
    links = related(archive, main)
    styles = _Styles(archive, next((t for kind, t in links if kind == "styles"), None))
    numbers = Numbering(archive, next((t for kind, t in links if kind == "numbering"), None))
    draft = Draft()
    writer = _Writer(draft, styles, numbers)
    writer.write(body)
    for wanted, label in _SIDE_PARTS:
        said_before: set[str] = set()
        for kind, target in links:
            if kind == wanted and archive.has(target):
                for said in _side_texts(archive.tree(target), label):
                    if said not in said_before:
                        said_before.add(said)
                        draft.add("paragraph", said)
    if not draft.length:
        raise Unreadable("empty", "The Word file has no text.")
    return draft.finish("docx", core_title(archive) or writer.title)


class _Styles:
    """What a paragraph style makes of a paragraph: a heading, an item of a list, or neither."""

    def __init__(self, archive: Archive, part: str | None) -> None:
        self._styles: dict[str, etree._Element] = {}
        if part is not None and archive.has(part):
            for style in archive.tree(part).iter(f"{_W}style"):
                self._styles[style.get(f"{_W}styleId", "")] = style

    def kind(self, style_id: str) -> BlockKind:
        for style in self._chain(style_id):
            name = _value(style, "name").lower()
            if name.startswith("heading") or name in ("title", "subtitle") or _outlined(style):
                return "heading"
            if name.startswith(("list ", "toc ")):
                return "list_item"
        return "paragraph"

    def numbering(self, style_id: str) -> tuple[str, str] | None:
        """The list and level that a style puts its paragraphs in."""
        for style in self._chain(style_id):
            number = _path_value(style, "pPr", "numPr", "numId")
            if number:
                return number, _path_value(style, "pPr", "numPr", "ilvl") or "0"
        return None

    def _chain(self, style_id: str) -> Iterator[etree._Element]:
        seen: set[str] = set()
        while style_id and style_id not in seen and style_id in self._styles:
            seen.add(style_id)
            yield self._styles[style_id]
            style_id = _value(self._styles[style_id], "basedOn")


class _Writer:
    """One walk over a body; `title` is the first paragraph in a title or heading style."""

    def __init__(self, draft: Draft, styles: _Styles, numbers: Numbering) -> None:
        self._draft = draft
        self._styles = styles
        self._numbers = numbers
        self.title: str | None = None

    def write(self, container: etree._Element) -> None:
        """Paragraphs and tables in order; anything else is looked into, so that no wrapper hides text."""
        stack = list(reversed(container))
        while stack:
            element = stack.pop()
            if element.tag == f"{_W}p":
                self._paragraph(element)
            elif element.tag == f"{_W}tbl":
                self._table(element)
            elif element.tag not in _UNSEEN and isinstance(element.tag, str):
                stack.extend(reversed(element))

    def _paragraph(self, paragraph: etree._Element) -> None:
        said = words(paragraph)
        style = _path_value(paragraph, "pPr", "pStyle")
        kind = self._styles.kind(style)
        if _outlined(paragraph):
            kind = "heading"
        if said.strip():
            mark = self._mark(paragraph, style)
            if mark is not None and kind == "paragraph":
                kind = "list_item"
            if kind == "heading" and self.title is None:
                self.title = said.strip()
            self._draft.add(kind, f"{mark} {said.strip()}" if mark else said)
        for box in text_boxes(paragraph):
            self.write(box)

    def _mark(self, paragraph: etree._Element, style: str) -> str | None:
        """The number or bullet before a paragraph; empty where it is in a list without one; None outside lists."""
        number = _path_value(paragraph, "pPr", "numPr", "numId")
        level = _path_value(paragraph, "pPr", "numPr", "ilvl")
        if not number:
            inherited = self._styles.numbering(style)
            if inherited is None:
                return None
            number, level = inherited[0], level or inherited[1]
        if number == "0":
            return None
        return self._numbers.next(number, level or "0")

    def _table(self, table: etree._Element) -> None:
        grid: list[list[str]] = []
        marked = False
        for row in _own(table, "tr"):
            if not grid:
                marked = row.find(f"{_W}trPr/{_W}tblHeader") is not None
            grid.append([_cell(cell) for cell in _own(row, "tc")])
        for line in rows.lines(grid, marked=marked):
            self._draft.add("table_row", line)
        for box in text_boxes(table):
            self.write(box)


def _own(parent: etree._Element, name: str) -> Iterator[etree._Element]:
    """Children of a name, also inside content controls and tracked insertions, but not inside nested tables."""
    stack = list(reversed(parent))
    while stack:
        element = stack.pop()
        if element.tag == f"{_W}{name}":
            yield element
        elif element.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            stack.extend(reversed(element))


def _cell(cell: etree._Element) -> str:
    own = (paragraph for paragraph in cell.iter(f"{_W}p") if not _boxed(paragraph, cell))
    return "\n".join(filter(None, (words(paragraph).strip() for paragraph in own)))


def _boxed(paragraph: etree._Element, within: etree._Element) -> bool:
    """Whether a paragraph stands in a text box, which is written on its own, or in a deleted or fallback part."""
    for parent in paragraph.iterancestors():
        if parent is within:
            return False
        if parent.tag == f"{_W}txbxContent" or parent.tag in _UNSEEN:
            return True
    return False


def text_boxes(element: etree._Element) -> Iterator[etree._Element]:
    """Text boxes anchored in an element, outermost only, each once although Word stores it twice."""
    stack = list(reversed(element))
    while stack:
        inner = stack.pop()
        if inner.tag == f"{_W}txbxContent":
            yield inner
        elif inner.tag == f"{_MC}AlternateContent":
            holder = inner.find(f"{_MC}Choice//{_W}txbxContent/..")
            chosen = inner.find(f"{_MC}Choice") if holder is not None else inner.find(f"{_MC}Fallback")
            stack.extend(reversed(chosen) if chosen is not None else ())
        elif inner.tag not in _UNSEEN:
            stack.extend(reversed(inner))


def words(paragraph: etree._Element) -> str:
    """A paragraph's words as they show: inserted text yes, deleted text, field codes and text boxes no."""
    parts: list[str] = []
    stack = list(reversed(paragraph))
    while stack:
        element = stack.pop()
        tag = element.tag
        if tag in (f"{_W}t", f"{_M}t"):
            parts.append(element.text or "")
        elif tag in _SPACING:
            parts.append(_SPACING[tag])
        elif tag == f"{_W}sym":
            parts.append(_symbol(element))
        elif tag in (f"{_W}txbxContent", f"{_W}p") or tag in _UNSEEN:
            continue
        else:
            stack.extend(reversed(element))
    return "".join(parts)


def _symbol(element: etree._Element) -> str:
    code = element.get(f"{_W}char", "")
    try:
        point = int(code, 16)
    except ValueError:
        return ""
    return _SYMBOLS.get(point, "\ufffd")


def _side_texts(root: etree._Element, label: str) -> Iterator[str]:
    """Texts of a header, footer, note or comment part, each with its label; Word's separator notes are skipped."""
    groups = [root] if label in ("Header", "Footer") else list(root)
    for group in groups:
        if group.get(f"{_W}type") in ("separator", "continuationSeparator", "continuationNotice"):
            continue
        said = " ".join(" ".join(words(p).split()) for p in group.iter(f"{_W}p") if not _in_fallback(p)).strip()
        if said:
            author = group.get(f"{_W}author", "") if label == "Comment" else ""
            yield f"{label} by {author}: {said}" if author else f"{label}: {said}"


def _in_fallback(paragraph: etree._Element) -> bool:
    return any(parent.tag == f"{_MC}Fallback" for parent in paragraph.iterancestors())


def _outlined(element: etree._Element) -> bool:
    return whole(_path_value(element, "pPr", "outlineLvl"), _HEADING_LEVEL_MAX) < _HEADING_LEVEL_MAX


def _value(element: etree._Element, name: str) -> str:
    child = element.find(f"{_W}{name}")
    return child.get(f"{_W}val", "") if child is not None else ""


def _path_value(element: etree._Element, *names: str) -> str:
    child = element.find("/".join(f"{_W}{name}" for name in names))
    return child.get(f"{_W}val", "") if child is not None else ""
