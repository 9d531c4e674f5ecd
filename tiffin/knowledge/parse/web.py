"""HTML to blocks, by walking the parsed tree without recursion; scripts, styles and hidden elements are left out.

Depth is counted before parsing: lexbor keeps deep text but is quadratic in depth, and lxml's HTML parser silently drops
everything below about 256 levels, which is why it is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tiffin.knowledge.parse import limits, rows
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.values import BlockKind, Parsed, Unreadable

_SKIPPED = frozenset("script style template noscript head svg iframe object canvas datalist dialog -comment".split())
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure footer form"
    " h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol option p pre search section select summary"
    " table tbody td"
    " tfoot th thead tr ul".split()
)
_IMPLIED = frozenset("p li dt dd tr td th tbody thead tfoot option optgroup colgroup rp rt".split())  # often left open
_TAG = re.compile(
    r"<!--.*?-->|<script\b.*?</script|<style\b.*?</style|<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*?(/?)>",
    re.DOTALL | re.IGNORECASE,
)
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_NUMBER_ONLY = re.compile(r"\s*-?\d{1,7}\. \s*")
_META_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_META_WITHIN_BYTES = 4096  # bytes; browsers look at 1,024, generators put it later


def declared_charset(data: bytes) -> str | None:
    """The encoding that the page itself names."""
    found = _META_CHARSET.search(data[:_META_WITHIN_BYTES])
    return found.group(1).decode("ascii", errors="replace") if found else None


def parse_html(text: str) -> Parsed:
    """A page's visible text, block by block."""
    draft = Draft()
    title = write_html(text, draft)
    return draft.finish("html", title)


def write_html(text: str, draft: Draft) -> str | None:
    """Append a page's blocks to a draft and give its title; mail bodies use this, too."""
    depth = nesting(text)
    if depth > limits.HTML_MAX_DEPTH:
        raise Unreadable("too_large", f"The page nests {depth:,} elements; {limits.HTML_MAX_DEPTH:,} are allowed.")
    tree = LexborHTMLParser(text)
    root = tree.body or tree.root
    if root is not None:
        _Writer(draft).write(root)
    title = tree.css_first("title")
    return title.text(deep=True) if title is not None else None


def nesting(text: str) -> int:
    """The deepest nesting that the tags can build, counted without building it; what may stay open is not counted."""
    depth = deepest = 0
    for match in _TAG.finditer(text):
        closing, name, closed = match.groups()
        if name is None or closed or name.lower() in _VOID or name.lower() in _IMPLIED:
            continue
        depth = max(depth - 1, 0) if closing else depth + 1
        deepest = max(deepest, depth)
    return deepest


class _Writer:
    """One walk over a tree; the words since the last block border wait in `_words`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._words: list[str] = []
        self._inside: list[str] = []  # open heading, list item and pre elements, innermost last
        self._counts: list[int | None] = []  # numbers of open lists, None for lists without

    def write(self, root: LexborNode) -> None:
        for node, entering in _walk(root):
            tag = node.tag
            if tag == "-text":
                self._words.append(node.text_content or "")
            elif tag == "br" and entering:
                self._words.append("\n" if "pre" in self._inside else " \n")
            elif tag == "img" and entering:
                self._words.append(" " + (node.attributes.get("alt") or "") + " ")
            elif tag == "table" and entering and _is_data(node):
                self._flush()
                self._table(node)
            elif tag in _BLOCKS:
                self._border(node, tag, entering=entering)
        self._flush()

    def _border(self, node: LexborNode, tag: str, *, entering: bool) -> None:
        self._flush()
        if tag in ("ol", "ul", "menu"):
            if entering:
                self._counts.append(_first_number(node) - 1 if tag == "ol" else None)
            elif self._counts:
                self._counts.pop()
        if tag == "li" and entering and self._counts and (count := self._counts[-1]) is not None:
            self._counts[-1] = count + 1
            self._words.append(f"{count + 1}. ")
        if tag in _HEADINGS or tag in ("li", "pre", "dt", "dd"):
            if entering:
                self._inside.append(tag)
            elif self._inside:
                self._inside.pop()

    def _flush(self) -> None:
        said = "".join(self._words)
        if _NUMBER_ONLY.fullmatch(said):  # an item's number waits for the item's first words
            return
        self._words = []
        inner = self._inside[-1] if self._inside else ""
        if "pre" in self._inside:
            self._draft.add("code", said.strip("\n"))
            return
        kind: BlockKind = "heading" if inner in _HEADINGS else "list_item" if inner in ("li", "dd") else "paragraph"
        self._draft.add(kind, "\n".join(filter(None, (" ".join(line.split()) for line in _lines(said)))))

    def _table(self, table: LexborNode) -> None:
        grid: list[list[str]] = []
        marked = False
        for row in _own_rows(table):
            cells = [node for node in _children(row) if node.tag in ("td", "th")]
            if not grid:
                marked = bool(cells) and all(node.tag == "th" for node in cells)
            if cells:
                grid.append([_inline(node) for node in cells])
        caption = table.css_first("caption")
        if caption is not None:
            self._draft.add("paragraph", _inline(caption))
        for line in rows.lines(grid, marked=marked):
            self._draft.add("table_row", line)


def _first_number(node: LexborNode) -> int:
    start = node.attributes.get("start") or ""
    return int(start) if re.fullmatch(r"-?\d{1,6}", start) else 1


def _lines(said: str) -> list[str]:
    """Split at `<br>` (written as ` \\n`); line ends of the source are only white space."""
    return said.replace(" \n", "\x00").replace("\n", " ").split("\x00")


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        yield child
        child = child.next


def _own_rows(table: LexborNode) -> Iterator[LexborNode]:
    for child in _children(table):
        if child.tag == "tr":
            yield child
        elif child.tag in ("thead", "tbody", "tfoot"):
            yield from (row for row in _children(child) if row.tag == "tr")


def _is_data(table: LexborNode) -> bool:
    """Whether a table holds data and does not lay out a page: it has header cells, or only words in its cells."""
    cells = [cell for row in _own_rows(table) for cell in _children(row)]
    if any(cell.tag == "th" for cell in cells):
        return True
    return all(cell.css_first("table, h1, h2, h3, ul, p + p") is None for cell in cells if cell.tag == "td")


def _visible(node: LexborNode) -> bool:
    tag = node.tag
    if tag is None or tag in _SKIPPED or (tag.startswith("-") and tag != "-text"):
        return False
    if tag == "-text":
        return True
    attributes = node.attributes
    return "hidden" not in attributes and not _HIDDEN_STYLE.search(attributes.get("style") or "")


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every visible node on entering and, if it has children, on leaving; tables of data are entered by the caller."""
    stack: list[tuple[LexborNode, bool]] = [(root, True)]
    while stack:
        node, entering = stack.pop()
        if entering and not _visible(node):
            continue
        yield node, entering
        if not entering or node.tag == "-text":
            continue
        stack.append((node, False))
        if node.tag == "table" and _is_data(node):
            continue
        stack.extend((child, True) for child in reversed(list(_children(node))))


def _inline(node: LexborNode) -> str:
    parts: list[str] = []
    for inner, entering in _walk(node):
        if inner.tag == "-text":
            parts.append(inner.text_content or "")
        elif inner.tag == "img" and entering:
            parts.append(" " + (inner.attributes.get("alt") or "") + " ")
        elif inner.tag in _BLOCKS or inner.tag == "br":
            parts.append(" ")
    return " ".join("".join(parts).split())
