"""A client that leaves: its call is recorded as abandoned, the model stops, and nobody's log fills with traces."""

from __future__ import annotations

import http.client
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server import Server

STORY = {
    "model": "default",
    "max_tokens": 3_000,
    "messages": [{"role": "user", "content": "Write a very long story about the sea."}],
}


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def engine(server: Server) -> int:
    return int(server.call("GET", "/api/v1/status").json["engines"]["smollm2"]["pid"])


def newest(server: Server, operation: str) -> dict[str, Any]:
    listed = server.call("GET", f"/api/v1/receipts?operation={operation}&limit=1").json["receipts"]
    return dict(listed[0]) if listed else {"id": ""}


def begin(server: Server, path: str, body: dict[str, Any]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"authorization": f"Bearer {server.key}", "content-type": "application/json"}
    connection.request("POST", path, json.dumps(body), headers)
    return connection


def eventually(check, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
def test_a_client_that_leaves_a_chat_stops_the_model(server: Server, stream: bool) -> None:
    before = newest(server, "chat")["id"]
    pid = engine(server)
    connection = begin(server, "/v1/chat/completions", STORY | {"stream": stream})
    if stream:
        response = connection.getresponse()
        assert b"chat.completion.chunk" in response.read1(4_096)
        response.close()
    else:
        started = cpu_s(pid)
        eventually(lambda: cpu_s(pid) > started + 1.5)
    connection.close()
    eventually(lambda: newest(server, "chat")["id"] != before)
    receipt = newest(server, "chat")
    assert receipt["outcome"] == "abandoned"
    assert receipt["tokens"] > 0, "what the model has read and written is counted, though nobody waited for its end"
    time.sleep(0.3)
    idle = cpu_s(pid)
    time.sleep(1)
    assert cpu_s(pid) - idle < 0.3, "the engine still works for nobody"


def test_a_client_that_leaves_an_answer_abandons_the_calls_inside_it(server: Server) -> None:
    server.add(
        "leave", a="The heron stands in the reeds at dawn and eats twelve fish a day, the keeper of the lake says."
    )
    connection = begin(
        server, "/api/v1/ask", {"collection": "leave", "question": "What does the heron eat?", "stream": True}
    )
    response = connection.getresponse()
    receipt = response.headers["tiffin-receipt"]
    response.read1(10)
    response.close()
    connection.close()
    eventually(lambda: server.call("GET", f"/api/v1/receipts/{receipt}").status == 200)
    shown = server.call("GET", f"/api/v1/receipts/{receipt}").json
    assert shown["outcome"] in ("abandoned", "completed")
    assert all(child["outcome"] in ("abandoned", "completed") for child in shown["children"])


def test_the_log_of_the_server_holds_no_trace_and_no_key(server: Server) -> None:
    begin(server, "/api/v1/search", {"collection": "leave", "query": "x"}).close()
    connection = begin(server, "/v1/chat/completions", STORY)
    time.sleep(0.3)
    connection.close()
    time.sleep(0.5)
    said = server.output()
    assert server.key not in said and "Exception in ASGI" not in said


def test_a_failure_before_the_first_event_is_still_a_status(server: Server) -> None:
    for path, body in (
        ("/api/v1/ask", {"collection": "nowhere", "question": "x?", "stream": True}),
        ("/v1/chat/completions", STORY | {"model": "gpt-17", "stream": True}),
        ("/v1/chat/completions", STORY | {"model": "rag:nowhere", "stream": True}),
        ("/api/v1/models", {"alias": "m", "source": "file:/nowhere.gguf"}),
    ):
        answer = server.call("POST", path, body)
        assert answer.status in (400, 404) and answer.headers["content-type"].startswith("application/json"), (
            answer.body
        )
        assert answer.receipt
