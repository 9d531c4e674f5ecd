"""XML to text: elements with words are blocks, small labelled values are `name: value`, entities are never expanded.

lxml with entity resolution off refuses the known bombs and, unlike the standard library, reads UTF-16 documents.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from lxml import etree

from tiffin.knowledge.parse.archive import out_of_memory
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.values import BlockKind, Parsed, Unreadable
from tiffin.knowledge.parse.web import write_html

_HEADINGS = frozenset(("title", "article-title", "heading", "head", "subtitle", "invention-title"))
_PROSE = frozenset(
    ("p", "para", "paragraph", "abstract", "description", "summary", "li", "list-item", "td", "claim-text", "text")
)
_LABEL_VALUE_MAX_CHARS = 200  # characters of a value that still reads as `name: value`
_TAG = re.compile(r"</?(?:p|br|div|a|img|ul|li|span|strong|em|b|i|h[1-6]|table)\b[^<>]*>", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CALLED = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-_.]+")


def parse_xml(data: bytes, text: str) -> Parsed:
    """Every element's words, in document order; the title is the first title-like element."""
    root = _tree(data, text)
    draft = Draft()
    title = None
    for kind, said in _blocks(root):
        if _TAG.search(said):  # feeds carry HTML as escaped text
            write_html(said, draft)
            continue
        if kind == "heading" and title is None:
            title = said
        draft.add(kind, said)
    if not draft.length:
        raise Unreadable("empty", "The XML file has no text between its tags.")
    return draft.finish("xml", title)


def _tree(data: bytes, text: str) -> etree._Element:
    """Parse the bytes, or else the decoded text, where a file declares one encoding and is written in another.

    An entity that the file leaves to an outside DTD stays in the text as a reference.
    """
    first: Exception | None = None
    for source in (data, _DECLARATION.sub("", text, count=1).encode("utf-8")):
        for entities in (True, False):
            try:
                return etree.fromstring(source, _parser(entities))
            except (etree.XMLSyntaxError, ValueError) as error:
                first = first or error
                if "not defined" not in str(error):
                    break
    raise _refusal(first) from first


def _parser(entities: bool) -> etree.XMLParser:
    """With the entities of the file itself within libxml2's bounds for growth, or none at all; nothing from outside."""
    return etree.XMLParser(
        resolve_entities="internal" if entities else False,  # type: ignore[arg-type]  # newer than the stubs
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def _refusal(error: Exception | None) -> Unreadable:
    if isinstance(error, etree.XMLSyntaxError) and out_of_memory(error):
        raise MemoryError from error
    said = str(error).lower()
    if "amplification" in said or ("entity" in said and "loop" in said):
        return Unreadable("corrupt", "The XML file defines entities that expand without end.")
    if "depth" in said or "huge" in said or "too long" in said:
        return Unreadable("too_large", "The XML file nests or grows beyond what is read safely.")
    line = getattr(error, "lineno", None)
    return Unreadable("corrupt", "The file is not well-formed XML" + (f" (line {line})." if line else "."))


def _local(element: etree._Element) -> str:
    tag = element.tag
    return etree.QName(tag).localname if isinstance(tag, str) else ""


def _own_words(element: etree._Element) -> bool:
    """Whether the element itself holds words, before or between its children."""
    if element.text and element.text.strip():
        return True
    return any(child.tag is etree.Entity or (child.tail and child.tail.strip()) for child in element)


def _said(element: etree._Element) -> str:
    """All words inside, in order, without recursion; entities that HTML knows become their character."""
    parts: list[str] = []
    for event, node in etree.iterwalk(element, events=("start", "end")):
        if event == "start":
            text = node.text or ""
            parts.append(html.unescape(text) if node.tag is etree.Entity else text)
        elif node is not element:
            parts.append(node.tail or "")
    return " ".join("".join(parts).split())


def _blocks(root: etree._Element) -> Iterator[tuple[BlockKind, str]]:
    stack: list[etree._Element] = [root]
    while stack:
        element = stack.pop()
        if not isinstance(element.tag, str):
            continue
        children = [child for child in element if isinstance(child.tag, str)]
        if _own_words(element):
            name = _local(element)
            said = _said(element)
            kind: BlockKind = "heading" if name.lower() in _HEADINGS else "paragraph"
            labelled = not children and kind == "paragraph" and len(said) <= _LABEL_VALUE_MAX_CHARS
            if labelled and name.lower() not in _PROSE:
                kind, said = "table_row", f"{_CALLED.sub(' ', name).strip()}: {said}"
            yield kind, said
        elif _is_record(children):
            pairs = [
                f"{_CALLED.sub(' ', _local(child)).strip()}: {_said(child)}" for child in children if _own_words(child)
            ]
            yield "table_row", " | ".join(pairs)
        else:
            stack.extend(reversed(children))


def _is_record(children: list[etree._Element]) -> bool:
    """Whether the children are small labelled values, as a database writes them."""
    if not 2 <= len(children) <= 40:
        return False
    for child in children:
        if len(child) or _local(child).lower() in _HEADINGS or _local(child).lower() in _PROSE:
            return False
        if child.text and len(child.text) > _LABEL_VALUE_MAX_CHARS:
            return False
    return True
