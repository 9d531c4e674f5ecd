"""Whatever answers, or does not: the command line says it in words, with the right exit code, within a bound."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.server import Server, free_port
from tiffin.cli.client import Unreadable, _parts, quoted


@contextmanager
def foreign(answer: bytes, status: int = 200, kind: str = "text/html", receipt: str = "") -> Iterator[int]:
    """Another program that listens."""

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(answer)))
            if receipt:
                self.send_header("tiffin-receipt", receipt)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    listening = http.server.HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield listening.server_address[1]
    finally:
        listening.shutdown()
        listening.server_close()


def with_key(tmp_path: Path, port: int) -> Server:
    server = Server(tmp_path / "home", port)
    server.home.mkdir(exist_ok=True)
    (server.home / "admin.key").write_text("tfn_test\n")
    return server


def test_nobody_there_is_the_systems_failure(tmp_path: Path) -> None:
    shown = run(with_key(tmp_path, free_port()), "ask", "x", "--json")
    error = json.loads(shown.stdout)["error"]
    assert shown.returncode == 3 and error["type"] == "server_unreachable" and "tiffin up" in error["hint"]


def test_a_wrong_key_is_a_no(server: Server, tmp_path: Path) -> None:
    shown = run(with_key(tmp_path, server.port), "search", "x", "--json")
    error = json.loads(shown.stdout)["error"]
    assert (
        shown.returncode == 1 and error["type"] == "unauthenticated" and "tfn_test" not in shown.stdout + shown.stderr
    )


def test_a_given_key_and_address_override(server: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "none", free_port(), {"TIFFIN_URL": server.url, "TIFFIN_API_KEY": server.key})
    assert run(other, "keys", "list", "--json").returncode == 0
    for address in ("nonsense", "http://", "ftp//x"):
        other.environment["TIFFIN_URL"] = address
        shown = run(other, "keys", "list", "--json")
        assert shown.returncode == 2 and "TIFFIN_URL" in json.loads(shown.stdout)["error"]["message"]
    other.environment |= {"TIFFIN_URL": server.url, "TIFFIN_API_KEY": "schlüssel 日本"}
    shown = run(other, "keys", "list", "--json")
    assert shown.returncode == 1 and json.loads(shown.stdout)["error"]["type"] == "unauthenticated"


@pytest.mark.parametrize("command", [["ask", "x"], ["search", "x"], ["chat", "x"], ["keys", "list"], ["receipts", "r"]])
@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (b"<html>hello</html>", 200, "text/html"),
        (b"<html>no</html>", 404, "text/html"),
        (b"", 500, "text/plain"),
        (b"{}", 200, "application/json"),
        (b"[]", 200, "application/json"),
        (b'{"error": "text"}', 400, "application/json"),
        (b"data: nonsense\n\n", 200, "text/event-stream"),
    ],
    ids=["page", "no page", "nothing", "object", "list", "odd error", "odd event"],
)
def test_another_program_on_the_port_is_no_traceback(
    tmp_path: Path, command: list[str], answer: bytes, status: int, kind: str
) -> None:
    with foreign(answer, status, kind) as port:
        shown = run(with_key(tmp_path, port), *command, "--json")
    assert json.loads(shown.stdout)["error"]["message"], shown.stderr
    assert shown.returncode in (1, 2, 3) and "Traceback" not in shown.stderr, shown.stderr


def test_an_answer_that_stops_before_its_end_is_said_to(tmp_path: Path) -> None:
    chunk = b'data: {"choices": [{"delta": {"content": "half"}, "finish_reason": null}]}\n\n'
    text = b'event: text\ndata: {"text": "half"}\n\n'
    for said, stdin, command in ((chunk, "", ["chat", "x"]), (chunk, "x\n", ["chat"]), (text, "", ["ask", "x"])):
        with foreign(said, kind="text/event-stream", receipt="r") as port:
            shown = run(with_key(tmp_path, port), *command, stdin=stdin)
        assert shown.returncode == 3 and "half" in shown.stdout and "before its end" in shown.stderr


def test_as_many_bytes_are_sent_as_were_announced(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"0123456789")
    assert b"".join(_parts(b"<", file, 10, b">")) == b"<0123456789>"
    assert b"".join(_parts(b"<", file, 4, b">")) == b"<0123>", "what was added meanwhile is for the next run"
    for gone in (file, tmp_path / "none", tmp_path):
        with pytest.raises(Unreadable):
            list(_parts(b"<", gone, 11, b">"))


def test_names_are_quoted_whole() -> None:
    assert quoted("a/b ü?") == "a%2Fb%20%C3%BC%3F" and quoted("\udcff") == "%3F"
