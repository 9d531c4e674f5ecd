"""BM25: the textbook's numbers, over the rows that were valid."""

from __future__ import annotations

import math

import numpy as np

from tiffin.knowledge import bm25
from tiffin.knowledge.bm25 import K1, B
from tiffin.knowledge.index import OPEN_END, Rows

SIZES = [100, 200, 300]


def rows(count: int = 3) -> Rows:
    ints = np.arange(count, dtype=np.int64)
    ends = np.full(count, OPEN_END, np.int64)
    sizes = np.array(SIZES[:count], np.int64)
    return Rows(1, 1, ints * 10 + 5, ints, ints, ends, sizes, np.zeros((count, 4), np.int8), np.ones(count, np.float32))


def postings(*chunks: int) -> np.ndarray:
    return np.array(chunks, np.int64)


def textbook(times: int, size: int, mean: float, holding: int, count: int) -> float:
    rarity = math.log(1 + (count - holding + 0.5) / (holding + 0.5))
    return rarity * times * (K1 + 1) / (times + K1 * (1 - B + B * size / mean))


def test_scores_are_those_of_the_textbook() -> None:
    scores = bm25.scores(rows(), np.ones(3, bool), [(1, postings(5, 5, 15)), (2, postings(25))])
    wanted = [textbook(2, 100, 200, 2, 3), textbook(1, 200, 200, 2, 3), 2 * textbook(1, 300, 200, 1, 3)]
    assert np.allclose(scores, wanted)


def test_rows_that_are_not_valid_count_nowhere() -> None:
    valid = np.array([True, True, False])
    scores = bm25.scores(rows(), valid, [(1, postings(5, 15, 25, 25))])
    alone = bm25.scores(rows(2), np.ones(2, bool), [(1, postings(5, 15))])
    assert np.allclose(scores, [*alone, 0])


def test_chunks_that_the_rows_do_not_know_are_passed_over() -> None:
    assert bm25.scores(rows(), np.ones(3, bool), [(1, postings(999)), (1, postings())]).tolist() == [0, 0, 0]
    assert bm25.scores(rows(), np.zeros(3, bool), [(1, postings(5))]).tolist() == [0, 0, 0]


def test_words_that_say_nothing_are_left_out_unless_there_are_no_others() -> None:
    assert bm25.worth_asking("What is the maximum dose of it?") == "maximum dose"
    assert bm25.worth_asking("Who are you?") == "Who are you"
    assert bm25.worth_asking("?!") == ""
