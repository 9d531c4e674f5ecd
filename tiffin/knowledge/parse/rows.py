"""Table rows as lines that can be read, searched and cited alone: `Subject: 1003 | Event: Headache | Grade: 2`.

A row without its column names answers nothing once it stands alone in a chunk. Names are put before the values only
where the first row surely is a header; otherwise the cells stand with bars between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_NUMBER = re.compile(r"[-+(]?[$\u20ac\u00a3]?\s?\d[\d.,\s]*\s?%?\)?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?")
_HEADER_CELL_MAX_CHARS = 80  # characters; longer cells are content
_HEADER_WITHIN_ROWS = 30  # rows from the top in which a header is looked for
_ROWS_JUDGED = 50  # rows that are looked at to decide whether the first one is a header


def clean(cell: str) -> str:
    """A cell on one line."""
    return " ".join(cell.split())


def is_value(cell: str) -> bool:
    """Whether a cell is a number, an amount or a date: something that no header says."""
    return bool(_NUMBER.fullmatch(cell) or _DATE.fullmatch(cell))


def has_header(rows: Sequence[Sequence[str]], *, marked: bool = False) -> bool:
    """Whether the first row names the columns.

    `marked` says that the document itself calls it a header. Two columns are often label and value, so there the second
    column must be of another kind below its name.
    """
    if len(rows) < 2:
        return False
    names = [clean(cell) for cell in rows[0]]
    filled = [name for name in names if name]
    if len(filled) < 2 or len(set(filled)) < len(filled):
        return False
    if any(is_value(name) for name in filled) and not marked:
        return False
    if any(len(name) > _HEADER_CELL_MAX_CHARS for name in filled):
        return False
    if marked:
        return True
    body = rows[1 : 1 + _ROWS_JUDGED]
    if len(names) > 2:
        return len(filled) >= len(names) - 1
    return any(is_value(clean(row[-1])) for row in body if len(row) == 2)


def bare_line(cells: Iterable[str]) -> str:
    """Cells with bars between them; empty cells at the end are cut, those between keep their place."""
    cleaned = [clean(cell) for cell in cells]
    while cleaned and not cleaned[-1]:
        cleaned.pop()
    return " | ".join(cleaned)


def named_line(names: Sequence[str], cells: Sequence[str]) -> str:
    """`Name: value` pairs of one row; empty values are left out, values past the last name get a number."""
    pairs = []
    for index, cell in enumerate(cells):
        value = clean(cell)
        if value:
            name = clean(names[index]) if index < len(names) else ""
            label = name if index < len(names) else f"Column {index + 1}"
            pairs.append(f"{label}: {value}" if label else value)
    return " | ".join(pairs)


def header_index(begin: Sequence[Sequence[str]]) -> int:
    """Where the table begins: the first row that is nearly as wide as the widest near the top, below titles."""
    widths = [sum(1 for cell in row if cell.strip()) for row in begin[:_HEADER_WITHIN_ROWS]]
    usual = max(widths, default=0)
    enough = max(2, usual - 1)
    return next((i for i, width in enumerate(widths) if width >= enough), 0) if usual > 1 else 0


def lines(rows: Sequence[Sequence[str]], *, marked: bool = False) -> Iterator[str]:
    """Every row as one line, the header row first as it stands."""
    if not has_header(rows, marked=marked):
        yield from (bare_line(row) for row in rows)
        return
    names = rows[0]
    yield bare_line(names)
    yield from (named_line(names, row) for row in rows[1:])
