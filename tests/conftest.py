"""What every test shares: one running Tiffin, no setting of the developer's own, no deadline a busy machine misses."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.server import Server, free_port

settings.register_profile("tiffin", deadline=None, print_blob=True)
settings.load_profile("tiffin")


@pytest.fixture(autouse=True)
def _no_tiffin_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIFFIN_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need no other; each test uses collections and keys of its own."""
    server = Server(tmp_path_factory.mktemp("server") / "home", free_port())
    server.start()
    yield server
    server.stop()
