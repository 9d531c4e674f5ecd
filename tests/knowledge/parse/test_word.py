"""Word: everything that a reader sees, in order, with the numbers that Word computes."""

from __future__ import annotations

import io

import docx
from docx.oxml.ns import qn
from docx.shared import Pt

from tests.knowledge.parse import hostile
from tests.knowledge.parse.reading import blocks, of_kind, parsed, refused


def _saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def test_headings_paragraphs_lists_and_tables_in_order() -> None:
    document = docx.Document()
    document.core_properties.title = "SOP 012"
    document.add_heading("Storage", 1)
    document.add_paragraph("Keep at 2 to 8 degrees.")
    document.add_paragraph("First step", style="List Bullet")
    table = document.add_table(rows=1, cols=3)
    for cell, text in zip(table.rows[0].cells, ("Site", "Fridge", "Limit"), strict=True):
        cell.text = text
    for cell, text in zip(table.add_row().cells, ("01", "F-3", "8 degrees"), strict=True):
        cell.text = text
    document.add_paragraph("After the table.")
    result = parsed(_saved(document), "a.docx")
    assert blocks(result) == [
        ("heading", "Storage"),
        ("paragraph", "Keep at 2 to 8 degrees."),
        ("list_item", "First step"),
        ("table_row", "Site | Fridge | Limit"),
        ("table_row", "Site: 01 | Fridge: F-3 | Limit: 8 degrees"),
        ("paragraph", "After the table."),
    ]
    assert (result.title, result.pages) == ("SOP 012", ())


def test_label_value_table_gets_no_invented_header() -> None:
    lines = ["Study | TFN-201", "Sponsor | Nordlys", "Phase | Two"]
    document = docx.Document()
    table = document.add_table(rows=0, cols=2)
    for label, value in (("Study", "TFN-201"), ("Sponsor", "Nordlys"), ("Phase", "Two")):
        row = table.add_row().cells
        row[0].text, row[1].text = label, value
    assert of_kind(parsed(_saved(document), "a.docx"), "table_row") == lines


def test_headers_footers_and_comments_are_read_once() -> None:
    document = docx.Document()
    document.sections[0].header.paragraphs[0].text = "SOP 012 version 4"
    document.sections[0].footer.paragraphs[0].text = "Effective 3 March"
    run = document.add_paragraph("Weigh the sample.").runs[0]
    run.font.size = Pt(11)
    document.add_comment(run, text="Which balance?", author="Reviewer")
    assert blocks(parsed(_saved(document), "a.docx")) == [
        ("paragraph", "Weigh the sample."),
        ("paragraph", "Header: SOP 012 version 4"),
        ("paragraph", "Footer: Effective 3 March"),
        ("paragraph", "Comment by Reviewer: Which balance?"),
    ]


def test_inserted_text_shows_and_deleted_text_does_not() -> None:
    body = (
        "<w:p><w:r><w:t>Dose is </w:t></w:r><w:del><w:r><w:delText>40</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>80</w:t></w:r></w:ins><w:r><w:t> mg</w:t></w:r></w:p>"
    )
    assert parsed(hostile.docx(body), "a.docx").text == "Dose is 80 mg"


def test_text_boxes_are_read_once_although_stored_twice() -> None:
    box = "<w:txbxContent><w:p><w:r><w:t>In the box</w:t></w:r></w:p></w:txbxContent>"
    body = (
        '<w:p xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:r><w:t>Around</w:t></w:r><w:r>'
        f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback>"
        "</mc:AlternateContent></w:r></w:p>"
    )
    assert [text for _, text in blocks(parsed(hostile.docx(body), "a.docx"))] == ["Around", "In the box"]


def test_content_controls_and_links_hide_nothing() -> None:
    body = (
        "<w:sdt><w:sdtContent><w:p><w:hyperlink><w:r><w:t>linked</w:t></w:r></w:hyperlink></w:p></w:sdtContent></w:sdt>"
        "<w:tbl><w:sdt><w:sdtContent><w:tr><w:tc><w:p><w:r><w:t>in a cell</w:t></w:r></w:p></w:tc></w:tr>"
        "</w:sdtContent></w:sdt></w:tbl>"
    )
    assert [text for _, text in blocks(parsed(hostile.docx(body), "a.docx"))] == ["linked", "in a cell"]


def _numbered() -> bytes:
    """Two heading levels and a lettered list, numbered by numbering.xml only."""
    levels = "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{text}"/></w:lvl>'
        for at, form, text in ((0, "decimal", "%1."), (1, "decimal", "%1.%2"), (2, "lowerLetter", "(%3)"))
    )
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    numbering = f'<w:numbering {w}><w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>' + (
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
    )
    relations = hostile._relationships("numbering", "numbering.xml")
    said = "Scope", "Duties", "Pharmacist", "Nurse", "day", "night", "End", "x"
    body = "".join(
        f'<w:p><w:pPr><w:numPr><w:ilvl w:val="{at}"/><w:numId w:val="1"/></w:numPr></w:pPr>'
        f"<w:r><w:t>{text}</w:t></w:r></w:p>"
        for at, text in zip((0, 0, 1, 1, 2, 2, 0, 1), said, strict=True)
    )
    document = f"<w:document {w}><w:body>{body}</w:body></w:document>"
    return hostile.zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": document,
            "word/_rels/document.xml.rels": relations,
            "word/numbering.xml": numbering,
        }
    )


def test_numbers_that_word_computes_are_computed() -> None:
    assert [text for _, text in blocks(parsed(_numbered(), "a.docx"))] == [
        "1. Scope", "2. Duties", "2.1 Pharmacist", "2.2 Nurse", "(a) day", "(b) night", "3. End", "3.1 x",
    ]  # fmt: skip


def test_empty_document_is_refused() -> None:
    assert refused(_saved(docx.Document()), "a.docx").reason == "empty"


def test_word_file_without_its_main_part_is_corrupt() -> None:
    document = docx.Document()
    document.add_paragraph("text")
    assert document.element.body is not None and qn("w:p")
    data = _saved(document)
    assert refused(data[: len(data) // 2], "cut.docx").reason == "corrupt"
