"""A real Tiffin for tests: `tiffin up` in a process of its own, on a home and a port of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_S = 120.0  # seconds; the first start converts the embedding model


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def receipt(self) -> str:
        return self.headers.get("tiffin-receipt", "")


@dataclass
class Server:
    home: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.home / "admin.key").read_text().strip()

    @property
    def variables(self) -> dict[str, str]:
        return os.environ | {"TIFFIN_HOME": str(self.home), "TIFFIN_PORT": str(self.port)} | self.environment

    def start(self, *, sample: bool = False) -> float:
        """Seconds until requests were answered."""
        started = time.monotonic()
        command = [sys.executable, "-m", "tiffin.cli", "up", "--sample" if sample else "--no-sample"]
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home.parent / f"{self.home.name}.out").open("ab") as output:
            self.process = subprocess.Popen(command, env=self.variables, stdout=output, stderr=output)
        while time.monotonic() - started < READY_S:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {self.output()}")
            if self.is_ready():
                return time.monotonic() - started
            time.sleep(0.05)
        raise AssertionError(f"the server was not ready within {READY_S} s: {self.output()}")

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as response:
                return response.status == 200
        except OSError:
            return False

    def output(self) -> str:
        return (self.home.parent / f"{self.home.name}.out").read_text(errors="replace")[-3000:]

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(30)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request with the administrator's key, unless `authorization` says otherwise."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return Answer(response.status, dict(response.headers.items()), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers.items()), error.read())

    def add(self, collection: str, **texts: str) -> Answer:
        documents = [{"id": name, "title": name, "text": text} for name, text in texts.items()]
        return self.call("POST", f"/api/v1/collections/{collection}/documents", {"documents": documents})

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tiffin.cli", *arguments]
        return subprocess.run(command, env=self.variables, input=stdin, capture_output=True, text=True, timeout=180)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
