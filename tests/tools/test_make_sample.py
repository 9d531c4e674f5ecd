"""The sample collection: made by its script byte for byte, readable, and holding the answers to its questions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.knowledge.parse.reading import of_kind, parsed
from tiffin.knowledge.parse import searchable

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tiffin" / "sample"
KINDS = {
    "protocol.pdf": "pdf",
    "sop-022-storage.docx": "docx",
    "adverse-events.csv": "csv",
    "temperature-notice.html": "html",
    "committee-minutes.md": "markdown",
    "visit-schedule.xlsx": "xlsx",
}
QUESTIONS = json.loads((SAMPLE / "questions.json").read_text(encoding="utf-8"))


def test_the_script_makes_the_committed_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools" / "make_sample.py"), str(tmp_path)], check=True, timeout=60)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in SAMPLE.iterdir()}
    assert sum(map(len, made.values())) < 300_000


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_each_file_is_read_without_a_note(name: str, kind: str) -> None:
    document = parsed((SAMPLE / name).read_bytes(), name)
    assert (document.kind, document.notes) == (kind, ())
    assert document.blocks and sum(block.end - block.start for block in document.blocks) > 0.9 * len(document.text)


def test_the_protocol_has_headings_on_its_pages() -> None:
    document = parsed((SAMPLE / "protocol.pdf").read_bytes(), "protocol.pdf")
    assert 3 <= len(document.pages) <= 6
    assert {"4.1 Dose", "6.2 Serious adverse events", "7.2 For the trial"} <= set(of_kind(document, "heading"))


@pytest.mark.parametrize("asked", QUESTIONS, ids=[asked["question"] for asked in QUESTIONS])
def test_each_answer_stands_in_one_block_of_its_document(asked: dict[str, str | None]) -> None:
    name = asked["document"]
    if name is None:
        assert asked["answer_contains"] is None
        return
    document = parsed((SAMPLE / name).read_bytes(), name)
    said = [searchable(document.text[block.start : block.end]) for block in document.blocks]
    assert any(str(asked["answer_contains"]) in text for text in said)


def test_there_are_questions_with_and_without_an_answer() -> None:
    answered = [asked for asked in QUESTIONS if asked["answer_contains"] is not None]
    assert (len(answered), len(QUESTIONS) - len(answered)) == (12, 5)
    assert {asked["document"] for asked in answered} == set(KINDS)
