"""All routes: each is public by name or leaves a receipt, and whatever is sent is answered in its own shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from tests.kernel.fakes import world
from tests.server import Answer, Server
from tiffin.api import openai
from tiffin.api.application import application, body_bytes_max
from tiffin.api.gateway import Gateway

PUBLIC = {
    "/api/v1/openapi.json",
    "/api/v1/ledger",
    "/healthz",
    "/readyz",
    "/metrics",
    "/ledger/{log}/checkpoint",
    "/ledger/{log}/{path:path}",
    "/",
    "/assets/{path:path}",
    "/favicon.svg",
    "/favicon.ico",
}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/api/v1/ask"): {"collection": "routes", "question": "What stands here?"},
    ("POST", "/api/v1/search"): {"collection": "routes", "query": "x"},
    ("POST", "/api/v1/keys"): {"name": "routes"},
    ("POST", "/api/v1/models"): {"alias": "routes", "source": "file:/nowhere"},
    ("POST", "/api/v1/collections/{collection}/documents"): {
        "documents": [{"id": "a", "text": "Something stands here."}]
    },
    ("POST", "/v1/chat/completions"): {
        "model": "default",
        "max_tokens": 2,
        "messages": [{"role": "user", "content": "x"}],
    },
    ("POST", "/v1/embeddings"): {"model": "minilm", "input": "x"},
}


@dataclass(frozen=True)
class Endpoint:
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def body(self) -> Any:
        return BODIES.get((self.method, self.path.removeprefix("/openai")))

    @property
    def filled(self) -> str:
        path = self.path.replace("{collection}", "routes").replace("{document:path}", "a")
        return (
            path.replace("{receipt}", "r")
            .replace("{key}", "k")
            .replace("{alias:path}", "m")
            .replace("{model:path}", "m")
        )


def every_route() -> list[Endpoint]:
    app = application(Gateway(world(), (), dict, lambda: 1, Path("spool"), None))
    listed: list[Endpoint] = []
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop(0)
        if isinstance(route, Route):
            methods = sorted((route.methods or {"GET"}) - {"HEAD"})
            listed += [Endpoint(method, route.path) for method in methods]
        else:
            waiting += list(getattr(route, "routes", ()) or route.original_router.routes)  # type: ignore[attr-defined]
    return listed


ROUTES = every_route()
GOVERNED = [route for route in ROUTES if route.path not in PUBLIC]


def test_the_routes_are_found_and_what_is_public_exists_and_changes_nothing() -> None:
    assert len(GOVERNED) >= 28 and {route.path for route in ROUTES} > PUBLIC
    assert all(route.method == "GET" for route in ROUTES if route.path in PUBLIC)
    assert all(route.body for route in GOVERNED if route.method == "POST")


@pytest.mark.parametrize("route", GOVERNED, ids=str)
def test_every_other_route_leaves_a_receipt_and_tells_a_stranger_nothing(server: Server, route: Endpoint) -> None:
    answer = server.call(route.method, route.filled, route.body)
    assert answer.receipt, (answer.status, answer.body)
    shown = server.call("GET", f"/api/v1/receipts/{answer.receipt}").json
    assert (shown["outcome"] == "completed") == (answer.status < 300), (shown["outcome"], answer.body)
    assert answer.status < 500
    for authorization in ("", "Bearer tfn_wrong"):
        stranger = server.call(route.method, route.filled, route.body, authorization=authorization)
        assert stranger.status == 401 and not stranger.receipt
        assert b"routes" not in stranger.body and b"There is no" not in stranger.body


def error_of(answer: Answer, path: str) -> dict[str, Any]:
    """The error, after a look at its shape."""
    error = answer.json["error"]
    assert error["message"] and "Traceback" not in error["message"]
    assert set(error) == (
        {"message", "type", "param", "code"}
        if path.startswith(openai.PREFIXES)
        else {"type", "message", "hint", "field"}
    )
    return error


JSON_ROUTES = (
    "/api/v1/ask",
    "/api/v1/search",
    "/api/v1/keys",
    "/api/v1/collections/x/documents",
    "/v1/chat/completions",
    "/v1/embeddings",
)


@pytest.mark.parametrize("path", JSON_ROUTES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"a": NaN',
        b"[" * 100_000,
        b'{"model":' + b"[" * 100_000,
        b'{"documents":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model": ' + b"9" * 5_000 + b"}",
        b'{"query": "\\ud800", "collection": "c", "model": "\\ud800"}',
    ],
    ids=[
        "empty",
        "cut",
        "null",
        "list",
        "no UTF-8",
        "NaN",
        "deep",
        "deep inside",
        "deep and closed",
        "huge number",
        "half a character",
    ],
)
def test_garbage_is_the_callers_fault_and_recorded(server: Server, path: str, body: bytes) -> None:
    answer = server.call("POST", path, body)
    assert answer.status == 400 and answer.receipt, answer.body
    error_of(answer, path)


DOCS = "/api/v1/collections/odd/documents"
CHAT = {"model": "default", "max_tokens": 2, "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/search", b'{"collection":"odd","query":"x","filter":{"\\ud800":1}}', 400),
        ("POST", "/api/v1/search", b'{"collection":"odd","query":"x","filter":{"a":NaN}}', 400),
        ("POST", "/api/v1/search", b'{"collection":"odd","query":"x","filter":{"a":1e999}}', 400),
        ("POST", "/api/v1/search", b'{"collection":"odd","query":"\\u0000\\" OR NEAR( * ^ a:b -"}', 200),
        ("POST", "/api/v1/search", b'{"collection":"odd","query":"x","filter":{"a":' + b"9" * 300 + b"}}", 200),
        ("POST", "/api/v1/ask", {"collection": "odd", "question": "x?", "max_tokens": 10**30}, 400),
        ("POST", "/api/v1/ask", {"collection": "odd", "question": "a\0b?"}, 200),
        ("POST", "/api/v1/keys", {"name": "x", "tokens_max": 10**30}, 400),
        ("POST", "/api/v1/models", {"alias": "../../escape", "source": "file:/x"}, 400),
        ("POST", "/api/v1/models", {"alias": "rag:odd", "source": "file:/x"}, 400),
        ("DELETE", "/api/v1/models/a%2Fb", None, 404),
        ("GET", f"{DOCS}/a?version={'9' * 30}", None, 400),
        ("GET", f"{DOCS}/a?version=-1", None, 400),
        ("GET", f"{DOCS}?limit=abc", None, 400),
        ("GET", f"{DOCS}/", None, 404),
        ("DELETE", f"{DOCS}/", None, 404),
        ("GET", "/api/v1/receipts?before=%00", None, 200),
        ("GET", "/api/v1/receipts/..%2f..%2fkeys", None, 404),
        ("POST", "/v1/chat/completions", CHAT | {"stop": ["x" * 70_000]}, 400),
        ("POST", "/v1/chat/completions", CHAT | {"stop": [f"s{n}" for n in range(20_000)]}, 400),
        ("POST", "/v1/chat/completions", CHAT | {"stop": [""]}, 400),
        ("POST", "/v1/chat/completions", CHAT | {"model": "m" * 70_000}, 400),
        ("POST", "/v1/chat/completions", CHAT | {"seed": 2**70}, 400),
        ("POST", "/v1/chat/completions", CHAT | {"seed": -1}, 200),
        ("POST", "/v1/chat/completions", CHAT | {"temperature": 10**400}, 400),
        ("POST", "/v1/chat/completions", CHAT | {"model": "rag:"}, 404),
        ("GET", "/v1/models/" + "x" * 60_000, None, 404),
        ("GET", "/v1/chat/completions", None, 405),
        ("PATCH", "/api/v1/keys", {}, 405),
        ("OPTIONS", "/api/v1/ask", None, 405),
        ("GET", "//", None, 404),
    ],
)
def test_odd_requests_are_answered_and_leave_a_receipt(
    server: Server, method: str, path: str, body: Any, status: int
) -> None:
    server.add("odd", a="Something odd stands here.")
    answer = server.call(method, path, body)
    assert answer.status == status, answer.body[:500]
    assert answer.receipt
    if status >= 400:
        error_of(answer, path)
    if status == 405:
        assert answer.headers["allow"]


def test_the_answer_to_a_json_body_sent_as_something_else_says_so(server: Server) -> None:
    answer = server.call("POST", "/api/v1/search", {"collection": "c", "query": "x"}, content_type="text/plain")
    assert answer.status == 400 and "content-type" in answer.json["error"]["hint"]


def test_the_field_that_is_wrong_is_named(server: Server) -> None:
    for body, field in (
        ({"collection": "c", "query": ""}, "query"),
        ({"collection": "c"}, "query"),
        ({"query": "x"}, "collection"),
    ):
        assert server.call("POST", "/api/v1/search", body).json["error"]["field"] == field
    answer = server.call("POST", "/api/v1/search", b'{"collection" "c"}')
    assert "not valid JSON" in answer.json["error"]["message"] and answer.json["error"]["field"] is None


def test_schemas_that_would_hold_an_engine_are_refused(server: Server) -> None:
    deep: Any = {"type": "string"}
    for _ in range(70):
        deep = {"type": "array", "items": deep}
    wide = {"type": "object", "properties": {f"property_{n}": {"type": "string"} for n in range(3_000)}}
    for schema in (deep, wide):
        form = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        answer = server.call("POST", "/v1/chat/completions", CHAT | {"response_format": form})
        assert answer.status == 400 and answer.json["error"]["param"] == "response_format", answer.body[:300]


def test_head_is_answered_without_a_body(server: Server) -> None:
    for path in ("/healthz", "/v1/models"):
        answer = server.call("HEAD", path)
        assert answer.status == 200 and answer.body == b""


@pytest.mark.parametrize(
    "path", ["/../admin.key", "/assets/..%2f..%2fadmin.key", "/ledger/..%2fkeys/master.key", "/%2e%2e/admin.key"]
)
def test_no_path_leads_out_of_what_is_public(server: Server, path: str) -> None:
    answer = server.call("GET", path, authorization="")
    assert answer.status == 404 and server.key.encode() not in answer.body


def test_only_documents_may_be_large() -> None:
    assert body_bytes_max("/api/v1/collections/c/documents") > 100 << 20
    assert body_bytes_max("/api/v1/ask") == body_bytes_max("/api/v1/collections/c/documents/d") == 16 << 20
