"""PowerPoint files, slide by slide in the order they are shown: text, tables, charts, diagrams, notes and comments.

Page numbers are slide numbers; a page's label is the slide's title.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from tiffin.knowledge.parse import rows
from tiffin.knowledge.parse.archive import Archive
from tiffin.knowledge.parse.draft import Draft, listed
from tiffin.knowledge.parse.office import core_title, part_of, relations
from tiffin.knowledge.parse.values import BlockKind, Parsed, Unreadable

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TITLES = ("title", "ctrTitle")
_FURNITURE = ("sldNum", "dt", "sldImg")  # slide number, date, and the picture of the slide on its notes page
_DIAGRAM = "diagramData"


def parse_pptx(archive: Archive) -> Parsed:
    """Every slide is a page, hidden ones too, with a note that says so."""
    main = part_of(archive, "officeDocument", "ppt/presentation.xml")
    links = relations(archive, main)
    draft = Draft()
    hidden: list[int] = []
    first_title: str | None = None
    number = 0
    for slide in archive.tree(main).iter(f"{_P}sldId"):
        target = links.get(slide.get(f"{_R}id", ""), ("", ""))[1]
        if not archive.has(target):
            continue
        number += 1
        root = archive.tree(target)
        title = _title(root)
        first_title = first_title or title
        if root.get("show") in ("0", "false"):
            hidden.append(number)
        draft.page(number, title)
        _write_slide(archive, target, root, draft)
    if not draft.has_blocks:
        raise Unreadable("empty", "The slides have no text.")
    if hidden:
        draft.note(f"{len(hidden)} of {number} slides are hidden in the slide show ({listed(hidden)}).")
    return draft.finish("pptx", core_title(archive) or first_title)


def _write_slide(archive: Archive, part: str, root: etree._Element, draft: Draft) -> None:
    links = relations(archive, part)
    tree = root.find(f"{_P}cSld/{_P}spTree")
    if tree is not None:
        _write_shapes(archive, tree, links, draft)
    for kind, target in links.values():
        if kind == _DIAGRAM and archive.has(target):
            for said in _paragraphs(archive.tree(target)):
                draft.add("paragraph", said)
        elif kind == "notesSlide" and archive.has(target):
            notes = archive.tree(target).find(f"{_P}cSld/{_P}spTree")
            for shape in notes.iter(f"{_P}sp") if notes is not None else ():
                if _placeholder(shape) == "body":
                    draft.add("paragraph", "\n".join(("Notes:", *_paragraphs(shape))) if _has_words(shape) else "")
        elif kind == "comments" and archive.has(target):
            for said in _comments(archive.tree(target)):
                draft.add("paragraph", f"Comment: {said}")


def _write_shapes(archive: Archive, tree: etree._Element, links: dict[str, tuple[str, str]], draft: Draft) -> None:
    """Shapes in drawing order, groups opened, each alternative once."""
    stack = list(reversed(tree))
    while stack:
        shape = stack.pop()
        tag = shape.tag
        if tag in (f"{_P}sp", f"{_P}cxnSp"):
            _write_text(shape, draft)
        elif tag == f"{_P}graphicFrame":
            _write_frame(archive, shape, links, draft)
        elif tag == f"{_P}grpSp":
            stack.extend(reversed(shape))
        elif tag == f"{_MC}AlternateContent":
            choice = shape.find(f"{_MC}Choice")
            chosen = choice if choice is not None and _has_words(choice) else shape.find(f"{_MC}Fallback")
            stack.extend(reversed(chosen) if chosen is not None else ())


def _write_text(shape: etree._Element, draft: Draft) -> None:
    place = _placeholder(shape)
    if place in _FURNITURE:
        return
    said = list(_paragraphs(shape))
    kind: BlockKind = "list_item" if place == "body" and len(said) > 1 else "paragraph"
    if place in _TITLES:
        kind, said = "heading", [" ".join(said)]
    for line in said:
        draft.add(kind, line)


def _write_frame(archive: Archive, frame: etree._Element, links: dict[str, tuple[str, str]], draft: Draft) -> None:
    for table in frame.iter(f"{_A}tbl"):
        grid = [[" ".join(_paragraphs(cell)) for cell in row.iter(f"{_A}tc")] for row in table.iter(f"{_A}tr")]
        properties = table.find(f"{_A}tblPr")
        marked = properties is not None and properties.get("firstRow") in ("1", "true")
        for line in rows.lines(grid, marked=marked):
            draft.add("table_row", line)
    for chart in frame.iter(f"{_C}chart"):
        target = links.get(chart.get(f"{_R}id", ""), ("", ""))[1]
        if archive.has(target):
            _write_chart(archive.tree(target), draft)


def _write_chart(root: etree._Element, draft: Draft) -> None:
    """A chart's title, and one row a category with the value of each series, as its cached data says."""
    for title in root.iter(f"{_C}title"):
        draft.add("paragraph", " ".join(_paragraphs(title)))
    names: list[str] = [""]
    table: dict[int, list[str]] = {}
    for series in root.iter(f"{_C}ser"):
        at = len(names)
        names.append(" ".join(v.text or "" for v in series.findall(f"{_C}tx//{_C}v")) or f"Series {at}")
        for place, point in _points(series, "cat", "xVal"):
            row = table.setdefault(place, [""])
            row[0] = row[0] or point
        for place, point in _points(series, "val", "yVal"):
            row = table.setdefault(place, [""])
            row.extend([""] * (at + 1 - len(row)))
            row[at] = point
    for place in sorted(table):
        label, *values = table[place]
        said = rows.named_line(names[1:], values)
        draft.add("table_row", " | ".join(filter(None, (label, said))))


def _points(series: etree._Element, *names: str) -> Iterator[tuple[int, str]]:
    for name in names:
        for point in series.findall(f"{_C}{name}//{_C}pt"):
            place = point.get("idx", "")
            value = point.findtext(f"{_C}v") or ""
            if place.isascii() and place.isdigit() and len(place) < 7:
                yield int(place), value.strip()


def _placeholder(shape: etree._Element) -> str | None:
    """The kind of placeholder a shape fills (`body` where it does not say), or None for a free shape."""
    place = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return None if place is None else place.get("type", "body")


def _title(root: etree._Element) -> str | None:
    for shape in root.iter(f"{_P}sp"):
        if _placeholder(shape) in _TITLES:
            said = " ".join(" ".join(_paragraphs(shape)).split())
            if said:
                return said[:200]
    return None


def _has_words(element: etree._Element) -> bool:
    return any(text.text and text.text.strip() for text in element.iter(f"{_A}t"))


def _paragraphs(element: etree._Element) -> Iterator[str]:
    for paragraph in element.iter(f"{_A}p"):
        parts = []
        for run in paragraph.iter(f"{_A}t", f"{_A}br", f"{_A}tab"):
            parts.append((run.text or "") if run.tag == f"{_A}t" else "\n" if run.tag == f"{_A}br" else "\t")
        said = "".join(parts).replace("\x0b", "\n").strip()
        if said:
            yield said


def _comments(root: etree._Element) -> Iterator[str]:
    """Classic comments hold plain text, threaded ones hold paragraphs."""
    for text in root.iter(f"{_P}text"):
        if text.text and text.text.strip():
            yield " ".join(text.text.split())
    yield from (" ".join(said.split()) for said in _paragraphs(root))
