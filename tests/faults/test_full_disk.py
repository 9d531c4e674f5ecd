"""The disk that holds the home is full: nothing is answered that could not be recorded, until there is room again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Answer, Server, free_port

DISK_MIB = 300  # the first start converts a model, for which it wants 173 MB
PAGE_BYTES = 4_096  # what such a disk gives out at least
FORM = "multipart/form-data; boundary=XX"
UPLOAD = b'--XX\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n%s\r\n--XX--\r\n' % (
    b"words " * 3_000
)
CHAT = {"model": "default", "max_tokens": 2, "messages": [{"role": "user", "content": "x"}]}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tiffin", str(place)], capture_output=True
    ).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> None:
    with contextlib.suppress(OSError), (place / "filler").open("wb", buffering=0) as filler:
        while filler.write(b"x" * PAGE_BYTES):
            pass


def asked(server: Server) -> dict[str, Answer]:
    def call(method: str, path: str, body: Any = None, kind: str = "application/json") -> Answer:
        return server.call(method, path, body, content_type=kind)

    documents = "/api/v1/collections/c/documents"
    return {
        "chat": call("POST", "/v1/chat/completions", CHAT),
        "search": call("POST", "/api/v1/search", {"collection": "c", "query": "words"}),
        "text": call("POST", documents, {"documents": [{"id": "b", "text": "More words."}]}),
        "file": call("POST", documents, UPLOAD, FORM),
        "key": call("POST", "/api/v1/keys", {"name": "x"}),
        "receipts": call("GET", "/api/v1/receipts"),
        "nothing": call("GET", "/nowhere"),
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_refuses_with_a_reason_and_recovers(small_disk: Path) -> None:
    server = Server(small_disk / "home", free_port())
    server.start()
    try:
        server.add("c", a="Some words stand here.")
        fill(small_disk)
        for name, answer in asked(server).items():
            assert answer.status == 503 and answer.headers["retry-after"], (name, answer.status, answer.body)
            assert "tiffin doctor" in answer.body.decode()
        assert server.call("GET", "/healthz").status == 200
        assert "refuses calls" in server.cli("doctor").stdout
        (small_disk / "filler").unlink()
        statuses = {name: answer.status for name, answer in asked(server).items()}
        assert statuses == dict.fromkeys(statuses, 200) | {"key": 201, "nothing": 404}
    finally:
        assert server.stop() == 0
    assert server.cli("verify").returncode == 0
