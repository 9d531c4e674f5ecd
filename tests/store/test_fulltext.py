"""Full text: postings with their counts, terms as the index spells them, and no text that is a syntax error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.store import fulltext
from tiffin.store.database import Database
from tiffin.store.fulltext import Stemmer

STEMMER = Stemmer()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(tmp_path / "tiffin.db")
    with opened.write() as connection:
        fulltext.create(connection, 7)
    yield opened
    opened.close()


def test_postings_count_every_occurrence(database: Database) -> None:
    with database.write() as connection:
        fulltext.add(connection, 7, [(1, "one dog and two dogs"), (2, "a cat"), (5, "DOG")])
    with database.read() as connection:
        assert fulltext.postings(connection, 7, "dog").tolist() == [1, 1, 5]
        assert fulltext.postings(connection, 7, "nothing").tolist() == []


@pytest.mark.parametrize("gone", [range(0, 300, 2), [4], range(300), [4, 299]], ids=["half", "one", "all", "two"])
def test_removed_rows_leave_the_index(database: Database, gone: Sequence[int]) -> None:
    with database.write() as connection:
        fulltext.add(connection, 7, [(number, f"common word{number}") for number in range(300)])
    with database.write() as connection:
        fulltext.remove(connection, 7, gone)
    assert database.scrub()
    stay = sorted(set(range(300)) - set(gone))
    with database.read() as connection:
        assert fulltext.postings(connection, 7, "common").tolist() == stay
        assert fulltext.postings(connection, 7, "word4").tolist() == []
        assert all(fulltext.postings(connection, 7, f"word{number}").tolist() == [number] for number in stay)
        terms = {row[0] for row in connection.exec_driver_sql("SELECT term FROM text_7_terms")}
    assert terms == {f"word{number}" for number in stay} | ({"common"} if stay else set())


def test_terms_are_spelt_as_in_the_index(database: Database) -> None:
    text = "Walking zebras, ÜBER naïve 5.2 mg/kg ALT>3×ULN 日本 don't re-run"
    with database.write() as connection:
        fulltext.add(connection, 7, [(1, text)])
    with database.read() as connection:
        for term, times in STEMMER.terms(text).items():
            assert fulltext.postings(connection, 7, term).tolist() == [1] * times, term


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=200))
def test_no_text_is_a_syntax_error(text: str) -> None:
    for term, times in STEMMER.terms(text).items():
        assert term and times > 0


@pytest.mark.parametrize("query", ['"', "AND", "OR OR", "NEAR(", "a*", "body:x", "-x", "^", "(", "'; --", "\0", "NOT"])
def test_the_grammar_of_fts5_is_only_text(database: Database, query: str) -> None:
    with database.read() as connection:
        for term in STEMMER.terms(query):
            assert fulltext.postings(connection, 7, term).tolist() == []


def test_collections_do_not_share_words(database: Database) -> None:
    with database.write() as connection:
        fulltext.create(connection, 8)
        fulltext.add(connection, 7, [(1, "apple")])
        fulltext.add(connection, 8, [(2, "apple")])
        assert sorted(fulltext.tables(connection)) == [7, 8]
        fulltext.drop(connection, 7)
        assert fulltext.postings(connection, 8, "appl").tolist() == [2]
        assert fulltext.tables(connection) == [8]
