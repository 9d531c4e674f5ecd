"""What anybody may read: health, metrics, checkpoints and tiles; nothing of it names a person or holds a secret."""

from __future__ import annotations

import pytest

from tests.server import Server
from tiffin.ledger.checkpoint import open_checkpoint
from tiffin.ledger.note import parse_vkey


def public(server: Server, path: str):
    return server.call("GET", path, authorization="")


def test_the_checkpoint_is_signed_by_the_key_that_is_told(server: Server) -> None:
    server.add("site", a="Some words about Jane Roe.")
    (log,) = public(server, "/api/v1/ledger").json["logs"]
    answer = public(server, f"/ledger/{log['name']}/checkpoint")
    checkpoint = open_checkpoint(answer.body.decode(), parse_vkey(log["vkey"]))
    assert checkpoint.origin == log["origin"] and checkpoint.size >= 1
    assert answer.headers["content-type"].startswith("text/plain")


def test_tiles_are_served_as_they_are_named_and_nothing_else_is(server: Server) -> None:
    (log,) = public(server, "/api/v1/ledger").json["logs"]
    size = int(public(server, f"/ledger/{log['name']}/checkpoint").body.decode().split("\n")[1])
    tile = f"000.p/{size}" if size < 256 else "000"
    for kind in ("0", "entries"):
        answer = public(server, f"/ledger/{log['name']}/tile/{kind}/{tile}")
        assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
        assert b"Jane" not in answer.body and server.key.encode() not in answer.body
    for path in (
        "tile/0/000.p/0",
        "tile/0/0",
        "tile/64/000",
        "tile/0/000/",
        "log.json",
        "journal",
        "tile/../log.json",
        "",
        "\0".replace("\0", "%00"),
    ):
        assert public(server, f"/ledger/{log['name']}/{path}").status == 404, path
    assert public(server, "/ledger/other/checkpoint").status == 404


def test_metrics_count_calls_and_name_nobody(server: Server) -> None:
    server.call("POST", "/api/v1/search", {"collection": "site", "query": "Jane"}, tiffin_subject="p-17")
    told = public(server, "/metrics").body
    assert b'tiffin_calls_total{operation="retrieve",outcome="completed"}' in told
    assert b"p-17" not in told and b"key_" not in told


def test_readiness_names_the_engines_and_not_their_keys(server: Server) -> None:
    told = public(server, "/readyz")
    assert told.status == 200 and told.json["ready"] is True
    assert {"smollm2", "minilm"} <= set(told.json["engines"]) and "api_key" not in told.body.decode()


@pytest.mark.parametrize("path", ["/", "/favicon.svg", "/assets/none.js"])
def test_the_console_is_served_or_its_absence_is_said(server: Server, path: str) -> None:
    answer = public(server, path)
    assert answer.status in (200, 404) and "Traceback" not in answer.body.decode(errors="replace")
    if answer.status == 200 and "html" in answer.headers["content-type"]:
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
