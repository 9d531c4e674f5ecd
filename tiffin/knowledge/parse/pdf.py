"""PDF to text, character by character, so that offset `page.start + i` is PDFium's character `i` of that page.

`FPDFText_GetText` is not used: it drops some characters and renames others, so its indices drift from the boxes.
Here each character stays one character: control characters and surrogates become U+FFFD, a carriage return becomes a
space, and the hyphen PDFium found at a broken line becomes U+00AD, which `searchable` joins again. What a page shows
outside its text (form values, comments) follows that page's characters.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import pypdfium2
import pypdfium2.raw as pdfium

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.draft import Draft, listed
from tiffin.knowledge.parse.layout import Glyphs, demote_running_heads, page_blocks
from tiffin.knowledge.parse.unseen import holds_unseen_text
from tiffin.knowledge.parse.values import Parsed, Unreadable, searchable

_REPLACED = dict.fromkeys((*range(0x20), 0x7F, 0xFFFE, 0xFFFF), "\ufffd") | {
    0x02: "\u00ad",
    0x09: "\t",
    0x0A: "\n",
    0x0C: " ",
    0x0D: " ",
}
_COMMENTS = {
    pdfium.FPDF_ANNOT_TEXT,
    pdfium.FPDF_ANNOT_FREETEXT,
    pdfium.FPDF_ANNOT_HIGHLIGHT,
    pdfium.FPDF_ANNOT_UNDERLINE,
    pdfium.FPDF_ANNOT_SQUIGGLY,
    pdfium.FPDF_ANNOT_STRIKEOUT,
    pdfium.FPDF_ANNOT_STAMP,
    pdfium.FPDF_ANNOT_CARET,
}
_ANNOTATIONS_MAX = 5_000  # annotations of one page; forms have hundreds
_UNHELPFUL_TITLES = (
    "untitled",
    "microsoft word - ",
    "powerpoint presentation",
    "document",
    "slide 1",
    "title",
    "(anonymous)",
)
_FILE_ENDINGS = (".doc", ".docx", ".indd", ".pdf", ".qxd", ".dvi")
_RTL_FIRST, _RTL_LAST = "\u0590", "\u08ff"  # Hebrew to Arabic Extended


@dataclass
class _Seen:
    """What the pages turned out to be, by number."""

    count: int
    text: list[int] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)  # they show something, but hold no text
    broken: list[int] = field(default_factory=list)
    unseen: list[int] = field(default_factory=list)  # they hold text that they do not show


def parse_pdf(data: bytes) -> Parsed:
    """Read every page, or say why not."""
    document = _open(data)
    form = _form(document)
    count = len(document)
    if count == 0:
        raise Unreadable("empty", "The PDF has no pages.")
    if count > limits.PDF_MAX_PAGES:
        raise Unreadable("too_large", f"The PDF has {count:,} pages; {limits.PDF_MAX_PAGES:,} are allowed.")
    draft = Draft()
    seen = _Seen(count)
    for number in range(1, count + 1):
        draft.page(number, _label(document, number))
        try:
            page = document[number - 1]
        except pypdfium2.PdfiumError:
            seen.broken.append(number)
            continue
        try:
            _read_page(page, number, form, draft, seen)
        except pypdfium2.PdfiumError:
            seen.broken.append(number)
        finally:
            page.close()
    _refuse_wordless(seen)
    _tell(draft, document, seen)
    parsed = draft.finish("pdf", None)
    parsed = msgspec.structs.replace(parsed, blocks=demote_running_heads(parsed.text, parsed.pages, parsed.blocks))
    title = _title(document) or _first_heading(parsed)
    return msgspec.structs.replace(parsed, title=title, notes=parsed.notes + _text_notes(parsed.text))


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        code = getattr(error, "err_code", None)
        if code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY) or "assword" in str(error):
            raise Unreadable("encrypted", "The PDF is protected with a password.") from error
        raise Unreadable("corrupt", "The PDF is damaged or cut off and cannot be opened.") from error


def _form(document: pypdfium2.PdfDocument) -> object | None:
    """The handle that form values are asked through; PDFium wants it before any page is loaded."""
    try:
        document.init_forms()
    except pypdfium2.PdfiumError:
        return None
    return document.formenv.raw if document.formenv is not None else None


def _refuse_wordless(seen: _Seen) -> None:
    if seen.text:
        return
    if len(seen.broken) == seen.count:
        raise Unreadable("corrupt", "None of the PDF's pages can be read.")
    if seen.bare:
        raise Unreadable(
            "no_text_layer",
            "The PDF shows pictures without a text layer; reading scans (OCR) comes with the [documents] extra.",
        )
    raise Unreadable("empty", "The PDF's pages are empty.")


def _tell(draft: Draft, document: pypdfium2.PdfDocument, seen: _Seen) -> None:
    if seen.bare:
        verb = "has" if len(seen.bare) == 1 else "have"
        draft.note(f"{len(seen.bare)} of {seen.count} pages {verb} no text layer ({listed(seen.bare)}).")
    if seen.broken:
        draft.note(f"{len(seen.broken)} of {seen.count} pages could not be read ({listed(seen.broken)}).")
    if seen.unseen:
        verb = "holds" if len(seen.unseen) == 1 else "hold"
        draft.note(f"{len(seen.unseen)} of {seen.count} pages {verb} text that cannot be seen ({listed(seen.unseen)}).")
    attached = document.count_attachments()
    if attached > 0:
        draft.note(f"The PDF carries {attached} attached {'file' if attached == 1 else 'files'}, not read.")
    if document.get_formtype() == pdfium.FORMTYPE_XFA_FULL:
        draft.note("The PDF is an XFA form; values that only Adobe's software shows were not read.")


def _text_notes(text: str) -> tuple[str, ...]:
    if any(_RTL_FIRST <= char <= _RTL_LAST for char in text):
        return ("The PDF holds right-to-left text, whose letters may be stored in the order they are seen.",)
    return ()


def _read_page(page: pypdfium2.PdfPage, number: int, form: object | None, draft: Draft, seen: _Seen) -> None:
    """Append one page's characters, blocks, form values and comments, and note what kind of page it is."""
    textpage = page.get_textpage()
    try:
        count = max(pdfium.FPDFText_CountChars(textpage.raw), 0)
        if draft.length + count > limits.PDF_MAX_CHARS:
            raise Unreadable("too_large", f"The PDF has more than {limits.PDF_MAX_CHARS:,} characters.")
        text = _characters(textpage.raw, count)
        glyphs = Glyphs(text, textpage.raw, page.get_rotation())
        blocks = page_blocks(glyphs) if text.strip() else []
        if holds_unseen_text(page, glyphs):
            seen.unseen.append(number)
    finally:
        textpage.close()
    draft.add_raw(text, blocks)
    before = draft.length
    for line in _beside_text(page, form):
        draft.add("paragraph", line)
    if blocks or draft.length > before:
        seen.text.append(number)
    elif pdfium.FPDFPage_CountObjects(page.raw) > 0:
        seen.bare.append(number)


