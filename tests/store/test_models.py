"""Models that were added are remembered, each alias once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tiffin.store import models
from tiffin.store.database import Database
from tiffin.store.models import AddedModel


def test_a_model_is_added_listed_and_removed(tmp_path: Path) -> None:
    big, small = (AddedModel(name, "chat", f"file:/{name}", "ab" * 32, 4_096, 1) for name in ("big", "a-small"))
    database = Database.open(tmp_path / "tiffin.db")
    assert [models.add(database, model) for model in (big, small, big)] == [True, True, False]
    database.close()
    database = Database.open(tmp_path / "tiffin.db")
    with database.read() as connection:
        assert models.listed(connection) == [small, big]
    assert [models.remove(database, "big"), models.remove(database, "big")] == [True, False]
    with database.read() as connection:
        assert models.listed(connection) == [small]
    database.close()


def test_of_many_that_take_one_alias_at_once_one_wins_and_none_overwrites(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "tiffin.db")
    rivals = [AddedModel("m", "chat", f"file:/{n}", f"{n:064x}", 4_096, n) for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda model: models.add(database, model), rivals))
    with database.read() as connection:
        assert models.listed(connection) == [rivals[won.index(True)]] and won.count(True) == 1
    database.close()
