"""BM25 over a collection as it was at one time: rows not valid then count neither in scores nor in statistics.

k1 and b are the textbook's. A repeated word of the query counts each time (CISI's long questions: nDCG@10 .382 →
.434). Length is in characters, which the store knows; counted in terms it ranks alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tiffin.knowledge.index import Bools, Ints, Rows

K1 = 1.2  # how fast a repeated term stops counting
B = 0.75  # how much a long chunk is discounted
QUERY_TERMS_MAX = 256  # different terms of one query; the longest of 700 real questions has 120

_STOP_WORDS = frozenset(
    "a about above after again against all am an and any are as at be because been before being below between "
    "both but by can could did do does doing down during each few for from further had has have having he her "
    "here hers him his how i if in into is it its itself just me more most my no nor not of off on once only or "
    "other our ours out over own same she should so some such than that the their theirs them then there these "
    "they this those through to too under until up very was we were what when where which while who whom why will "
    "with would you your yours".split()
)
_WORD = re.compile(r"\w+")


def worth_asking(query: str) -> str:
    """The query without words that say nothing; the whole query if nothing else is left."""
    words = _WORD.findall(query)
    return " ".join([word for word in words if word.casefold() not in _STOP_WORDS] or words)


def scores(rows: Rows, valid: Bools, terms: Iterable[tuple[int, Ints]]) -> npt.NDArray[np.float64]:
    """A score a row; 0 where no term occurs or the row is not valid. Terms come as times in the query and postings."""
    total = np.zeros(len(rows))
    count = int(valid.sum())
    if not count:
        return total
    mean = max(float(rows.sizes[valid].mean()), 1.0)
    for times, postings in terms:
        at, occurrences = _counted(rows, valid, postings)
        if not len(at):
            continue
        rarity = math.log(1 + (count - len(at) + 0.5) / (len(at) + 0.5))
        discount = K1 * (1 - B + B * rows.sizes[at] / mean)
        total[at] += times * rarity * occurrences * (K1 + 1) / (occurrences + discount)
    return total


def _counted(rows: Rows, valid: Bools, postings: Ints) -> tuple[Ints, Ints]:
    """The valid rows that hold a term, each once, and how often it occurs there."""
    at = np.searchsorted(rows.chunks, postings)
    at = at[at < len(rows)]
    at = at[valid[at]]
    edges = np.flatnonzero(np.diff(at, prepend=-1))
    return at[edges], np.diff(edges, append=len(at))
