"""The language engine over its socket: what Tiffin relies on llama.cpp for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import KEY, ROOT, Engine, running

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def engine(gguf: Path, free_port: Callable[[], int]) -> Iterator[Engine]:
    arguments = ("--model", str(gguf), "--port", str(free_port()), "--alias", "smollm2", "--ctx", "1024")
    with running("llama", *arguments) as started:
        yield started


def ask(prompt: str, **settings: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": prompt}]
    return {"messages": messages, "max_tokens": 16, "temperature": 0, "cache_prompt": False, **settings}


def text_of(answer: dict[str, Any]) -> str:
    return answer["choices"][0]["message"]["content"]


def test_answers_and_counts(engine: Engine) -> None:
    status, answer = engine.post(CHAT, ask("Say hello."))
    assert status == 200
    assert text_of(answer)
    assert answer["model"] == "smollm2"
    assert answer["usage"]["completion_tokens"] <= 16
    assert answer["usage"]["prompt_tokens"] > 3


def test_streams_events_with_usage_and_an_end(engine: Engine) -> None:
    connection = engine.connect()
    body = ask("Say hello.", stream=True, stream_options={"include_usage": True})
    connection.request("POST", CHAT, json.dumps(body), {"Authorization": f"Bearer {KEY}"})
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    data = [line[6:] for line in response.read().decode().splitlines() if line.startswith("data: ")]
    connection.close()
    assert data[-1] == "[DONE]"
    events = [json.loads(line) for line in data[:-1]]
    assert events[-1]["usage"]["total_tokens"] > 0
    spoken = "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"])
    assert spoken == text_of(engine.post(CHAT, ask("Say hello."))[1])


def test_greedy_text_is_the_same_under_concurrency(engine: Engine) -> None:
    prompts = [f"{'visit dose subject site ' * length} Summarise." for length in (1, 9, 40, 90)]
    alone = [text_of(engine.post(CHAT, ask(prompt))[1]) for prompt in prompts]
    together: dict[int, str] = {}

    def run(index: int) -> None:
        together[index] = text_of(engine.post(CHAT, ask(prompts[index]))[1])

    threads = [threading.Thread(target=run, args=(index,)) for index in (2, 0, 3, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[index] for index in range(len(prompts))] == alone


def test_a_seed_repeats_a_sampled_answer(engine: Engine) -> None:
    texts = {text_of(engine.post(CHAT, ask("Tell me a story.", temperature=1.0, seed=s))[1]) for s in (7, 7, 7)}
    assert len(texts) == 1


def test_a_json_schema_binds(engine: Engine) -> None:
    shape = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "capital": {"type": "boolean"}},
        "required": ["city", "capital"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": shape}}
    status, answer = engine.post(CHAT, ask("Paris?", response_format=wanted, max_tokens=60))
    assert status == 200
    found = json.loads(text_of(answer))
    assert set(found) == {"city", "capital"}
    assert isinstance(found["capital"], bool)


def test_a_prompt_beyond_the_context_is_a_clear_400(engine: Engine) -> None:
    status, answer = engine.post(CHAT, ask("visit " * 4000))
    assert status == 400
    assert answer["error"]["type"] == "exceed_context_size_error"
    assert answer["error"]["n_ctx"] == 1024
    assert answer["error"]["n_prompt_tokens"] > 4000
    assert engine.post(CHAT, ask("Still there?"))[0] == 200


def test_an_answer_that_fills_the_context_ends_with_length(engine: Engine) -> None:
    status, answer = engine.post(CHAT, ask("visit " * 900, max_tokens=5000, ignore_eos=True))
    assert status == 200
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] <= 1024


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":',
        {},
        ask("hi", response_format={"type": "json_schema", "json_schema": {"schema": {"type": "no"}}}),
    ],
)
def test_bad_input_gets_a_400(engine: Engine, body: Any) -> None:
    status, answer = engine.post(CHAT, body)
    assert status == 400
    assert answer["error"]["message"]


def test_refuses_without_the_key_and_shows_no_extras(engine: Engine) -> None:
    assert engine.post(CHAT, ask("hi"), key="wrong")[0] == 401
    assert engine.ask("GET", "/health", key="")[0] == 200
    assert engine.ask("GET", "/slots")[0] != 200


@pytest.mark.parametrize("stream", [True, False])
def test_generation_stops_when_the_client_leaves(engine: Engine, stream: bool) -> None:
    body = json.dumps(ask("Tell a long story.", stream=stream, max_tokens=900, ignore_eos=True)).encode()
    with socket.create_connection(("127.0.0.1", engine.port)) as sock:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        time.sleep(1)
    time.sleep(2)
    before = engine.cpu_s()
    time.sleep(1)
    assert engine.cpu_s() - before < 0.3


def test_sigterm_ends_it_quickly_and_quietly(gguf: Path, free_port: Callable[[], int]) -> None:
    with running("llama", "--model", str(gguf), "--port", str(free_port()), "--ctx", "256") as started:
        started.process.send_signal(signal.SIGTERM)
        assert started.process.wait(timeout=10) == 0


def test_a_start_that_cannot_work_says_why(tmp_path: Path, free_port: Callable[[], int]) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + os.urandom(5000))
    command = (sys.executable, "-m", "tiffin.providers.engines.llama")
    for path, words in ((bad, "cannot serve bad.gguf"), (tmp_path / "none.gguf", "is not a file")):
        done = subprocess.run(
            [*command, "--model", str(path), "--port", str(free_port()), "--api-key-env", "ENGINE_KEY"],
            env={**os.environ, "PYTHONPATH": str(ROOT), "ENGINE_KEY": "k"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2
        assert words in done.stderr.strip().splitlines()[-1]
