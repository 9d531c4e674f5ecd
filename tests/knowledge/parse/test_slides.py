"""Slides: order, titles, tables, charts, notes, hidden slides."""

from __future__ import annotations

import io

from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from tests.knowledge.parse.reading import of_kind, page_text, parsed, refused


def _made() -> bytes:
    show = Presentation()
    first = show.slides.add_slide(show.slide_layouts[1])
    first.shapes.title.text = "Safety review"
    first.placeholders[1].text = "No stopping rule was met\nEnrolment continues"
    first.notes_slide.notes_text_frame.text = "Mention site 03."
    second = show.slides.add_slide(show.slide_layouts[5])
    second.shapes.title.text = "Enrolment"
    box = Inches(1), Inches(2), Inches(5), Inches(2)
    table = second.shapes.add_table(2, 3, *box).table
    for row, cells in enumerate((("Site", "Planned", "Enrolled"), ("01", "12", "9"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    data = CategoryChartData()
    data.categories = ["Q1", "Q2"]
    data.add_series("Participants", (4, 9))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *box, data)
    second._element.set("show", "0")
    buffer = io.BytesIO()
    show.save(buffer)
    return buffer.getvalue()


def test_slides_become_pages_with_titles_as_labels() -> None:
    document = parsed(_made(), "a.pptx")
    assert [(page.number, page.label) for page in document.pages] == [(1, "Safety review"), (2, "Enrolment")]
    assert of_kind(document, "list_item") == ["No stopping rule was met", "Enrolment continues"]
    assert "Notes:\nMention site 03." in page_text(document, 1)
    assert document.title == "Safety review"


def test_tables_and_charts_are_rows() -> None:
    rows = of_kind(parsed(_made(), "a.pptx"), "table_row")
    assert "Site: 01 | Planned: 12 | Enrolled: 9" in rows
    assert "Q1 | Participants: 4" in rows or "Q1 | Participants: 4.0" in rows


def test_hidden_slide_is_read_and_said() -> None:
    assert parsed(_made(), "a.pptx").notes == ("1 of 2 slides are hidden in the slide show (2).",)


def test_slides_without_words_are_empty() -> None:
    show = Presentation()
    show.slides.add_slide(show.slide_layouts[6])
    buffer = io.BytesIO()
    show.save(buffer)
    assert refused(buffer.getvalue(), "a.pptx").reason == "empty"
