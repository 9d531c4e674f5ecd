"""Files made to hurt: each ends as a refusal with the right reason, or as text, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.knowledge.parse import hostile
from tiffin.knowledge.parse import Parsed, Parser, Refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED: list[tuple[str, Callable[[], bytes], set[str]]] = [
    ("bomb.docx", hostile.docx_bomb, {"too_large"}),
    ("lying.docx", hostile.lying_docx_bomb, {"corrupt"}),
    ("members.docx", hostile.many_members, {"too_large"}),
    ("deep.docx", lambda: hostile.docx("<w:sdt>" * 20_000 + "<w:p/>" + "</w:sdt>" * 20_000), {"corrupt", "too_large"}),
    ("far.xlsx", hostile.far_cell, {"too_large"}),
    ("bomb.xlsx", lambda: hostile.xlsx("<row>" + "<c><v>1</v></c>" * 9_000_000 + "</row>"), {"too_large"}),
    ("letters.pdf", lambda: hostile.text_bomb_pdf(30), {"out_of_memory", "too_large"}),
    ("nested.pdf", hostile.nested_forms_pdf, {"out_of_memory", "took_too_long"}),
    ("pages.pdf", lambda: hostile.many_pages_pdf(200_000), {"too_large"}),
    ("spaces.pdf", lambda: hostile.pdf(hostile.one_page_pdf(b" " * (1 << 30))), {"out_of_memory"}),
    ("cut.pdf", lambda: hostile.text_bomb_pdf(1)[:900], {"corrupt"}),
    ("mark.pdf", lambda: b"%PDF-1.7\n", {"corrupt"}),
    ("laughs.xml", hostile.billion_laughs, {"corrupt"}),
    ("deep.xml", lambda: b"<a>" * 5_000 + b"x" + b"</a>" * 5_000, {"too_large"}),
    ("deep.html", lambda: b"<div>" * 200_000 + b"after", {"too_large"}),
    ("nested.eml", lambda: hostile.nested_mail(5_000), {"corrupt"}),
    ("parts.eml", lambda: hostile.nested_multiparts(3_000), {"corrupt", "too_large"}),
    ("wide.csv", lambda: b",".join([b"a"] * 200_000) + b"\n", {"too_large"}),
    ("zeros.pdf", lambda: b"\0" * 1_000, {"empty"}),
    ("noise.txt", lambda: bytes(range(256)) * 40, {"unsupported"}),
]


@pytest.mark.parametrize(("name", "make", "reasons"), REFUSED, ids=[name for name, _, _ in REFUSED])
async def test_hostile_file_is_refused_in_time(
    parser: Parser, tmp_path: Path, name: str, make: Callable[[], bytes], reasons: set[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(make())
    began = time.monotonic()
    result = await parser.parse(path, name)
    assert isinstance(result, Refused), result
    assert result.reason in reasons, result
    assert result.detail.endswith(".") and "\n" not in result.detail
    assert time.monotonic() - began < 90


async def test_local_file_named_by_xml_is_not_read(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the secret")
    (tmp_path / "a.xml").write_bytes(hostile.outside_entity(str(tmp_path / "secret")))
    result = await parser.parse(tmp_path / "a.xml", "a.xml")
    assert isinstance(result, Parsed) and result.text == "a: before &x; after"


async def test_text_below_deep_nesting_survives(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<div>" * 4_900 + b"<p>below</p>")
    result = await parser.parse(tmp_path / "a.html", "a.html")
    assert isinstance(result, Parsed) and result.text == "below"


async def test_paragraphs_that_are_never_closed_are_not_nesting(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_bytes(b"<html>" + b"<p>para\n" * 20_000)
    result = await parser.parse(tmp_path / "a.html", "a.html")
    assert isinstance(result, Parsed) and len(result.blocks) == 20_000


@pytest.mark.parametrize(
    "suffix", ["pdf", "docx", "pptx", "xlsx", "xls", "msg", "eml", "html", "xml", "csv", "md", "txt"]
)
@pytest.mark.parametrize(
    "head", [b"", b"%PDF-1.7\n", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"<?xml version='1.0'?>"]
)
async def test_noise_behind_every_magic_ends_in_a_value(
    parser: Parser, tmp_path: Path, suffix: str, head: bytes
) -> None:
    path = tmp_path / f"noise.{suffix}"
    path.write_bytes(head + bytes((n * 7919 + n // 256) % 256 for n in range(4_000)))
    assert isinstance(await parser.parse(path, path.name), Parsed | Refused)
