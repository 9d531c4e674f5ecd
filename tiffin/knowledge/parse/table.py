"""CSV and its relatives: any delimiter, any header position, ragged rows, each row one readable line.

The dialect is judged by trying each delimiter on the beginning and keeping the one whose rows agree best. The standard
sniffer guesses from character counts and fails on quoted lines; DuckDB turned ragged files into one column silently.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from tiffin.knowledge.parse import limits, rows
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.values import Parsed, Unreadable

_DELIMITERS = (",", ";", "\t", "|")
_JUDGED_CHARS = 65_536  # characters from the start that decide the dialect
_JUDGED_ROWS = 200


class _UnclosedQuote(Exception):
    """A cell so long that its quotation mark was surely never closed."""


def parse_csv(text: str) -> Parsed:
    """Every row as a `table_row`; lines above the header are paragraphs."""
    delimiter = _delimiter(text)
    try:
        return _parse(_quoted(text, delimiter), Draft())
    except _UnclosedQuote:
        draft = Draft()
        draft.note("The table has a quotation mark that is never closed; quotation marks were read as text.")
        return _parse(_unquoted(text, delimiter), draft)


def _parse(table: Iterator[list[str]], draft: Draft) -> Parsed:
    begin = list(islice(table, _JUDGED_ROWS))
    if not begin:
        raise Unreadable("empty", "The table has no rows.")
    top = rows.header_index(begin)
    body = begin[top:]
    for row in begin[:top]:
        draft.add("paragraph", rows.bare_line(row))
    names = body[0]
    named = rows.has_header(body, marked=not any(rows.is_value(rows.clean(cell)) for cell in names))
    draft.add("table_row", rows.bare_line(names))
    ragged, count = 0, 1
    for row in chain(body[1:], table):
        count += 1
        ragged += len(row) != len(names)
        draft.add("table_row", rows.named_line(names, row) if named else rows.bare_line(row))
    if ragged:
        draft.note(f"{ragged:,} of {count:,} rows have another number of cells than the first row.")
    return draft.finish("csv", None)


def _delimiter(text: str) -> str:
    head = text[:_JUDGED_CHARS]
    if len(text) > _JUDGED_CHARS:
        head = head[: head.rfind("\n") + 1] or head
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in _sample(head, delimiter) if row]
        except csv.Error:
            continue
        if not widths:
            continue
        width, count = Counter(widths).most_common(1)[0]
        score = (count / len(widths)) * (1 + min(width, 20) / 100) if width > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample(head: str, delimiter: str) -> Iterator[list[str]]:
    for count, row in enumerate(csv.reader(io.StringIO(head), delimiter=delimiter)):
        if count >= _JUDGED_ROWS:
            return
        yield row


def _quoted(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(limits.FIELD_MAX_CHARS)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(cell.count("\n") > limits.FIELD_MAX_LINES for cell in row):
                raise _UnclosedQuote
            if any(cell.strip() for cell in row):
                yield _checked(row)
    except csv.Error as error:
        raise _UnclosedQuote from error


def _unquoted(text: str, delimiter: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.strip():
            yield _checked(line.split(delimiter))


def _checked(row: list[str]) -> list[str]:
    if len(row) > limits.TABLE_MAX_COLUMNS:
        raise Unreadable("too_large", f"The table has {len(row):,} columns; {limits.TABLE_MAX_COLUMNS:,} are allowed.")
    return row
