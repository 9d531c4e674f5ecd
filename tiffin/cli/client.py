"""A small HTTP client of our own API on the standard library, so that the command line starts fast."""

from __future__ import annotations

import http.client
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.cli.show import FAILED, NO, USAGE, Failure
from tiffin.config import Settings, settings

ANSWER_S_MAX = 900.0  # seconds to wait for an answer; a large file takes minutes to embed on two cores
PUBLIC = ("/api/v1/ledger",)  # what leaves no receipt
STATUS = {  # what an error within a stream would have been before it began
    "invalid_request": 400,
    "invalid_request_error": 400,
    "too_large": 413,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "over_budget": 429,
    "blocked": 403,
}
BLOCK_BYTES = 1 << 16  # read or sent at a time


class Unreadable(OSError):
    """A file that cannot be read, or became shorter while it was."""


class Client:
    """Finds the server and its key through TIFFIN_HOME. TIFFIN_API_KEY and TIFFIN_URL override, not a given home."""

    def __init__(self, where: Settings | None = None) -> None:
        self.settings = where or settings()
        self._url = "" if where else os.environ.get("TIFFIN_URL", "")
        self._url = self._url or self.settings.url
        self._given_key = "" if where else os.environ.get("TIFFIN_API_KEY", "")

    def get(self, path: str) -> Any:
        return self._json("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._json("POST", path, body)

    def delete(self, path: str) -> Any:
        return self._json("DELETE", path, None)

    def text(self, path: str) -> str:
        return _read(self._send("GET", path, None, {})).decode()

    def events(self, path: str, body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Server-sent events as they come. An `error`, named or in the data, is raised."""
        from tiffin.wire.sse import Reader

        response = self._send("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})
        reader = Reader()
        with response:
            while chunk := _read_some(response):
                for name, data in reader.feed(chunk):
                    if data == "[DONE]":
                        return
                    value = json.loads(data)
                    if "error" in value:
                        raise _failure(value, STATUS.get(value["error"].get("type"), 500))
                    yield name, value

    def upload(self, collection: str, file: Path, document: str) -> dict[str, Any]:
        """One file into a collection under a document id."""
        boundary = secrets.token_hex(16)
        size = file.stat().st_size
        head = (
            f'--{boundary}\r\ncontent-disposition: form-data; name="ids"\r\n\r\n{document}\r\n'
            f'--{boundary}\r\ncontent-disposition: form-data; name="files"; filename="file"\r\n'
            "content-type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        length = len(head) + size + len(tail)
        headers = {"content-type": f"multipart/form-data; boundary={boundary}", "content-length": str(length)}
        path = f"/api/v1/collections/{quoted(collection)}/documents"
        answer = json.loads(_read(self._send("POST", path, _parts(head, file, size, tail), headers)))
        return answer["documents"][0] | {"receipt": answer["receipt"]}

    def _json(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"content-type": "application/json"}
        return json.loads(_read(self._send(method, path, data, headers)))

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection = _connection(self._url)
        headers = {"authorization": f"Bearer {self._key()}", "connection": "close", **headers}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        except Unreadable:
            connection.close()
            raise
        except ValueError as error:
            connection.close()
            raise Failure("The API key holds characters that no key has.", code=NO, kind="unauthenticated") from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Failure(
                f"No Tiffin answers at {self._url}.", hint="Start it with `tiffin up`.", kind="server_unreachable"
            ) from error
        receipt = response.headers.get("tiffin-receipt")
        if response.status >= 400:
            answer = _loaded(_read(response))
            if not isinstance(answer.get("error"), dict):
                raise self._foreign()
            raise _failure({"receipt": receipt} | answer, response.status)
        if receipt is None and path not in PUBLIC:
            response.close()
            raise self._foreign()
        return response

    def _foreign(self) -> Failure:
        """Whatever else we answer, we answer with a receipt."""
        hint = "Another program has that port. `tiffin doctor` says more; TIFFIN_PORT names another one."
        return Failure(f"What answers at {self._url} is not Tiffin.", hint=hint, kind="not_tiffin")

    def _key(self) -> str:
        if self._given_key:
            return self._given_key
        try:
            return self.settings.admin_key.read_text().strip()
        except OSError as error:
            raise Failure(
                f"There is no key at {self.settings.admin_key}.",
                hint="Start the server once (`tiffin up`), set TIFFIN_HOME to its home, or set TIFFIN_API_KEY.",
                code=NO,
                kind="unauthenticated",
            ) from error


def quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="", errors="replace")


def _connection(url: str) -> http.client.HTTPConnection:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    if not parts.hostname:
        raise Failure(f"TIFFIN_URL is '{url}'; it must look like http://host:port.", code=USAGE, kind="usage")
    return kind(parts.hostname, parts.port, timeout=ANSWER_S_MAX)


def _read(response: http.client.HTTPResponse) -> bytes:
    try:
        with response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(
            "The server stopped in the middle of its answer.", hint="Look at its log, and try again."
        ) from error


def _read_some(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(BLOCK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise Failure(
            "The server stopped in the middle of its answer.", hint="Look at its log, and try again."
        ) from error


def _parts(head: bytes, file: Path, size: int, tail: bytes) -> Iterator[bytes]:
    """Exactly as many bytes as were announced, whatever happens to the file meanwhile."""
    yield head
    try:
        with file.open("rb") as opened:
            while size and (block := opened.read(min(size, BLOCK_BYTES))):
                size -= len(block)
                yield block
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    if size:
        raise Unreadable("it became shorter while it was read")
    yield tail


def _loaded(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
        return value if isinstance(value, dict) else {}
    except ValueError:
        return {}


def _failure(answer: dict[str, Any], status: int) -> Failure:
    error = answer.get("error") or {}
    code = {400: USAGE, 413: USAGE, 422: USAGE}.get(status, NO if 400 <= status < 500 else FAILED)
    message = str(error.get("message") or f"The server answered with status {status}.")
    failure = Failure(message, hint=str(error.get("hint", "")), code=code, kind=str(error.get("type", "failed")))
    failure.receipt = answer.get("receipt")
    return failure
