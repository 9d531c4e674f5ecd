"""PDF: characters by index, blocks by position, and nothing that goes missing silently."""

from __future__ import annotations

from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from fpdf import FPDF

from tests.knowledge.parse import hostile
from tests.knowledge.parse.reading import blocks, of_kind, page_text, parsed, refused

LOREM = (
    "The investigator reviews every laboratory value on the day it arrives and signs the printed report in ink. "
    "Values outside the reference range are judged for clinical meaning and repeated where the judgement is open. "
)


def _document(*pages: Any, title: str | None = None) -> bytes:
    pdf = FPDF()
    if title:
        pdf.set_title(title)
    for draw in pages:
        pdf.add_page()
        pdf.set_font("helvetica", size=11)
        draw(pdf)
    return bytes(pdf.output())


def _section(pdf: FPDF, heading: str = "Dosing and stopping") -> None:
    pdf.set_font("helvetica", "B", 16)
    pdf.multi_cell(0, 10, heading, new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("helvetica", size=11)
    pdf.multi_cell(0, 5, LOREM, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    pdf.multi_cell(0, 5, LOREM, new_x="LMARGIN", new_y="NEXT")
    for item in ("1. Weigh the participant.", "2. Compute the dose.", "3. Record both."):
        pdf.multi_cell(0, 5, item, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    for row in (("Visit", "Day", "Dose"), ("V1", "1", "20 mg"), ("V2", "15", "40 mg")):
        for cell in row:
            pdf.cell(50, 6, cell)
        pdf.ln(6)


def test_blocks_are_headings_paragraphs_items_and_rows() -> None:
    document = parsed(_document(_section), "a.pdf")
    assert of_kind(document, "heading") == ["Dosing and stopping"]
    assert len(of_kind(document, "paragraph")) == 2
    assert of_kind(document, "list_item")[1].split() == ["2.", "Compute", "the", "dose."]
    assert [row.split() for row in of_kind(document, "table_row")] == [
        ["Visit", "Day", "Dose"],
        ["V1", "1", "20", "mg"],
        ["V2", "15", "40", "mg"],
    ]
    assert document.title == "Dosing and stopping"


def test_every_offset_is_pdfiums_own_character_index() -> None:
    data = _document(_section, _section, title="Protocol")
    document = parsed(data, "a.pdf")
    with pypdfium2.PdfDocument(data) as source:
        for page in document.pages:
            textpage = source[page.number - 1].get_textpage()
            text = document.text[page.start : page.end]
            assert len(text) == textpage.count_chars()
            for index, char in enumerate(text):
                code = pdfium.FPDFText_GetUnicode(textpage.raw, index)
                assert char == {0x0D: " ", 0x02: "\u00ad"}.get(code, chr(code))
    assert document.title == "Protocol"


def test_pages_are_numbered_and_keep_their_text_apart() -> None:
    document = parsed(
        _document(*(lambda pdf, n=n: pdf.cell(text=f"This is page number {n}.") for n in (1, 2, 3))), "a.pdf"
    )
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert page_text(document, 2) == "This is page number 2."


def test_page_without_text_layer_is_named() -> None:
    def drawing(pdf: FPDF) -> None:
        pdf.rect(10, 10, 50, 50)

    document = parsed(_document(_section, drawing, _section), "a.pdf")
    assert document.notes == ("1 of 3 pages has no text layer (2).",)
    assert page_text(document, 2) == ""


def test_scan_says_that_it_is_one() -> None:
    refusal = refused(_document(lambda pdf: pdf.rect(10, 10, 50, 50)), "scan.pdf")
    assert refusal.reason == "no_text_layer" and "[documents]" in refusal.detail


def test_blank_pages_are_no_scan() -> None:
    assert refused(hostile.pdf(hostile.one_page_pdf(b"")), "blank.pdf").reason == "empty"


def test_running_heads_are_no_headings() -> None:
    def page(pdf: FPDF) -> None:
        pdf.set_font("helvetica", "B", 14)
        pdf.cell(0, 8, f"TFN-201 Protocol, page {pdf.page_no()} of 4", new_x="LMARGIN", new_y="NEXT")
        _section(pdf, ("Aims", "Design", "Dosing", "Safety")[pdf.page_no() - 1])

    document = parsed(_document(page, page, page, page), "a.pdf")
    assert of_kind(document, "heading") == ["Aims", "Design", "Dosing", "Safety"]


def test_word_broken_at_a_line_end_is_joined_for_search_only() -> None:
    from tiffin.knowledge.parse import searchable

    assert searchable("the commit\u00adtee met \nagain") == "the committee met again"
    assert searchable("unfinished pro\u00adThe next") == "unfinished pro- The next"


def test_form_values_and_comments_are_read() -> None:
    objects = hostile.one_page_pdf(b"BT /F 12 Tf 50 700 Td (Consent form) Tj ET")
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [6 0 R] >> >>"
    objects[2] = objects[2].replace(b"/Contents", b"/Annots [6 0 R 7 0 R] /Contents")
    objects.append(
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (Subject number) /V (1007) /Rect [50 600 200 620] /P 3 0 R >>"
    )
    objects.append(b"<< /Type /Annot /Subtype /Text /Contents (Signature is missing) /Rect [50 500 70 520] /P 3 0 R >>")
    document = parsed(hostile.pdf(objects), "form.pdf")
    assert document.text.endswith("Subject number: 1007\n\nComment: Signature is missing")
    assert document.text.startswith("Consent form")


def test_owner_password_alone_does_not_refuse() -> None:
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner")
    pdf.add_page()
    pdf.set_font("helvetica", size=11)
    pdf.cell(text="Readable by everyone.")
    assert parsed(bytes(pdf.output()), "a.pdf").text == "Readable by everyone."


def test_user_password_refuses() -> None:
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password="user")
    pdf.add_page()
    pdf.set_font("helvetica", size=11)
    pdf.cell(text="Not for everyone.")
    assert refused(bytes(pdf.output()), "a.pdf").reason == "encrypted"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off_file_is_refused_and_never_silently_empty(share: float) -> None:
    data = _document(_section, _section)
    assert refused(data[: int(len(data) * share)], "cut.pdf").reason == "corrupt"


@pytest.mark.parametrize(
    ("degrees", "matrix"),
    [(0, b"1 0 0 1 0 0"), (90, b"0 1 -1 0 612 0"), (180, b"-1 0 0 -1 612 792"), (270, b"0 -1 1 0 0 792")],
)
def test_page_stored_on_its_side_is_cut_as_it_is_read(degrees: int, matrix: bytes) -> None:
    lines = (b"A heading set large", b"The first line of a paragraph goes", b"on here and ends.", b"Another paragraph.")
    content = b"q " + matrix + b" cm BT "
    for size, y, line in zip((20, 10, 10, 10), (500, 460, 447, 415), lines, strict=True):
        content += b"/F %d Tf 1 0 0 1 60 %d Tm (%s) Tj " % (size, y, line)
    objects = hostile.one_page_pdf(content + b"ET Q")
    objects[2] = objects[2].replace(b"/Contents", b"/Rotate %d /Contents" % degrees)
    assert [(kind, " ".join(text.split())) for kind, text in blocks(parsed(hostile.pdf(objects), "a.pdf"))] == [
        ("heading", "A heading set large"),
        ("paragraph", "The first line of a paragraph goes on here and ends."),
        ("paragraph", "Another paragraph."),
    ]


@pytest.mark.parametrize(
    ("drawing", "noted"),
    [
        (b"BT /F 12 Tf 50 700 Td (Seen words) Tj ET", False),
        (b"BT /F 12 Tf 50 700 Td (Seen) Tj 3 Tr (unseen words) Tj ET", True),
        (b"BT /F 12 Tf 50 700 Td (Seen) Tj 1 1 1 rg 0 -20 Td (white on white) Tj ET", True),
        (b"0 0 0.5 rg 40 650 300 80 re f BT /F 12 Tf 1 1 1 rg 50 700 Td (white on blue) Tj ET", False),
        (b"BT /F 12 Tf 50 700 Td (Seen) Tj 0 900 Td (above the page) Tj ET", True),
        (b"BT /F 12 Tf 50 700 Td (Seen) Tj /F 0.4 Tf 0 -20 Td (tiny words) Tj ET", True),
    ],
)
def test_text_that_a_page_does_not_show_is_said(drawing: bytes, noted: bool) -> None:
    document = parsed(hostile.pdf(hostile.one_page_pdf(drawing)), "a.pdf")
    assert document.notes == (("1 of 1 pages holds text that cannot be seen (1).",) if noted else ())
