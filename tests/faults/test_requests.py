"""Requests made to make the server stumble: each is answered with a reason, none is taken for our own fault."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.server import Server
from tiffin.api.http import STRANGER_BYTES_MAX


@pytest.mark.parametrize("as_of", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_outside_the_calendar(server: Server, as_of: str) -> None:
    server.add("calendar", a="The calendar begins in the year 1.")
    answer = server.call("POST", "/api/v1/search", {"collection": "calendar", "query": "year", "as_of": as_of})
    assert answer.status == 400
    assert answer.json["error"]["field"] == "as_of"


def test_no_file_has_a_nul_in_its_name(server: Server) -> None:
    assert server.call("GET", "/assets/%00").status == 404


@pytest.mark.parametrize("path", ["/api/v1/ask", "/v1/chat/completions", "/v1/embeddings"])
def test_nothing_large_is_read_of_a_stranger(server: Server, path: str) -> None:
    body = json.dumps({"model": "default", "input": ["x" * STRANGER_BYTES_MAX]}).encode()
    answer = server.call("POST", path, body, authorization="Bearer tfn_nobody")
    assert answer.status == 401
    assert "key" in answer.json["error"]["message"]


def test_a_stranger_that_does_not_announce_its_length_gets_no_further(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    pieces = (b"x" * 4096 for _ in range(64))
    connection.request("POST", "/v1/chat/completions", pieces, {"transfer-encoding": "chunked"}, encode_chunked=True)
    assert connection.getresponse().status == 401
    connection.close()


def test_ready_says_that_the_ledger_takes_records(server: Server) -> None:
    assert server.call("GET", "/readyz").json["ledger"] == "ok"
