"""Spreadsheets: every row of every sheet as one readable line, through calamine, with comments and text boxes.

calamine is twenty times faster than openpyxl but allocates a sheet's bounding box densely and aborts where it cannot:
one cell at XFD1048576 is enough. So the box is measured first, on the bytes of the sheet.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from lxml import etree
from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from tiffin.knowledge.parse import limits, rows
from tiffin.knowledge.parse.archive import Archive
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.office import core_title, part_of, relations
from tiffin.knowledge.parse.values import Parsed, Unreadable

_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*?\br=[\"']([A-Za-z]{1,3})(\d{1,7})[\"']")
_VALUELESS = re.compile(rb"</(?:\w+:)?f>\s*</(?:\w+:)?c>|<(?:\w+:)?f/>\s*</(?:\w+:)?c>")
_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_JUDGED_ROWS = 60
_SHEETS_MAX = 1_000


def parse_sheets(data: bytes, kind: str, archive: Archive | None) -> Parsed:
    """Every visible or hidden sheet is a page with its name as label; `kind` is xlsx, xlsb, xls or ods."""
    draft = Draft()
    beside: dict[str, list[str]] = {}
    if archive is not None and kind == "xlsx":
        beside = _measure(archive, draft)
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        hidden: list[str] = []
        filled = False
        for number, sheet in enumerate(workbook.sheets_metadata[:_SHEETS_MAX], 1):
            draft.page(number, sheet.name)
            if sheet.visible != SheetVisibleEnum.Visible:
                hidden.append(sheet.name)
            if sheet.typ == SheetTypeEnum.WorkSheet:
                filled |= _write_sheet(workbook, sheet.name, draft, beside.get(sheet.name, []))
    except CalamineError as error:
        if "assword" in str(error):
            raise Unreadable("encrypted", "The file is protected with a password.") from error
        raise Unreadable("corrupt", "The spreadsheet is damaged or cut off.") from error
    except (ValueError, OSError, KeyError, IndexError) as error:
        raise Unreadable("corrupt", "The spreadsheet is damaged or cut off.") from error
    if not filled:
        raise Unreadable("empty", "The spreadsheet's sheets are empty.")
    if hidden:
        draft.note(f"{len(hidden)} of {len(workbook.sheet_names)} sheets are hidden ({', '.join(hidden[:12])}).")
    return draft.finish(kind, core_title(archive) if archive is not None and kind == "xlsx" else None)


def _write_sheet(workbook: CalamineWorkbook, name: str, draft: Draft, beside: list[str]) -> bool:
    """Append one sheet under its name; say whether anything stands on it."""
    sheet = workbook.get_sheet_by_name(name)
    if sheet.total_width > limits.TABLE_MAX_COLUMNS:
        raise Unreadable(
            "too_large",
            f"The sheet {name[:60]!r} has {sheet.total_width:,} columns; {limits.TABLE_MAX_COLUMNS:,} are allowed.",
        )
    draft.add("heading", name)
    grid = ([_shown(cell) for cell in row] for row in sheet.iter_rows())
    written = _write_grid((row for row in grid if any(row)), draft)
    for said in beside:
        draft.add("paragraph", said)
    if not written and not beside:
        draft.note(f"The sheet {name[:60]!r} is empty.")
    return written or bool(beside)


def _write_grid(grid: Iterator[list[str]], draft: Draft) -> bool:
    begin: list[list[str]] = []
    for row in grid:
        begin.append(row)
        if len(begin) >= _JUDGED_ROWS:
            break
    if not begin:
        return False
    top = rows.header_index(begin)
    for row in begin[:top]:
        draft.add("paragraph", rows.bare_line(filter(None, row)))
    body = begin[top:]
    used = [i for i in range(max(map(len, body))) if any(i < len(row) and row[i] for row in body)]
    first = [body[0][i] for i in used]
    named = rows.has_header([first, *([row[i] for i in used] for row in body[1:])])
    draft.add("table_row", rows.bare_line(first))
    for rest in (body[1:], grid):
        for row in rest:
            again = not named or row == body[0]  # long sheets repeat their header
            draft.add("table_row", rows.bare_line(row[used[0] :]) if again else rows.named_line(body[0], row))
    return True


def _shown(cell: object) -> str:
    """A cell as a person reads it: dates in ISO form, numbers with Excel's fifteen digits."""
    match cell:
        case bool():
            return "TRUE" if cell else "FALSE"
        case int():
            return str(cell)
        case float():
            return f"{cell:.15g}"
        case datetime():
            whole_day = cell.time() == time(0)
            return cell.date().isoformat() if whole_day else cell.isoformat(sep=" ", timespec="minutes")
        case date() | time():
            return cell.isoformat()
        case timedelta():
            return str(cell)
        case _:
            return rows.clean(str(cell)) if cell is not None else ""


def _measure(archive: Archive, draft: Draft) -> dict[str, list[str]]:
    """Refuse sheets whose bounding box is too large; gather what stands beside the cells, by sheet name."""
    main = part_of(archive, "officeDocument", "xl/workbook.xml")
    links = relations(archive, main)
    beside: dict[str, list[str]] = {}
    valueless = 0
    for sheet in archive.tree(main).iter(f"{_S}sheet"):
        kind, part = links.get(sheet.get(f"{_R}id", ""), ("", ""))
        name = sheet.get("name", "")
        if kind != "worksheet" or not archive.has(part):
            continue
        data = archive.read(part)
        _refuse_sparse(data, name)
        valueless += len(_VALUELESS.findall(data))
        beside[name] = list(_beside(archive, part))
    if valueless:
        draft.note(f"{valueless:,} formulas have no stored value; saving the file in a spreadsheet program fills them.")
    return beside


def _refuse_sparse(data: bytes, name: str) -> None:
    left, top, right, bottom = 1 << 30, 1 << 30, 0, 0
    widest: dict[bytes, int] = {}
    for letters, digits in _CELL.findall(data):
        column = widest.get(letters)
        if column is None:
            column = widest[letters] = _column(letters)
            left, right = min(left, column), max(right, column)
        row = int(digits)
        if row > bottom:
            bottom = row
        if row < top:
            top = row
    cells = max(right - left + 1, 0) * max(bottom - top + 1, 0)
    if cells > limits.SHEET_MAX_CELLS:
        raise Unreadable(
            "too_large",
            f"The cells of sheet {name[:60]!r} lie scattered over {bottom:,} rows and {right:,} columns.",
        )


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _beside(archive: Archive, part: str) -> Iterator[str]:
    """Comments with their cell, and the words of text boxes drawn over the sheet."""
    for kind, target in relations(archive, part).values():
        if not archive.has(target):
            continue
        if kind == "comments":
            for comment in archive.tree(target).iter(f"{_S}comment"):
                said = " ".join("".join(t.text or "" for t in comment.iter(f"{_S}t")).split())
                if said:
                    yield f"Comment on {comment.get('ref', '')}: {said}"
        elif kind == "drawing":
            yield from _drawn(archive.tree(target))


def _drawn(root: etree._Element) -> Iterator[str]:
    for paragraph in root.iter(f"{_A}p"):
        said = " ".join("".join(t.text or "" for t in paragraph.iter(f"{_A}t")).split())
        if said:
            yield said