def _characters(textpage: pdfium.FPDF_TEXTPAGE, count: int) -> str:
    get = pdfium.FPDFText_GetUnicode
    replaced = _REPLACED
    codes = [get(textpage, index) for index in range(count)]
    return "".join([replaced.get(c) or ("\ufffd" if 0xD800 <= c <= 0xDFFF or c > 0x10FFFF else chr(c)) for c in codes])


def _label(document: pypdfium2.PdfDocument, number: int) -> str | None:
    """The page's printed label, where it differs from its number."""
    try:
        label = document.get_page_label(number - 1)
    except (pypdfium2.PdfiumError, UnicodeError):
        return None
    return label.strip()[:50] or None if label and label != str(number) else None


def _title(document: pypdfium2.PdfDocument) -> str | None:
    try:
        title = document.get_metadata_value("Title").strip()
    except (pypdfium2.PdfiumError, UnicodeError):
        return None
    low = title.lower()
    if sum(char.isalpha() for char in title) < 4 or low.startswith(_UNHELPFUL_TITLES) or low.endswith(_FILE_ENDINGS):
        return None
    return " ".join(title.replace("\ufffd", " ").split())[:300]


def _first_heading(parsed: Parsed) -> str | None:
    first = parsed.pages[0].end if parsed.pages else 0
    for block in parsed.blocks:
        if block.kind == "heading" and block.end <= first:
            return " ".join(searchable(parsed.text[block.start : block.end]).split())[:300]
    return None


def _beside_text(page: pypdfium2.PdfPage, form: object | None) -> Iterator[str]:
    """Form values as `name: value`, and what readers wrote on the page as `Comment: ...`."""
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page.raw), _ANNOTATIONS_MAX)):
        with _annotation(page, index) as annotation:
            if annotation is None:
                continue
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            if kind == pdfium.FPDF_ANNOT_WIDGET and form is not None:
                value = _field_text(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)
                name = _field_text(pdfium.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or _field_text(
                    pdfium.FPDFAnnot_GetFormFieldName, form, annotation
                )
                if value and value != "Off":
                    yield f"{name or 'Field'}: {value}"
            elif kind in _COMMENTS:
                said = _annotation_text(annotation, b"Contents")
                if said:
                    yield f"Comment: {said}"


@contextmanager
def _annotation(page: pypdfium2.PdfPage, index: int) -> Iterator[object | None]:
    annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
    try:
        yield annotation or None
    finally:
        if annotation:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _field_text(getter: object, form: object, annotation: object) -> str:
    size = getter(form, annotation, None, 0)  # type: ignore[operator]
    if size <= 2:
        return ""
    buffer = (pdfium.FPDF_WCHAR * (size // 2))()
    getter(form, annotation, buffer, size)  # type: ignore[operator]
    return _wide(buffer, size)


def _annotation_text(annotation: object, key: bytes) -> str:
    size = pdfium.FPDFAnnot_GetStringValue(annotation, key, None, 0)
    if size <= 2:
        return ""
    buffer = (pdfium.FPDF_WCHAR * (size // 2))()
    pdfium.FPDFAnnot_GetStringValue(annotation, key, buffer, size)
    return _wide(buffer, size)


def _wide(buffer: ctypes.Array[ctypes.c_ushort], size: int) -> str:
    text = bytes(buffer)[: size - 2].decode("utf-16-le", errors="replace")
    return " ".join(text.replace("\0", " ").split())
