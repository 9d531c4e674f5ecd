"""Sheets: every row a line with its column names; dates and numbers as people read them."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import xlsxwriter

from tests.knowledge.parse import hostile
from tests.knowledge.parse.reading import blocks, of_kind, page_text, parsed, refused


def _book(fill: Any) -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        fill(book)
    return buffer.getvalue()


def test_rows_carry_their_column_names() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("Visits")
        sheet.write_row(0, 0, ["Visit schedule of TFN-201"])
        sheet.write_row(2, 0, ["Visit", "Day", "Window", "Fasting"])
        sheet.write_row(3, 0, ["V3", 15, "+/- 2 days", True])
        sheet.write_row(4, 0, ["V4", 29.5, "", False])

    document = parsed(_book(fill), "a.xlsx")
    assert blocks(document) == [
        ("heading", "Visits"),
        ("paragraph", "Visit schedule of TFN-201"),
        ("table_row", "Visit | Day | Window | Fasting"),
        ("table_row", "Visit: V3 | Day: 15 | Window: +/- 2 days | Fasting: TRUE"),
        ("table_row", "Visit: V4 | Day: 29.5 | Fasting: FALSE"),
    ]


def test_sheets_are_pages_with_names_and_hidden_ones_are_said() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        book.add_worksheet("One").write(0, 0, "first")
        secret = book.add_worksheet("Two")
        secret.write(0, 0, "second")
        secret.hide()

    document = parsed(_book(fill), "a.xlsx")
    assert [(page.number, page.label) for page in document.pages] == [(1, "One"), (2, "Two")]
    assert "second" in page_text(document, 2)
    assert document.notes == ("1 of 2 sheets are hidden (Two).",)


def test_dates_and_numbers_read_as_in_the_program() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("S")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["Date", "Value", "Sum"])
        sheet.write_datetime(1, 0, datetime(2031, 3, 4), day)
        sheet.write_number(1, 1, 0.1 + 0.2)
        sheet.write_formula(1, 2, "=1+1", None, 2)

    assert of_kind(parsed(_book(fill), "a.xlsx"), "table_row")[1] == "Date: 2031-03-04 | Value: 0.3 | Sum: 2"


def test_comments_and_text_boxes_are_read() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("S")
        sheet.write(0, 0, "x")
        sheet.write_comment(0, 0, "check this cell")
        sheet.insert_textbox(3, 3, "drawn words")

    text = parsed(_book(fill), "a.xlsx").text
    assert "check this cell" in text and "drawn words" in text


def test_label_and_value_columns_get_no_invented_header() -> None:
    def fill(book: xlsxwriter.Workbook) -> None:
        sheet = book.add_worksheet("S")
        for row, pair in enumerate((("Study", "TFN-201"), ("Sponsor", "Nordlys"))):
            sheet.write_row(row, 0, pair)

    assert of_kind(parsed(_book(fill), "a.xlsx"), "table_row") == ["Study | TFN-201", "Sponsor | Nordlys"]


def test_empty_workbook_is_refused() -> None:
    assert refused(_book(lambda book: book.add_worksheet("S")), "a.xlsx").reason == "empty"


def test_formulas_without_value_are_said() -> None:
    data = hostile.xlsx('<row r="1"><c r="A1"><v>1</v></c><c r="B1"><f>A1+1</f></c></row>')
    assert any("1 formulas have no stored value" in note for note in parsed(data, "a.xlsx").notes)


def test_file_name_does_not_matter() -> None:
    data = _book(lambda book: book.add_worksheet("S").write(0, 0, "x"))
    document = parsed(data, "really.pdf")
    assert document.kind == "xlsx"
    assert document.notes == ("The name ends in .pdf, but the content is xlsx; it was read as xlsx.",)
