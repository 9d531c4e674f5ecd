"""Helpers of these tests: read bytes as a child would, and speak about blocks by their text."""

from __future__ import annotations

from tiffin.knowledge.parse.dispatch import read
from tiffin.knowledge.parse.values import Parsed, Refused, fault


def parsed(data: bytes, name: str) -> Parsed:
    """Read bytes that must be readable, and check every offset."""
    result = read(data, name)
    assert isinstance(result, Parsed), result
    assert fault(result) is None
    return result


def refused(data: bytes, name: str) -> Refused:
    """Read bytes that must be refused, with one plain sentence."""
    result = read(data, name)
    assert isinstance(result, Refused), result
    assert result.detail.endswith(".") and 10 < len(result.detail) <= 300, result.detail
    return result


def blocks(document: Parsed) -> list[tuple[str, str]]:
    """(kind, text) of every block."""
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def of_kind(document: Parsed, kind: str) -> list[str]:
    """Texts of the blocks of one kind."""
    return [text for found, text in blocks(document) if found == kind]


def page_text(document: Parsed, number: int) -> str:
    """What stands on a page."""
    page = next(page for page in document.pages if page.number == number)
    return document.text[page.start : page.end]
