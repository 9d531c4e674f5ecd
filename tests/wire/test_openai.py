"""What all OpenAI formats share: bodies that are none, errors both ways, the list of models."""

from __future__ import annotations

import pytest

from tiffin.kernel.errors import Bug, Invalid, NotFound, ProviderError, TiffinError, every_kind
from tiffin.wire.openai import MESSAGE_CHARS_MAX, answer_error, read_object, render_error, render_models


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":' * 50_000, b"[" * 10**6],
    ids=[
        "empty",
        "cut",
        "list",
        "null",
        "text",
        "no UTF-8",
        "no UTF-8 inside",
        "half a character",
        "deep",
        "deep list",
    ],
)
def test_a_body_that_is_none_is_the_callers_fault(body: bytes) -> None:
    with pytest.raises(Invalid) as raised:
        read_object(body)
    assert raised.value.hint and len(raised.value.message) < 300


def test_numbers_of_any_size_do_no_harm() -> None:
    assert read_object(b'{"a": ' + b"9" * 30 + b"}") == {"a": int("9" * 30)}
    with pytest.raises(Invalid):
        read_object(b'{"a": ' + b"9" * 10_000 + b"}")


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.__name__)
def test_every_error_has_openais_shape(kind: type[TiffinError]) -> None:
    shown = render_error(kind("It failed.", hint="Try this.", field="model"))["error"]
    assert shown["message"] == "It failed. Try this." and shown["param"] == "model"
    assert shown["type"].endswith("_error")
    assert shown["type"] == "server_error" or kind.fault != "platform"


def test_a_bug_is_not_said_to_be_the_callers_fault() -> None:
    assert render_error(Bug("x"))["error"]["type"] == "server_error"


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "bad"}, "invalid_request"),
        (400, {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 5}, "context_length_exceeded"),
        (400, {"code": "context_length_exceeded"}, "context_length_exceeded"),
        (401, {"message": "bad key tfn_secret"}, "provider_error"),
        (403, {}, "provider_error"),
        (404, {}, "not_found"),
        (422, {}, "invalid_request"),
        (429, {}, "over_budget"),
        (500, {"message": "trace"}, "provider_error"),
        (502, {}, "provider_unavailable"),
        (503, {}, "provider_unavailable"),
        (302, {}, "provider_error"),
        (418, {"message": None}, "provider_error"),
    ],
)
def test_an_upstreams_error_is_ours(status: int, error: dict[str, object], kind: str) -> None:
    ours = answer_error(status, error)
    assert ours.kind == kind and ours.message.endswith((".", "bad")) and "secret" not in ours.message


def test_an_upstreams_own_key_is_never_the_callers() -> None:
    assert type(answer_error(401, {})) is ProviderError


def test_an_upstream_that_talks_too_much_is_cut() -> None:
    assert len(answer_error(400, {"message": "x" * 10**6}).message) < MESSAGE_CHARS_MAX + 100
    assert isinstance(answer_error(404, {"message": {"not": "text"}}), NotFound)


def test_models_are_listed_in_openais_shape() -> None:
    (row,) = render_models([{"id": "m", "created": 1}])["data"]
    assert row == {"id": "m", "object": "model", "created": 1, "owned_by": "tiffin"}
