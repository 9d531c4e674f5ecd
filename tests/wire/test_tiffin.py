"""Our own bodies: what they take, what they refuse by name, and how events are rendered."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tiffin.kernel import limits
from tiffin.kernel.calls import Filter
from tiffin.kernel.errors import NotFound
from tiffin.kernel.parts import (
    Citation,
    DocumentResult,
    Embedded,
    Finish,
    Found,
    Hit,
    Opened,
    Progress,
    SentenceDone,
    TextDelta,
    Usage,
    UsageSeen,
    UsedInside,
)
from tiffin.wire import tiffin
from tiffin.wire.tiffin import ALIAS, Answer, AskBody, DocumentBody, DocumentsBody, KeyBody, ModelBody, SearchBody

CITED = Citation("c", "d", "t", 1, 2, 3, 4, "q", 0.5, "7")
HIT = Hit("c", "d", "t", 1, "7", 0.5, "text", 1, 0, 4, 0.25)
ASK: dict[str, Any] = {"collection": "c", "question": "q?"}
SEARCH: dict[str, Any] = {"collection": "c", "query": "q"}
MODEL: dict[str, Any] = {"alias": "m", "source": "file:/m.gguf"}


def test_bodies_become_calls() -> None:
    ask = AskBody(**ASK, history=[{"role": "user", "content": "before"}], seed=3, max_tokens=5).call()
    assert (ask.history[0].text, ask.sampling.seed, ask.sampling.max_tokens) == ("before", 3, 5)
    assert SearchBody(**SEARCH).call().filter is None
    wanted = SearchBody(**SEARCH, filter={"site": "Basel", "year": [2024, 2025], "open": True}).call()
    assert wanted.filter == Filter({"site": ("Basel",), "year": (2024, 2025), "open": (True,)})


@pytest.mark.parametrize(
    ("body", "fields", "where"),
    [
        (AskBody, ASK | {"question": ""}, "question"),
        (AskBody, ASK | {"question": "x" * (limits.QUESTION_CHARS_MAX + 1)}, "question"),
        (AskBody, ASK | {"modle": "m"}, "modle"),
        (AskBody, ASK | {"question": "\ud800"}, "question"),
        (AskBody, ASK | {"history": [{"role": "user", "content": "\ud800"}]}, "content"),
        (AskBody, ASK | {"history": [{"role": "system", "content": "x"}]}, "role"),
        (AskBody, ASK | {"seed": 2**31}, "seed"),
        (AskBody, ASK | {"max_tokens": 10**30}, "max_tokens"),
        (AskBody, ASK | {"as_of": "x" * 1_000}, "as_of"),
        (SearchBody, SEARCH | {"limit": 10**30}, "limit"),
        (SearchBody, SEARCH | {"filter": {"\ud800": 1}}, "filter"),
        (SearchBody, SEARCH | {"filter": {"a": "\ud800"}}, "filter"),
        (SearchBody, SEARCH | {"filter": {"a": float("nan")}}, "filter"),
        (SearchBody, SEARCH | {"filter": {"a": float("inf")}}, "filter"),
        (SearchBody, SEARCH | {"filter": {"a": [[]]}}, "filter"),
        (SearchBody, SEARCH | {"filter": {str(n): 1 for n in range(65)}}, "filter"),
        (SearchBody, SEARCH | {"filter": {"a": list(range(257))}}, "filter"),
        (DocumentsBody, {"documents": []}, "documents"),
        (DocumentsBody, {"documents": [{"id": "", "text": "x"}]}, "id"),
        (DocumentsBody, {"documents": [{"id": "x"}]}, "text"),
        (DocumentsBody, {"documents": [{"id": "x", "text": "x", "subjects": [""]}]}, "subjects"),
        (KeyBody, {"role": "god"}, "role"),
        (KeyBody, {"tokens_max": 10**30}, "tokens_max"),
        (KeyBody, {"tokens_max": 0}, "tokens_max"),
        (ModelBody, MODEL | {"sha256": "AB" * 32}, "sha256"),
        (ModelBody, MODEL | {"context_tokens": 1}, "context_tokens"),
        *(
            (ModelBody, MODEL | {"alias": alias}, "alias")
            for alias in ("", "../x", "a/b", "rag:c", "a b", "é", ".x", "a\n")
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(body: type[BaseModel], fields: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as raised:
        body(**fields)
    assert where in str(raised.value.errors()[0]["loc"])


@pytest.mark.parametrize("alias", ["big", "llama-3.1_8b+q4", "7b", "x" * limits.NAME_CHARS_MAX])
def test_usual_names_of_models_are_taken(alias: str) -> None:
    assert re.match(ALIAS, ModelBody(**MODEL | {"alias": alias}).alias)


def test_the_digest_of_a_text_is_that_of_its_bytes() -> None:
    (document,) = DocumentsBody(documents=[{"id": "a", "text": "Zoë"}]).documents
    assert document.document().digest == hashlib.sha256("Zoë".encode()).hexdigest()


def test_an_answer_gathers_its_events() -> None:
    answer = Answer("r", "m")
    events = (Opened("r"), Found((HIT,)), TextDelta("a "), TextDelta("b"), SentenceDone("a b", True, (CITED, CITED)))
    for event in (*events, UsedInside(Usage(1, 1)), UsageSeen(Usage(3, 4)), Finish()):
        answer.see(event)
    body = answer.body()
    assert (body["answer"], body["refused"], body["reason"], body["receipt"]) == ("a b", False, None, "r")
    assert len(body["citations"]) == 1 and body["citations"][0]["quote"] == "q"
    assert body["usage"] == {"input_tokens": 3, "output_tokens": 4}
    tiffin.AskAnswer.model_validate(body)


def test_a_refusal_says_why_and_an_answer_that_stopped_claims_nothing() -> None:
    answer = Answer("r", "m")
    answer.see(Finish("refused", "nothing found"))
    assert answer.body()["refused"] and answer.body()["reason"] == "nothing found"
    assert Answer("r", "m").body()["answer"] == ""


def test_events_are_rendered_and_what_is_inner_stays_inside() -> None:
    result = DocumentResult("d", "refused", reason="empty", detail="There is nothing in it.")
    shown = [tiffin.render_event(e) for e in (Found((HIT,)), TextDelta("a"), SentenceDone("a", False), result)]
    assert [name for name, _ in filter(None, shown)] == ["sources", "text", "sentence", "document"]
    assert json.loads(json.dumps(shown))
    assert tiffin.render_event(Progress("chunks", 1, 2)) == ("progress", {"stage": "chunks", "done": 1, "total": 2})
    assert [tiffin.render_event(e) for e in (Opened("r"), Finish(), Embedded(b"", 1, 0), UsageSeen(Usage()))] == [
        None
    ] * 4
    tiffin.DocumentOut.model_validate(tiffin.document(result))
    tiffin.HitOut.model_validate(tiffin.hit(HIT))
    tiffin.SentenceOut.model_validate(tiffin.sentence(SentenceDone("a", True, (CITED,))))


def test_an_error_carries_its_receipt() -> None:
    error = NotFound("No such thing.", hint="Look there.", field="item")
    error.receipt = "r"
    body = tiffin.render_error(error)
    assert tiffin.ErrorAnswer.model_validate(body).receipt == "r" and body["error"]["type"] == "not_found"


def test_a_person_may_have_the_same_name_on_a_document_as_in_a_header() -> None:
    name = "p" * limits.SUBJECT_CHARS_MAX
    assert DocumentBody(id="a", text="x", subjects=[name]).document().subjects == (name,)
    for wrong in ([name + "p"], [""], ["p"] * (limits.SUBJECTS_PER_DOCUMENT_MAX + 1)):
        with pytest.raises(ValidationError):
            DocumentBody(id="a", text="x", subjects=wrong)
