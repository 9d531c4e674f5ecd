"""A server that was killed in the middle of its work, once for all; each test gets a copy of its home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server import Server, free_port

TEXT = "Zorblatin is taken once a day. The maximum daily dose of zorblatin is 40 mg."


@dataclass(frozen=True)
class Killed:
    home: Path
    receipts: list[str]


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    server = Server(tmp_path_factory.mktemp("killed") / "home", free_port())
    server.start()
    server.add("drug", leaflet=TEXT)
    asked = [server.call("POST", "/api/v1/search", {"collection": "drug", "query": f"dose {n}"}) for n in range(3)]
    server.call(
        "POST", "/api/v1/ask", {"collection": "drug", "question": "What is the maximum daily dose of zorblatin?"}
    )
    last = server.call("POST", "/api/v1/search", {"collection": "drug", "query": "the last words"})
    server.kill()
    return Killed(server.home, [answer.receipt for answer in (*asked, last)])


@pytest.fixture
def stopped(killed: Killed, tmp_path: Path) -> Iterator[Server]:
    """A copy of the killed server's home, and nothing that listens."""
    shutil.copytree(killed.home, tmp_path / "home")
    yield Server(tmp_path / "home", free_port())
