"""One server for all tests of the API; each test uses collections and keys of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import Server, free_port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("api") / "home", free_port())
    server.start()
    yield server
    server.stop()
