"""The numbers that Word computes and does not store: `4.2`, `(a)`, `IV.`, by the rules of numbering.xml.

Bullets give an empty mark. A level restarts when a higher one moves, as in Word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from tiffin.knowledge.parse.archive import Archive

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_PLACE = re.compile(r"%([1-9])")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"),
    (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_LEVELS_MAX = 9
_WHOLE = re.compile(r"[0-9]{1,6}")
_LETTERS_MAX = 26 * 8  # a count past `hhhhhhhh` is written as a number
_ROMAN_MAX = 3999


@dataclass(frozen=True)
class _Level:
    start: int
    form: str
    pattern: str


class Numbering:
    """Counters of all lists of one document; `next` moves one of them and gives the mark as it shows."""

    def __init__(self, archive: Archive, part: str | None) -> None:
        self._levels: dict[str, dict[int, _Level]] = {}
        self._list_of: dict[str, str] = {}
        self._counts: dict[str, list[int | None]] = {}
        if part is not None and archive.has(part):
            self._load(archive.tree(part))

    def next(self, number: str, level: str) -> str:
        """Count one paragraph in list `number` at `level`; the mark is empty for bullets and unknown lists."""
        at = whole(level, 0)
        key = self._list_of.get(number, number)
        levels = self._levels.get(number) or self._levels.get(key) or {}
        rule = levels.get(at)
        if rule is None or at >= _LEVELS_MAX:
            return ""
        counts = self._counts.setdefault(key, [None] * _LEVELS_MAX)
        before = counts[at]
        counts[at] = rule.start if before is None else before + 1
        counts[at + 1 :] = [None] * (_LEVELS_MAX - at - 1)
        if rule.form in ("bullet", "none"):
            return ""

        def place(match: re.Match[str]) -> str:
            index = int(match.group(1)) - 1
            other = levels.get(index)
            count = counts[index]
            value = count if count is not None else (other.start if other is not None else 1)
            return _written(value, other.form if other is not None else "decimal")

        return _PLACE.sub(place, rule.pattern).strip()

    def _load(self, root: etree._Element) -> None:
        abstract: dict[str, dict[int, _Level]] = {}
        for definition in root.iter(f"{_W}abstractNum"):
            abstract[definition.get(f"{_W}abstractNumId", "")] = _levels(definition)
        for num in root.iter(f"{_W}num"):
            number = num.get(f"{_W}numId", "")
            target = _val(num, "abstractNumId")
            own = dict(abstract.get(target, {}))
            changed = False
            for override in num.iter(f"{_W}lvlOverride"):
                at = whole(override.get(f"{_W}ilvl", "0"), 0)
                start = whole(_val(override, "startOverride"), -1)
                if start >= 0 and at in own:
                    own[at] = _Level(start, own[at].form, own[at].pattern)
                    changed = True
                own.update(_levels(override))
            self._levels[number] = own
            self._list_of[number] = number if changed else f"abstract {target}"


def _levels(parent: etree._Element) -> dict[int, _Level]:
    found: dict[int, _Level] = {}
    for level in parent.iter(f"{_W}lvl"):
        at = whole(level.get(f"{_W}ilvl", "0"), 0)
        found[at] = _Level(whole(_val(level, "start"), 1), _val(level, "numFmt") or "decimal", _val(level, "lvlText"))
    return found


def whole(text: str, otherwise: int) -> int:
    """A small whole number, or what to take otherwise."""
    return int(text) if _WHOLE.fullmatch(text) else otherwise


def _val(parent: etree._Element, name: str) -> str:
    child = parent.find(f"{_W}{name}")
    return child.get(f"{_W}val", "") if child is not None else ""


def _written(value: int, form: str) -> str:
    if form in ("lowerLetter", "upperLetter") and 0 < value <= _LETTERS_MAX:
        letters = chr(ord("a") + (value - 1) % 26) * ((value - 1) // 26 + 1)
        return letters if form == "lowerLetter" else letters.upper()
    if form in ("lowerRoman", "upperRoman") and 0 < value <= _ROMAN_MAX:
        roman = _roman(value)
        return roman if form == "lowerRoman" else roman.upper()
    return f"{value:02d}" if form == "decimalZero" else str(value)


def _roman(value: int) -> str:
    parts = []
    for size, letters in _ROMAN:
        parts.append(letters * (value // size))
        value %= size
    return "".join(parts)
