"""`kill -9` of the server at random moments under load: every answer received in full has a receipt that verifies.

TIFFIN_KILLS sets the number of kills (`make soak` runs 50); the test suite runs a few.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.server import Server, free_port
from tiffin.ledger.proof import verify_proof
from tiffin.store.check import check
from tiffin.store.database import Database

KILLS = int(os.environ.get("TIFFIN_KILLS", "3"))
WORKERS = 6
LOAD_S = (0.2, 2.5)  # seconds of load before a kill

TEXT = "The {} heron stands in the reeds of lake {} at dawn. It eats {} fish a day and sleeps on one leg."


@dataclass
class Load:
    """What the clients did until the server went away."""

    server: Server
    receipts: dict[str, str] = field(default_factory=dict)
    ingested: dict[str, str] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def work(self) -> None:
        actions = (self.chat, self.search, self.ingest, self.embed, self.stream)
        while not self.stopped.is_set():
            try:
                random.choice(actions)()
            except (OSError, HTTPException, ValueError):
                if not self.stopped.is_set() and self.server.is_ready():
                    raise

    def chat(self) -> None:
        body = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
        self._received(self.server.call("POST", "/v1/chat/completions", body), "chat")

    def stream(self) -> None:
        body = {"model": "default", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "stream": True}
        answer = self.server.call("POST", "/v1/chat/completions", body)
        if answer.body.endswith(b"data: [DONE]\n\n"):
            self._received(answer, "chat")

    def embed(self) -> None:
        self._received(self.server.call("POST", "/v1/embeddings", {"model": "minilm", "input": "a heron"}), "embed")

    def search(self) -> None:
        self._received(self.server.call("POST", "/api/v1/search", {"collection": "lake", "query": "heron"}), "retrieve")

    def ingest(self) -> None:
        number = next(self.numbers)
        text = TEXT.format(number, number, number)
        name = f"{time.time_ns()}-{number}"
        answer = self.server.add("lake", **{name: text})
        self._received(answer, "ingest")
        if answer.status == 200:
            self.ingested[name] = text

    def _received(self, answer, operation: str) -> None:
        if answer.status == 200 and answer.receipt:
            json.loads(answer.body) if answer.body[:1] == b"{" else None
            self.receipts[answer.receipt] = operation


def one_life(server: Server, load: Load) -> None:
    server.start()
    load.stopped.clear()
    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(load.work) for _ in range(WORKERS)]
        time.sleep(random.uniform(*LOAD_S))
        load.stopped.set()
        server.kill()
        for work in working:
            work.result()


@pytest.mark.timeout(60 + KILLS * 60)
def test_a_killed_server_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    server = Server(tmp_path / "home", free_port())
    server.start()
    server.add("lake", first=TEXT.format(0, 0, 0))
    server.stop()
    load = Load(server)
    for _ in range(KILLS):
        one_life(server, load)
        verified = server.cli("verify", "--json")
        assert verified.returncode == 0, verified.stdout
    restart_s = server.start()
    assert len(load.receipts) > KILLS
    (log,) = server.call("GET", "/api/v1/ledger").json["logs"]
    for receipt, operation in load.receipts.items():
        shown = server.call("GET", f"/api/v1/receipts/{receipt}").json
        assert (shown["operation"], shown["outcome"]) == (operation, "completed"), shown
        entry = server.call("GET", f"/api/v1/receipts/{receipt}/entry").body
        proof = server.call("GET", f"/api/v1/receipts/{receipt}/proof").body.decode()
        assert verify_proof(proof, entry, log["vkey"]).size > shown["index"]
    for name, text in load.ingested.items():
        assert server.call("GET", f"/api/v1/collections/lake/documents/{name}").json["text"] == text
    server.stop()
    assert server.cli("verify", "--json").returncode == 0
    database = Database.open(server.home / "tiffin.db", readonly=True)
    assert check(database) == []
    database.close()
    print(f"{KILLS} kills, {len(load.receipts)} answers, last start {restart_s:.1f} s")


def test_killing_an_engine_fails_the_call_once_and_the_next_works(tmp_path: Path) -> None:
    server = Server(tmp_path / "home", free_port())
    server.start()
    try:
        body = {
            "model": "default",
            "messages": [{"role": "user", "content": "Tell me a very long story."}],
            "max_tokens": 800,
            "stream": True,
        }
        with ThreadPoolExecutor(1) as pool:
            talking = pool.submit(server.call, "POST", "/v1/chat/completions", body)
            time.sleep(1.5)
            engine = server.call("GET", "/api/v1/status").json["engines"]["smollm2"]
            os.kill(engine["pid"], 9)
            answer = talking.result()
        last = answer.body.strip().rsplit(b"\n\n", 1)[-1]
        error = json.loads(last.removeprefix(b"data: "))["error"]
        assert "middle of its answer" in error["message"]
        entry = server.call("GET", f"/api/v1/receipts/{answer.receipt}").json["entry"]
        assert (entry["outcome"], entry["error"]) == ("failed", "provider_unavailable")
        again = server.call("POST", "/v1/chat/completions", body | {"stream": False, "max_tokens": 5})
        assert again.status == 200 and again.json["choices"][0]["message"]["content"]
    finally:
        server.stop()
