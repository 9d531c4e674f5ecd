"""The OpenAI chat format, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel.calls import Chat, JsonOutput, Sampling
from tiffin.kernel.errors import Invalid, NotFound, OverBudget, PromptTooLong, ProviderError, ProviderUnavailable
from tiffin.kernel.parts import Citation, Event, Finish, SentenceDone, TextDelta, Usage, UsageSeen, message
from tiffin.wire import openai
from tiffin.wire.openai_chat import ChunkRenderer, Envelope, EventParser, parse_request, render_answer, render_request

ENVELOPE = Envelope("chatcmpl-1", "m", 1)
plain = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
optional_float = st.none() | st.floats(0, 1, allow_nan=False)
samplings = st.builds(
    Sampling,
    max_tokens=st.none() | st.integers(1, 10_000),
    temperature=optional_float,
    top_p=optional_float,
    seed=st.none() | st.integers(0, 2**31 - 1),
    stop=st.lists(plain.filter(bool), max_size=3).map(tuple),
    presence_penalty=optional_float,
    frequency_penalty=optional_float,
)
outputs = st.none() | st.builds(JsonOutput) | st.builds(JsonOutput, plain, st.just('{"type":"object"}'))
chats = st.builds(
    Chat,
    model=plain,
    messages=st.lists(st.builds(message, st.sampled_from(["system", "user", "assistant"]), plain), min_size=1).map(
        tuple
    ),
    sampling=samplings,
    output=outputs,
)
events = st.tuples(
    st.lists(st.builds(TextDelta, plain.filter(bool)), max_size=5),
    st.builds(Usage, st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9999)),
    st.builds(Finish, st.sampled_from(["stop", "length"])),
).map(lambda t: (*t[0], UsageSeen(t[1]), t[2]))


@given(chats)
def test_a_call_survives_the_wire(call: Chat) -> None:
    parsed = parse_request(json.dumps(render_request(call, model=call.model, stream=True)).encode())
    assert parsed.call == call
    assert parsed.stream and parsed.include_usage


@given(events)
def test_an_answer_survives_the_wire(sent: tuple[Event, ...]) -> None:
    renderer, parser = ChunkRenderer(ENVELOPE, include_usage=True), EventParser()
    lines = [renderer.start(), *(line for event in sent for line in renderer.render(event))]
    assert tuple(event for line in lines for event in parser.feed(line)) == sent


def test_a_stream_cut_before_done_has_no_finish() -> None:
    renderer, parser = ChunkRenderer(ENVELOPE, include_usage=False), EventParser()
    *lines, _done = renderer.render(Finish())
    assert not any(isinstance(e, Finish) for line in lines for e in parser.feed(line))


def test_citations_ride_along_as_annotations() -> None:
    cited = SentenceDone("x", True, (Citation("c", "d", "t", 1, 2, 3, 4, "q", 0.5),))
    body = render_answer([TextDelta("x"), cited, Finish()], ENVELOPE)
    (note,) = body["choices"][0]["message"]["annotations"]
    assert note["type"] == "file_citation"
    assert note["file_citation"]["quote"] == "q" and note["file_citation"]["page"] == 2


HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"n": 2}, "'n'"),
        ({"logprobs": True}, "logprobs"),
        ({"frobnicate": 1}, "frobnicate"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "Tool"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "text parts"),
        ({"response_format": {"type": "json_schema"}}, "schema"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_not_carried_is_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_request(json.dumps(HELLO | change).encode())
    assert says in f"{raised.value.message} {raised.value.hint}"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'"x"', b'{"model": 1}', b"{" * 100_000])
def test_garbage_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        parse_request(body)


def test_harmless_extras_and_parts_are_accepted() -> None:
    body = HELLO | {"user": "u", "metadata": {}, "store": False, "n": 1, "tools": [], "parallel_tool_calls": True}
    body["messages"] = [
        {"role": "developer", "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "brief"}]}
    ]
    assert parse_request(json.dumps(body).encode()).call.messages == (message("system", "be brief"),)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8}, PromptTooLong),
        (400, {"message": "bad"}, Invalid),
        (401, {"message": "Incorrect API key"}, ProviderError),
        (404, {}, NotFound),
        (429, {}, OverBudget),
        (503, {}, ProviderUnavailable),
        (500, {}, ProviderError),
    ],
)
def test_upstream_errors_are_ours_by_fault(status: int, error: dict[str, Any], kind: type[Exception]) -> None:
    answered = openai.answer_error(status, error)
    assert type(answered) is kind
    assert "Incorrect API key" not in answered.message


def test_an_error_in_the_stream_is_raised() -> None:
    with pytest.raises(ProviderError):
        EventParser().feed('{"error": {"message": "boom"}}')
    with pytest.raises(ProviderError):
        EventParser().feed("not json")


@pytest.mark.parametrize(
    ("named", "about"),
    [
        ({}, ()),
        ({"user": "p-17"}, ("p-17",)),
        ({"metadata": {"user_id": "p-18"}}, ("p-18",)),
        ({"user": " ", "metadata": {"a": "b"}}, ()),
        ({"user": "p-17", "metadata": {"user_id": "p-18"}}, ("p-17",)),
    ],
)
def test_whom_the_body_names_the_call_is_about(named: dict[str, Any], about: tuple[str, ...]) -> None:
    assert parse_request(json.dumps(HELLO | named).encode()).about == about


@pytest.mark.parametrize("user", [7, ["p"], "x" * 129])
def test_a_strange_name_is_refused(user: object) -> None:
    with pytest.raises(Invalid, match="user"):
        parse_request(json.dumps(HELLO | {"user": user}).encode())
