"""CSV: delimiters, headers, ragged rows, quotes that never end."""

from __future__ import annotations

import pytest

from tests.knowledge.parse.reading import blocks, of_kind, parsed


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiter_is_found(mark: str) -> None:
    data = mark.join(("Subject", "Event, in words", "Grade")) if mark != "," else 'Subject,"Event, in words",Grade'
    row = mark.join(("1003", "Headache", "2"))
    document = parsed(f"{data}\n{row}\n{row}\n".encode(), "a.csv")
    assert of_kind(document, "table_row")[1] == "Subject: 1003 | Event, in words: Headache | Grade: 2"


def test_title_lines_stand_above_the_table() -> None:
    document = parsed(b"Adverse events\n\nSubject,Event,Grade\n1,Rash,1\n2,Cough,2\n", "a.csv")
    assert blocks(document)[:2] == [("paragraph", "Adverse events"), ("table_row", "Subject | Event | Grade")]


def test_numbers_in_the_first_row_are_no_header() -> None:
    assert of_kind(parsed(b"1,2,3\n4,5,6\n", "a.csv"), "table_row") == ["1 | 2 | 3", "4 | 5 | 6"]


def test_ragged_rows_are_kept_and_said() -> None:
    document = parsed(b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,2,3\n", "a.csv")
    assert of_kind(document, "table_row")[3] == "a: 1 | b: 2 | c: 3 | Column 4: 4"
    assert document.notes == ("2 of 5 rows have another number of cells than the first row.",)


def test_quoted_cells_may_hold_line_ends() -> None:
    document = parsed(b'id,answer,source\n1,"two\nlines",x\n2,"a ""b""",y\n', "a.csv")
    assert of_kind(document, "table_row")[1:] == [
        "id: 1 | answer: two lines | source: x",
        'id: 2 | answer: a "b" | source: y',
    ]


def test_quote_that_never_ends_swallows_no_rows() -> None:
    document = parsed(b'a,b,c\n1,"2,3\n' + b"4,5,6\n" * 600, "a.csv")
    assert len(of_kind(document, "table_row")) == 602
    assert "never closed" in document.notes[0]


def test_utf_16_is_read() -> None:
    document = parsed("Team,Ort,Zahl\nBlüten,Köln,1\n".encode("utf-16"), "a.csv")
    assert of_kind(document, "table_row")[1] == "Team: Blüten | Ort: Köln | Zahl: 1"
