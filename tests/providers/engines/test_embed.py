"""The embedding engine over its socket: OpenAI's shapes, plain refusals, and garbage that it survives."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from tiffin.providers.engines.embed import BODY_BYTES_MAX, CONNECTIONS_MAX
from tiffin.providers.engines.embedder import Embedder
from tiffin.providers.engines.minilm import EmbeddingModel

from .conftest import KEY, ROOT, Engine, running

HEADERS = f"Host: x\r\nAuthorization: Bearer {KEY}\r\n".encode()


def raw(engine: Engine, data: bytes) -> bytes:
    """Send bytes as they are; everything that comes back until the other side closes or falls silent."""
    with socket.create_connection(("127.0.0.1", engine.port), timeout=5) as sock:
        sock.sendall(data)
        answer = b""
        try:
            while chunk := sock.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionError):
            pass
        return answer


def test_speaks_to_the_official_client(embed_engine: Engine, embedder: Embedder) -> None:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{embed_engine.port}/v1", api_key=KEY) as client:
        answer = client.embeddings.create(model="all-MiniLM-L6-v2", input=["one", "two words"])
        model = client.models.list().data[0]
    vectors = embedder.embed(["one", "two words"]).vectors
    assert np.array_equal(np.array([row.embedding for row in answer.data], np.float32), vectors)
    assert answer.usage.prompt_tokens == 7
    assert model.id == "all-MiniLM-L6-v2"


def test_base64_and_floats_are_the_same_numbers(embed_engine: Engine) -> None:
    _, floats = embed_engine.post("/v1/embeddings", {"input": "adverse event"})
    _, packed = embed_engine.post("/v1/embeddings", {"input": "adverse event", "encoding_format": "base64"})
    unpacked = struct.unpack("<384f", base64.b64decode(packed["data"][0]["embedding"]))
    assert floats["data"][0]["embedding"] == list(unpacked)


@pytest.mark.parametrize(("given", "count"), [("a", 1), (["a", "b"], 2), ([2748, 2053], 1), ([[2748], [2053, 7]], 2)])
def test_takes_all_four_shapes_of_input(embed_engine: Engine, given: Any, count: int) -> None:
    status, answer = embed_engine.post("/v1/embeddings", {"input": given, "model": "m"})
    assert status == 200
    assert [row["index"] for row in answer["data"]] == list(range(count))


def test_reports_what_it_cut(embed_engine: Engine) -> None:
    _, answer = embed_engine.post("/v1/embeddings", {"input": ["short", "word " * 400]})
    assert answer["truncated"] == [1]
    assert answer["usage"]["prompt_tokens"] == 3 + 256
    assert "truncated" not in embed_engine.post("/v1/embeddings", {"input": "short"})[1]


def test_tokenize_gives_character_spans(embed_engine: Engine) -> None:
    status, answer = embed_engine.post("/tokenize", {"texts": ["héllo 𝒳 wörld", ""]})
    assert (status, answer) == (200, {"offsets": [[[0, 5], [6, 7], [8, 13]], []]})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"input":', "request is not"),
        (b"\xff\xfe", "request is not"),
        (b"", "request is not"),
        ({}, "input"),
        ({"input": []}, "input is empty"),
        ({"input": ""}, "input 0 is empty"),
        ({"input": ["a", ""]}, "input 1 is empty"),
        ({"input": [1, "a"]}, "mixes"),
        ({"input": [10**9]}, "vocabulary"),
        ({"input": [10**30]}, "vocabulary"),
        ({"input": ["a"] * 2049}, "2049 items"),
        ({"input": "a", "dimensions": 256}, "384 dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "unheard_of": 1}, "unheard_of"),
        (b'{"input": "\\ud800"}', "request is not"),
    ],
)
def test_bad_input_gets_a_plain_400(embed_engine: Engine, body: Any, words: str) -> None:
    status, answer = embed_engine.post("/v1/embeddings", body)
    assert status == 400
    assert words in answer["error"]["message"]


def test_refuses_without_the_key(embed_engine: Engine) -> None:
    for key in ("", "wrong", KEY + "x", "ké"):
        status, answer = embed_engine.post("/v1/embeddings", {"input": "a"}, key=key)
        assert (status, "key" in answer["error"]["message"]) == (401, True)
    assert embed_engine.ask("GET", "/health", key="") == (200, {"status": "ok"})
    assert embed_engine.ask("GET", "/v1/models", key="")[0] == 401


def test_unknown_paths_and_methods(embed_engine: Engine) -> None:
    assert embed_engine.ask("GET", "/nothing")[0] == 404
    assert embed_engine.ask("GET", "/v1/embeddings")[0] == 404
    status, answer = embed_engine.ask("DELETE", "/v1/models")
    assert (status, set(answer)) == (501, {"error"})


def test_oversized_and_unframed_bodies(embed_engine: Engine) -> None:
    head = b"POST /v1/embeddings HTTP/1.1\r\n" + HEADERS
    assert raw(embed_engine, head + b"Content-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1)).startswith(b"HTTP/1.1 413")
    assert raw(embed_engine, head + b"Content-Length: -5\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(embed_engine, head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").startswith(b"HTTP/1.1 411")


def test_survives_garbage(embed_engine: Engine) -> None:
    for junk in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000 + b"\r\n"):
        answer = raw(embed_engine, junk)
        assert b'{"error"' in answer or answer == b""
    with socket.create_connection(("127.0.0.1", embed_engine.port)) as sock:
        sock.sendall(b"POST /v1/embeddings HTTP/1.1\r\n" + HEADERS + b"Content-Length: 1000\r\n\r\nhalf a body")
    assert embed_engine.post("/v1/embeddings", {"input": "still here"})[0] == 200


def test_a_connection_is_kept_for_many_requests(embed_engine: Engine) -> None:
    connection = embed_engine.connect()
    for text in ("a", "", "b"):
        connection.request("POST", "/v1/embeddings", json.dumps({"input": text}), {"Authorization": f"Bearer {KEY}"})
        response = connection.getresponse()
        response.read()
        sock = connection.sock
    assert sock is not None
    connection.close()


def test_connections_are_bounded(embed_engine: Engine) -> None:
    held = [socket.create_connection(("127.0.0.1", embed_engine.port)) for _ in range(CONNECTIONS_MAX)]
    try:
        time.sleep(0.5)
        assert raw(embed_engine, b"").startswith(b"HTTP/1.1 503")
    finally:
        for sock in held:
            sock.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if embed_engine.ask("GET", "/health")[0] == 200:
                return
        except ValueError:
            time.sleep(0.1)
    pytest.fail("connections were not given back")


def test_work_stops_when_the_client_leaves(embed_engine: Engine) -> None:
    body = json.dumps({"input": ["word " * 250] * 2000}).encode()
    with socket.create_connection(("127.0.0.1", embed_engine.port)) as sock:
        sock.sendall(b"POST /v1/embeddings HTTP/1.1\r\n" + HEADERS + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(1.5)
    time.sleep(1.5)
    before = embed_engine.cpu_s()
    time.sleep(1)
    assert embed_engine.cpu_s() - before < 0.3


def test_sigterm_ends_it_quickly_and_quietly(minilm: EmbeddingModel) -> None:
    with running("embed", "--model", str(minilm.folder)) as engine:
        engine.process.send_signal(signal.SIGTERM)
        assert engine.process.wait(timeout=10) == 0


def test_a_start_that_cannot_work_says_why(minilm: EmbeddingModel, embed_engine: Engine, tmp_path: Path) -> None:
    def start(*arguments: str, **env: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "tiffin.providers.engines.embed", "--api-key-env", "ENGINE_KEY", *arguments]
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(ROOT), **env}, capture_output=True, text=True, timeout=60
        )
        assert done.stdout == ""
        return done.returncode, done.stderr.strip().splitlines()[-1]

    assert start("--model", str(tmp_path), ENGINE_KEY="k")[0] == 2
    assert "no converted embedding model" in start("--model", str(tmp_path), ENGINE_KEY="k")[1]
    assert "ENGINE_KEY" in start("--model", str(minilm.folder))[1]
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        assert f"port {port}" in start("--model", str(minilm.folder), "--port", port, ENGINE_KEY="k")[1]
