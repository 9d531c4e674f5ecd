"""Models are added with their digest pinned, taken off the list, and never twice under one name."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.fakes import ALICE, EVERYTHING
from tiffin.kernel.calls import Administer, Read
from tiffin.kernel.errors import Conflict, Invalid, NotFound
from tiffin.kernel.parts import Event, Progress, Row
from tiffin.kernel.people import Grant
from tiffin.kernel.ports import Context
from tiffin.providers.administration import PROGRESS_STEP_BYTES, Shelf
from tiffin.providers.catalogue import Catalogue, Model
from tiffin.providers.engines.local import LocalModels

CONTEXT = Context(Grant(ALICE, EVERYTHING), "r", lambda call: None, 0)  # type: ignore[arg-type,return-value]


@dataclass
class Kept:
    rows: dict[str, Model] = field(default_factory=dict)
    taken: bool = False

    def save(self, model: Model) -> bool:
        self.rows[model.alias] = model
        return not self.taken

    def forget(self, alias: str) -> None:
        del self.rows[alias]


@dataclass
class Ours:
    shelf: Shelf
    catalogue: Catalogue
    kept: Kept

    async def add(self, alias: str, source: str, **settings: Any) -> list[Event]:
        return await self.asked(Administer("add_model", alias, {"source": source} | settings))

    async def asked(self, call: Administer) -> list[Event]:
        return [event async for event in self.shelf.administer(call, CONTEXT)]


@pytest.fixture
async def ours(tmp_path: Path) -> AsyncIterator[Ours]:
    catalogue, kept = Catalogue([]), Kept()
    local = LocalModels(catalogue, tmp_path / "models", tmp_path / "logs", lambda text: None)
    yield Ours(Shelf(catalogue, local, lambda: 5, kept.save, kept.forget), catalogue, kept)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "w.gguf"
    file.write_bytes(b"GGUF" + b"\0" * (3 * PROGRESS_STEP_BYTES))
    return file


async def test_a_model_is_added_with_the_digest_that_was_found(ours: Ours, weights: Path) -> None:
    events = await ours.add("big", f"file:{weights}", context_tokens=512)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    model = Model("big", "chat", f"file:{weights}", digest, 512, "openai_chat", 5)
    assert ours.catalogue.get("big") == ours.kept.rows["big"] == model
    (row,) = (event.value for event in events if isinstance(event, Row))
    assert row["sha256"] == digest
    steps = [event for event in events if isinstance(event, Progress)]
    assert 1 <= len(steps) <= 5 and all(step.done <= step.total == weights.stat().st_size for step in steps)


@pytest.mark.parametrize(
    ("source", "settings", "says"),
    [
        ("file:/nowhere/at/all.gguf", {}, "no file"),
        ("file:relative.gguf", {}, "absolute"),
        ("ftp:x", {}, "not a model source"),
        ("", {}, "not a model source"),
        ("WEIGHTS", {"sha256": "ab" * 32}, "pinned"),
        ("TEXT", {}, "GGUF"),
        ("FOLDER", {}, "no file"),
        ("file:/dev/zero", {}, "no file"),
    ],
)
async def test_what_cannot_be_had_is_refused_and_nothing_is_kept(
    ours: Ours, weights: Path, source: str, settings: dict[str, str], says: str
) -> None:
    (weights.parent / "t.txt").write_text("not weights")
    places = {"WEIGHTS": f"file:{weights}", "TEXT": f"file:{weights.parent}/t.txt", "FOLDER": f"file:{weights.parent}"}
    with pytest.raises(Invalid, match=says):
        await ours.add("big", places.get(source, source), **settings)
    assert ours.catalogue.get("big") is None and not ours.kept.rows


@pytest.mark.parametrize("alias", ["default", "smollm2", "minilm"])
async def test_a_name_that_is_taken_stays_taken(ours: Ours, weights: Path, alias: str) -> None:
    before = ours.catalogue.get(alias)
    with pytest.raises(Conflict):
        await ours.add(alias, f"file:{weights}")
    assert ours.catalogue.get(alias) == before


async def test_who_is_slower_by_a_moment_is_told_so(ours: Ours, weights: Path) -> None:
    ours.kept.taken = True
    with pytest.raises(Conflict):
        await ours.add("big", f"file:{weights}")
    assert ours.catalogue.get("big") is None


async def test_a_model_is_removed_but_not_one_that_comes_with_tiffin(ours: Ours, weights: Path) -> None:
    await ours.add("big", f"file:{weights}")
    await ours.asked(Administer("remove_model", "big"))
    assert ours.catalogue.get("big") is None and not ours.kept.rows and weights.exists()
    with pytest.raises(NotFound):
        await ours.asked(Administer("remove_model", "big"))
    with pytest.raises(Conflict, match="comes with Tiffin"):
        await ours.asked(Administer("remove_model", "smollm2"))


async def test_who_leaves_while_a_model_is_fetched_leaves_nothing_behind(ours: Ours, weights: Path) -> None:
    adding = ours.shelf.administer(Administer("add_model", "big", {"source": f"file:{weights}"}), CONTEXT)
    await anext(adding)
    await adding.aclose()
    await asyncio.sleep(0.05)
    assert ours.catalogue.get("big") is None and not ours.kept.rows


async def test_the_list_says_what_there_is(ours: Ours) -> None:
    rows = [event.value async for event in ours.shelf.read(Read("models"), CONTEXT) if isinstance(event, Row)]
    assert [row["id"] for row in rows] == ["default", "minilm", "smollm2"]
    assert all(row["engine"] == "not started" and row["sha256"] for row in rows)
