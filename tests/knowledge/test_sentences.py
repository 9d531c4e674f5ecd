from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.knowledge.sentences import SENTENCE_CHARS_MAX, sentences


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["Fig. 3 shows it.", "We gave 3.5 mg, e.g. of aspirin vs. placebo.", "Smith et al. (2010) found it."],
        ["Dr. J. Smith agreed.", "See p. 5.", "The end."],
        ["It began in 2019.", "The trial was stopped.", "He was 65.", "No one knew."],
        ["“Really?”", "She said so!", "Then (see Table 2)."],
        ["It ended in the U.S.", "The next one began."],
        ["The U.S. Government said so."],
        ["He took vitamin C.", "It helped."],
        ["The rise was small (P <. 001).", "It stopped."],
        ["It was so.[12]", "The next came."],
        ["Am 31. Dezember 2024 endet der Vertrag.", "Das gilt z. B. für Kunden bzw. Partner, d.h. für alle."],
        ["Die 2. Sitzung war kurz.", "Siehe Abs. 3 und Nr. 5.", "Herr Dr. Müller kam."],
    ],
)
def test_sentences_end_where_a_reader_ends_them(parts: list[str]) -> None:
    assert split(" ".join(parts)) == parts


def test_japanese_needs_no_space_between_sentences() -> None:
    assert split("これは文です。これも文です！「本当ですか？」と彼は言った。") == [
        "これは文です。",
        "これも文です！",
        "「本当ですか？」と彼は言った。",
    ]


def test_a_wrapped_line_goes_on_and_a_meant_line_end_does_not() -> None:
    text = (
        "3.1 Inclusion criteria \n"
        "The primary endpoint is the change in monthly migraine days during weeks 9 to \n"
        "12. Secondary endpoints are the share of participants whose days fall by half. \n"
        "- The person is an adult. \n"
        "- The person has signed. \n"
    )
    assert split(text) == [
        "3.1 Inclusion criteria",
        "The primary endpoint is the change in monthly migraine days during weeks 9 to \n12.",
        "Secondary endpoints are the share of participants whose days fall by half.",
        "- The person is an adult.",
        "- The person has signed.",
    ]


def test_headings_and_rows_stand_alone() -> None:
    assert split("# Title\nText one.\n\nVisit: V1 | Day: 1\nVisit: V2 | Day: 8\n\na\tb\n1\t2") == [
        "# Title",
        "Text one.",
        "Visit: V1 | Day: 1",
        "Visit: V2 | Day: 8",
        "a\tb",
        "1\t2",
    ]


def test_a_range_gives_spans_of_the_whole_text() -> None:
    text = "One is here. Two is here. Three is here."
    assert [text[a:b] for a, b in sentences(text, 13, 25)] == ["Two is here."]


PIECES = (
    "Dr|al|No|5|3.5|a|The|über|文|。|.|!|?|…| |  |\t|-|- |1. |#|“|”|)|\x02|\u00ad|\f|\u2028|\U0001f9ea|e\u0301".split(
        "|"
    ),
    ["\n", "\n\n", "\r\n", " | "],
)
TEXTS = st.lists(st.sampled_from([*PIECES[0], *PIECES[1]]) | st.text(max_size=8), max_size=60).map("".join)


@given(TEXTS)
def test_spans_are_exact_ordered_bounded_and_lose_no_word(text: str) -> None:
    spans = sentences(text)
    at = 0
    for start, end in spans:
        assert at <= start < end <= len(text)
        assert end - start <= SENTENCE_CHARS_MAX
        assert text[start:end] == text[start:end].strip()
        assert not any(c.isalnum() for c in text[at:start])
        at = end
    assert not any(c.isalnum() for c in text[at:])


@pytest.mark.parametrize(
    "unit", [".", " ", "\n", ". ", "A. ", "1. ", "e.g. ", "a", "“", "x\n", "\n ", "。", "[1]", "- "]
)
def test_hostile_text_is_read_in_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    began = time.process_time()
    sentences(text)
    assert time.process_time() - began < 5  # seconds; quadratic rules take minutes
