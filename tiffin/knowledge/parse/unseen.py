"""Text that a PDF holds and its page does not show: a channel for instructions that a reader never saw.

The text is kept, because a scan's recognised text is stored unseen, too; a note says on which pages it is. Looked at:
the invisible drawing mode, full transparency, type smaller than a point, places outside the page, and white on nothing.
"""

from __future__ import annotations

import ctypes
import re

import pypdfium2
import pypdfium2.raw as pdfium

from tiffin.knowledge.parse.layout import Box, Glyphs

_WORD = re.compile(r"\S+")
_INVISIBLE_MODES = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)
_WHITE_FROM = 250  # of 255, in each colour
_TINY_POINTS = 1.0  # points; print that nobody can read
_BACKGROUNDS_MAX = 2_000  # objects of a page that are looked at for what lies behind white text
_LETTERS_MIN = 3  # letters of unseen text on a page, below which it is a stray mark


def holds_unseen_text(page: pypdfium2.PdfPage, glyphs: Glyphs) -> bool:
    """Whether some words of a page cannot be seen on it."""
    frame = page.get_bbox()
    backgrounds: list[Box] | None = None
    letters = 0
    for word in _WORD.finditer(glyphs.text):
        index = word.start()
        box = glyphs.stored_box(index)
        white = _is_white(glyphs, index)
        unseen = _is_invisible(glyphs, index) or (box is not None and (_is_tiny(box) or not _overlap(box, frame)))
        if white and not unseen and box is not None:
            if backgrounds is None:
                backgrounds = _backgrounds(page)
            unseen = not any(_overlap(box, behind) for behind in backgrounds)
        letters += len(word.group()) if unseen else 0
        if letters >= _LETTERS_MIN:
            return True
    return False


def _is_invisible(glyphs: Glyphs, index: int) -> bool:
    shown = pdfium.FPDFText_GetTextObject(glyphs.textpage, index)
    return bool(shown) and pdfium.FPDFTextObj_GetTextRenderMode(shown) in _INVISIBLE_MODES


def _is_white(glyphs: Glyphs, index: int) -> bool:
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if not pdfium.FPDFText_GetFillColor(glyphs.textpage, index, red, green, blue, alpha):
        return False
    return alpha.value == 0 or min(red.value, green.value, blue.value) >= _WHITE_FROM


def _is_tiny(box: Box) -> bool:
    return 0 < box[3] - box[1] < _TINY_POINTS and 0 < box[2] - box[0] < _TINY_POINTS


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _backgrounds(page: pypdfium2.PdfPage) -> list[Box]:
    """Where something other than text is drawn: white text may stand on it."""
    found: list[Box] = []
    for number in range(min(pdfium.FPDFPage_CountObjects(page.raw), _BACKGROUNDS_MAX)):
        drawn = pdfium.FPDFPage_GetObject(page.raw, number)
        if pdfium.FPDFPageObj_GetType(drawn) == pdfium.FPDF_PAGEOBJ_TEXT:
            continue
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        if pdfium.FPDFPageObj_GetBounds(drawn, left, bottom, right, top):
            found.append((left.value, bottom.value, right.value, top.value))
    return found
