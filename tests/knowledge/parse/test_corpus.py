"""The public documents of the workplace: every one ends as text or as a refusal whose reason is the expected one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tiffin.knowledge.parse import Parsed, Parser, Refused

DOCS = Path(__file__).resolve().parents[4] / "shared" / "data" / "common" / "docs"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not DOCS.is_dir(), reason="the public document collection is not on this machine"),
]
EMPTY = {
    "corrupt_hostile/empty.txt",
    "corrupt_hostile/empty.xlsx",
    "corrupt_hostile/fake-text-all-whitespace.txt",
    "corrupt_hostile/no_contents.pdf",
    "corrupt_hostile/testPDF_malformedXFA.pdf",
}
UNREADABLE_KINDS = (".zip", ".doc", ".ppt", ".rtf", ".odt", ".odp", ".jpeg", ".bin")


def _expected(name: str, row: dict[str, str]) -> str:
    """The verdict that the catalogue calls for."""
    if name in EMPTY:
        return "empty"
    if name == "corrupt_hostile/testODTnotaZipFile.odt":
        return "parsed"  # plain text under another name: read as what it is, with a note
    if name == "encrypted/r6-user-password.pdf":
        return "encrypted"  # its password is asdfzxcv, whatever the catalogue says
    if name.startswith("encrypted/") and row["password"] != "''":
        return "encrypted"
    if row["pdf_pages"] and row["pypdf_text_chars"] == "0":
        return "no_text_layer"
    return "unsupported" if name.endswith(UNREADABLE_KINDS) else "parsed"


async def test_every_public_document_gets_the_verdict_it_should(parser: Parser) -> None:
    lines = (DOCS / "CATALOG.tsv").read_text(encoding="utf-8").splitlines()
    columns = lines[0].split("\t")
    rows = [dict(zip(columns, line.split("\t"), strict=False)) for line in lines[1:]]
    results = await asyncio.gather(*(parser.parse(DOCS / row["file"], Path(row["file"]).name) for row in rows))
    wrong = {}
    for row, result in zip(rows, results, strict=True):
        verdict = result.reason if isinstance(result, Refused) else "parsed"
        if verdict != _expected(row["file"], row):
            wrong[row["file"]] = (verdict, result)
        if isinstance(result, Parsed) and row["pdf_pages"]:
            assert len(result.pages) == int(row["pdf_pages"]), row["file"]
    assert not wrong
    assert sum(isinstance(result, Parsed) for result in results) == 86


async def test_characters_of_real_pdfs_agree_with_an_independent_reader(parser: Parser) -> None:
    """pypdf counted the characters of each file for the catalogue; ours may differ by spacing only."""
    lines = (DOCS / "CATALOG.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        name, _, _, _, chars, *_ = line.split("\t")
        if name.startswith(("pharma_guidance/", "papers_two_column/")):
            result = await parser.parse(DOCS / name, Path(name).name)
            assert isinstance(result, Parsed)
            assert 0.93 < len(result.text) / int(chars) < 1.07, name
