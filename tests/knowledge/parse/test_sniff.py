"""Kinds: content decides, and a false name is said."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.knowledge.parse.reading import parsed, refused


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (b"<!DOCTYPE html><p>x", "a.xls", "html"),
        (b"<html><body>x</body></html>", "a.txt", "html"),
        (b"<?xml version='1.0'?><a>x</a>", "a.txt", "xml"),
        (b"<?xml version='1.0'?><html xmlns='http://www.w3.org/1999/xhtml'><body>x</body></html>", "a.xml", "html"),
        (b"just words", "a.pdf", "text"),
        (b"just words", "a.html", "text"),
        (b"# heading", "a.md", "markdown"),
        (b"a;b\n1;2\n", "a.CSV", "csv"),
        (b"We write %PDF- in this note and nothing more.", "a.txt", "text"),
        (b"ID3,PAR1,value\n1,2,3\n", "a.csv", "csv"),
        (b'{"key": 1}', "a.json", "text"),
    ],
)
def test_kind(data: bytes, name: str, kind: str) -> None:
    assert parsed(data, name).kind == kind


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "PNG image"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "[documents]"),
        (b"{\\rtf1 words}", "RTF"),
        (b"\x7fELF" + b"\0" * 20, "program"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio"),
        (b"\x1f\x8b\x08" + b"\1" * 20, "gzip"),
    ],
)
def test_other_formats_are_refused_by_name(data: bytes, word: str) -> None:
    refusal = refused(data, "a.txt")
    assert refusal.reason == "unsupported" and word in refusal.detail


def test_plain_zip_is_not_followed() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "words")
    assert "unpack" in refused(buffer.getvalue(), "a.zip").detail


def test_false_name_is_said() -> None:
    assert parsed(b"just words", "a.pdf").notes == (
        "The name ends in .pdf, but the content is text; it was read as text.",
    )
    assert parsed(b"just words", "a.txt").notes == ()
