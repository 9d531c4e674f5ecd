"""Models are rows; a call goes only to one that its grant covers and that can do what is asked."""

from __future__ import annotations

import re

import pytest

from tests.kernel.fakes import ALICE, EVERYTHING
from tiffin.kernel.calls import Ask, Chat, Embed, Read, Retrieve
from tiffin.kernel.errors import Forbidden, Invalid, NotFound
from tiffin.kernel.people import Grant
from tiffin.kernel.receipt import Target
from tiffin.providers.catalogue import BUILT_IN, DEFAULT, DEFAULTS, Catalogue, Model
from tiffin.providers.engines.sources import ModelSource

BIG = Model("big", "chat", "file:/big.gguf", "ab" * 32, 4_096, "openai_chat")
GRANT = Grant(ALICE, EVERYTHING)


def test_what_comes_with_tiffin_is_pinned_and_each_default_can_do_its_kind() -> None:
    for model in BUILT_IN:
        assert re.fullmatch("[0-9a-f]{64}", model.sha256) and model.built_in
        assert ModelSource.parse(model.source).version, "a built-in model names the release of its package"
    assert all(Catalogue([]).find(DEFAULT, kind).alias == alias for kind, alias in DEFAULTS.items())


def test_a_call_is_routed_to_the_pinned_weights() -> None:
    catalogue = Catalogue([BIG])
    assert catalogue.route(GRANT, Chat("big", ())) == Target("big", "local", "big", "ab" * 32, "openai_chat", 4_096)
    assert catalogue.route(GRANT, Chat(DEFAULT, ())).model == DEFAULTS["chat"]
    assert catalogue.route(GRANT, Embed(DEFAULT, ("a",))).model == DEFAULTS["embed"]
    assert [catalogue.route(GRANT, call) for call in (Ask("c", "q"), Retrieve("c", "q"), Read("status"))] == [
        Target()
    ] * 3


def test_a_model_that_is_not_there_or_cannot_is_said_with_those_that_can() -> None:
    catalogue = Catalogue([])
    for call in (Chat("big", ()), Ask("c", "q", "big")):
        with pytest.raises(NotFound, match="'big'") as raised:
            catalogue.route(GRANT, call)
        assert "smollm2" in raised.value.hint and raised.value.field == "model"
    with pytest.raises(Invalid, match="cannot chat"):
        catalogue.route(GRANT, Chat("minilm", ()))
    with pytest.raises(Invalid, match="cannot embed"):
        catalogue.route(GRANT, Embed("smollm2", ("a",)))


def test_a_grant_covers_the_model_behind_an_alias_too() -> None:
    narrow = GRANT.narrow(models=frozenset({"big"}))
    catalogue = Catalogue([BIG])
    assert catalogue.route(narrow, Chat("big", ())).model == "big"
    for alias in (DEFAULT, "smollm2"):
        with pytest.raises(Forbidden):
            catalogue.route(narrow, Chat(alias, ()))


def test_models_come_and_go() -> None:
    catalogue = Catalogue([])
    before = catalogue.all()
    catalogue.add(BIG)
    assert [model.alias for model in catalogue.all()] == [*(model.alias for model in before), "big"]
    catalogue.remove("big")
    catalogue.remove("big")
    assert catalogue.all() == before and catalogue.get("big") is None
