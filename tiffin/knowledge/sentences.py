"""Where the sentences of a text stand: exact spans, in code points, in order, never overlapping, no word left out.

Own rules, because none of the libraries measured keeps exact offsets and reads English, German and Japanese alike. A
wrong split costs a clumsy quote, a wrong offset would cost the truth of a citation: so a span is only ever cut out of
the text.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

SENTENCE_CHARS_MAX = 1_200  # code points; beyond it a "sentence" is a table or a dump, and is cut at white space
WORDS_BEFORE_CHARS = 80  # code points before an abbreviation that may decide what it is
FIT_SHARE = 0.9  # of the longest line; a line that ends before it had room for the next word, so its end was meant

_ABBREVIATIONS = frozenset(
    # titles and people
    "mr mrs ms dr prof sr jr st rev hon gen col capt lt sgt al hr fr dipl ing med "
    # references and measures
    "fig figs eq eqs ref refs no nos vol vols pp p sec sect ch chap art para tab app ed eds approx ca cf vs viz resp "
    "e.g i.e eg ie a.m p.m min max avg dept est inc ltd co corp bros jan feb mar apr jun jul aug sep sept oct nov dec "
    "u.s u.k ph.d b.i.d t.i.d q.d i.v s.c p.o b.w spp sp var subsp cv incl excl "
    # German
    "z.b d.h u.a u.u i.d.r o.ä z.t s.o s.u v.a bzw usw ggf evtl nr abs str bd hrsg vgl sog abb kap inkl exkl "
    "mind tel zzgl mio mrd jh jhd geb gest".split()
)
_ENDS_TOO = frozenset("no etc usw min max sec".split())  # abbreviations, but words that end sentences as well
_MAY_END = frozenset("al inc ltd co corp a.m p.m u.s u.k ph.d p.o i.v s.c".split())  # if a starter follows
_STARTERS = frozenset(
    "the this that these those it its in on at a an we our he his she her they their there however for after "
    "although all as both but by during each if most no of one since some such to two when while der die das "
    "es sie er wir im in bei nach ein eine".split()
)
_CLASSES = re.compile(
    r"\b(?:vitamin|hepatitis|type|group|phase|grade|arm|class|cohort|part|factor|appendix)\s*$", re.IGNORECASE
)
_ARTICLE = re.compile(
    r"\b(?:der|die|das|dem|den|des|am|im|vom|zum|zur|beim|jede[nrms]?|seit|bis|ab)\s*$", re.IGNORECASE
)
_GERMAN_MONTHS = "Januar|Jänner|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember"

# Possessive (`++`) and anchored, so that a megabyte of dots or of blanks is read once and not once for each of them.
_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)|[。！？]++[」』）”]*+|(?<=[.!?])\[\d[\d,\u2013-]{0,40}\](?=\s)"
)
_NEXT = re.compile(r"\s+[\"'“‘«„(\[¿¡]*(\w[^\W\d_]*)(\.?)", re.UNICODE)
_LAST_WORD = re.compile(r"([^\W\d_](?:[\w.]*[^\W_])?|\d+)\.$", re.UNICODE)
_BREAK = re.compile(r"\n(?:[^\S\n]*+\n)++|\f")  # a blank line, or the end of a page
_LIST = re.compile(r"\s*(?:[-–—•‣▪◦*+·]\s|#{1,6}\s|\|)")  # these begin a line of their own
_NUMBERED = re.compile(
    r"\s*(?:\(?\d{1,3}[.)]|\d+(?:\.\d+)+|\(?[a-zA-Z][.)]|\(?[ivx]{1,4}[.)]|o)\s+\S"
)  # these may also be prose
_STARTS_ANEW = re.compile(r"\s*[\"'“‘«„(\[]*[A-ZÄÖÜÀ-ÞΑ-ΩА-Я0-9]")
_HEAD = re.compile(r"\s*(?:#{1,6}\s|\|)")
_ORDINAL = re.compile(rf"\s+(?:{_GERMAN_MONTHS})\b")
_LINE_END = re.compile(r"\n")
_VISIBLE = re.compile(r"\w", re.UNICODE)


class Span(NamedTuple):
    """`text[start:end]`, in code points."""

    start: int
    end: int


def sentences(text: str, start: int = 0, end: int | None = None) -> tuple[Span, ...]:
    """The sentences of `text[start:end]`, as spans of `text`, without the white space around them."""
    stop = len(text) if end is None else min(end, len(text))
    found: list[Span] = []
    for block in _blocks(text, start, stop):
        for line in _lines(text, block):
            for one in _split(text, line):
                found.extend(_bounded(text, one))
    return tuple(found)


def _blocks(text: str, start: int, stop: int) -> list[Span]:
    """Parts between blank lines."""
    cuts = [start]
    for match in _BREAK.finditer(text, start, stop):
        cuts += [match.start(), match.end()]
    cuts.append(stop)
    return [Span(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=True) if a < b]


def _lines(text: str, block: Span) -> list[Span]:
    """Runs of lines that are wrapped prose; a list item, table row or heading is a run of its own."""
    ends = [m.start() for m in _LINE_END.finditer(text, block.start, block.end)]
    if not ends:
        return [block]
    edges = [block.start, *(e + 1 for e in ends), block.end]
    lines = [Span(a, b) for a, b in pairwise(edges)]
    width = max(len(text[a:b].rstrip()) for a, b in lines)
    runs = [lines[0]]
    for line in lines[1:]:
        if _breaks(text, runs[-1], line, width):
            runs.append(line)
        else:
            runs[-1] = Span(runs[-1].start, line.end)
    return runs


def _breaks(text: str, run: Span, line: Span, width: int) -> bool:
    """Whether the line end between a run and the next line was meant, and is not only the margin."""
    start = text.rfind("\n", run.start, run.end - 1) + 1 or run.start
    before, after = text[max(start, run.start) : run.end].rstrip(), text[line.start : line.end]
    if (
        _HEAD.match(before)
        or _LIST.match(after)
        or "\t" in before
        or "\t" in after
        or " | " in before
        or " | " in after
    ):
        return True
    if before.endswith(("\x02", "\u00ad")) or not _STARTS_ANEW.match(after):
        return False
    first = after.split(maxsplit=1)[0] if after.split() else ""
    return before.endswith(":") or len(before) + 1 + len(first) < width * FIT_SHARE


def _split(text: str, run: Span) -> list[Span]:
    spans, start = [], run.start
    for match in _END.finditer(text, run.start, run.end):
        if match.end() <= start or not _ends(text, start, match, run.end):
            continue
        spans.append(_trimmed(text, start, match.end()))
        start = match.end()
    spans.append(_trimmed(text, start, run.end))
    return [span for span in spans if _VISIBLE.search(text, span.start, span.end)]


def _ends(text: str, start: int, match: re.Match[str], stop: int) -> bool:
    """Whether the full stop found there ends a sentence."""
    mark = match.group()
    if mark[0] in "。！？":
        return mark[-1] not in "」』" or text[match.end() : match.end() + 1] not in ("と", "っ")
    following = _NEXT.match(text, match.end(), stop)
    if following is None:
        return True
    if following.group(1)[0].islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    if match.start() > start and text[match.start() - 1] in " <=>~±":
        return False  # "P <. 001": a decimal point that has lost its place
    word = _LAST_WORD.search(text[max(start, match.start() - 24) : match.start() + 1])
    return word is None or _word_ends(text, word.group(1), Span(start, match.start()), following)


def _word_ends(text: str, word: str, so_far: Span, following: re.Match[str]) -> bool:
    """Whether the sentence `so_far`, whose last word this is, may end before what follows."""
    before = text[max(so_far.start, so_far.end - WORDS_BEFORE_CHARS) : so_far.end - len(word)]
    low, after = word.casefold(), following.group(1)
    if word.isdigit():
        ordinal = len(word) <= 2 and (_ARTICLE.search(before) or _ORDINAL.match(text, so_far.end + 1))
        return bool(before.strip()) and not ordinal
    if len(word) == 1 and low not in _ABBREVIATIONS:
        initial = after[0].isupper() and (word.isupper() or (len(after) == 1 and following.group(2) == "."))
        return bool(before.strip()) and (not initial or bool(_CLASSES.search(before)))
    if low not in _ABBREVIATIONS:
        return True
    if low in _ENDS_TOO:
        return not after[0].isdigit()
    return low in _MAY_END and after.casefold() in _STARTERS


def _bounded(text: str, span: Span) -> list[Span]:
    parts = []
    start = span.start
    while span.end - start > SENTENCE_CHARS_MAX:
        cut = max(text.rfind(mark, start + 1, start + SENTENCE_CHARS_MAX) for mark in (" ", "\n", "\t"))
        cut = cut if cut > start else start + SENTENCE_CHARS_MAX
        parts.append(_trimmed(text, start, cut))
        start = cut
    parts.append(_trimmed(text, start, span.end))
    return [part for part in parts if part.end > part.start]


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)
