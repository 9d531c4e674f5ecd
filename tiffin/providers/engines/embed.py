"""The embedding engine's process: an OpenAI-compatible `/v1/embeddings` on loopback around one Embedder.

`python -m tiffin.providers.engines.embed --model FOLDER --api-key-env VAR [--port N] [--threads N]`. Standard-library
HTTP, a thread a connection: the model's threads are the limit (one short text takes 2.9 ms, and 3.4 through
this process), and the process starts sooner without a framework.
"""

from __future__ import annotations

import argparse
import base64
import hmac
import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from tiffin.providers.engines import process
from tiffin.providers.engines.embedder import BadInput, Cancelled, Embedded, Embedder
from tiffin.providers.engines.minilm import open_model

BODY_BYTES_MAX = 16 * 1024 * 1024  # bytes of one request: 2,048 chunks of 8 KB
INPUTS_MAX = 2048  # inputs of one request, as OpenAI allows
CONNECTIONS_MAX = 128  # open connections, each a thread; the gateway's pool stays well below
IDLE_S = 75  # seconds a silent connection is kept; longer than any client pool of ours keeps one
MODEL_NAME = "all-MiniLM-L6-v2"


class EmbeddingRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What OpenAI's clients send to /v1/embeddings."""

    input: str | list[str | int | list[int]]
    model: str = MODEL_NAME
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class TokenizeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts whose token spans the chunker wants."""

    texts: list[str]


class Refused(Exception):
    """A request that gets an error answer: the status, and a message for the caller."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    """Loopback only, with a bound on connections. `reuse_port` lets the supervisor hold the port while we start."""

    daemon_threads = True
    allow_reuse_port = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, port: int, embedder: Embedder, api_key: str) -> None:
        self.embedder = embedder
        self.api_key = api_key
        self._slots = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Frames HTTP and turns refusals into OpenAI's error shape; every answer carries its length."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "tiffin-embed"
    sys_version = ""
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded by the gateway's receipts; the engine's log is for faults."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses by itself (a broken request line, a method nobody serves), as JSON."""
        self.close_connection = True
        self._send(code, _error(code, message or explain or "the request cannot be read"))

    def _respond(self) -> None:
        try:
            status, answer = 200, self._answer()
        except Refused as refusal:
            status, answer = refusal.status, _error(refusal.status, str(refusal))
        except (Cancelled, ConnectionError, TimeoutError):
            self.close_connection = True
            return
        except Exception as error:  # converted: one bad request ends as a 500 with its reason in the log
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            status, answer = 500, _error(500, "the embedding engine failed on this request; its log says why")
        self._send(status, answer)

    def _answer(self) -> bytes:
        body = self._body()
        if (self.command, self.path) == ("GET", "/health"):
            return msgspec.json.encode({"status": "ok"})
        self._authenticate()
        match self.command, self.path:
            case "GET", "/v1/models":
                return self._models()
            case "POST", "/v1/embeddings":
                return self._embeddings(body)
            case "POST", "/tokenize":
                return self._tokenize(body)
        raise Refused(404, f"{self.command} {self.path} is not served here")

    def _send(self, status: int, answer: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise Refused(411, "send a Content-Length; chunked bodies are not read here")
        declared = self.headers.get("Content-Length", "0")
        if not (declared.isascii() and declared.isdigit()):
            self.close_connection = True
            raise Refused(400, "Content-Length is not a number")
        if int(declared) > BODY_BYTES_MAX:
            self.close_connection = True
            raise Refused(413, f"the body is {declared} bytes; at most {BODY_BYTES_MAX} are read")
        body = self.rfile.read(int(declared))
        if len(body) < int(declared):
            raise ConnectionResetError("the client left in the middle of its body")
        return body

    def _authenticate(self) -> None:
        offered = self.headers.get("Authorization", "")
        if not hmac.compare_digest(offered.encode(), f"Bearer {self.server.api_key}".encode()):
            raise Refused(401, "the engine's API key is missing or wrong")

    def _client_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True

    def _models(self) -> bytes:
        model = self.server.embedder.model
        row: dict[str, Any] = {"id": MODEL_NAME, "object": "model", "owned_by": "tiffin"}
        row |= {"sha256": model.sha256, "dimensions": model.dimensions, "max_tokens": model.max_tokens}
        return msgspec.json.encode({"object": "list", "data": [row]})

    def _embeddings(self, body: bytes) -> bytes:
        request = _decode(body, EmbeddingRequest)
        model = self.server.embedder.model
        if request.dimensions not in (None, model.dimensions):
            raise Refused(400, f"this model has {model.dimensions} dimensions and cannot give {request.dimensions}")
        try:
            embedded = self.server.embedder.embed(_inputs(request.input), cancelled=self._client_left)
        except BadInput as error:
            raise Refused(400, str(error)) from error
        return _render(embedded, request.encoding_format)

    def _tokenize(self, body: bytes) -> bytes:
        texts = _decode(body, TokenizeRequest).texts
        if len(texts) > INPUTS_MAX:
            raise Refused(400, f"{len(texts)} texts were sent; at most {INPUTS_MAX} are taken at a time")
        return msgspec.json.encode({"offsets": self.server.embedder.offsets(texts)})


_Request = TypeVar("_Request", EmbeddingRequest, TokenizeRequest)


def _decode(body: bytes, kind: type[_Request]) -> _Request:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(400, f"the request is not what this path takes: {error}") from error


def _inputs(given: str | list[str | int | list[int]]) -> list[str | list[int]]:
    """OpenAI's four shapes of input as one list of texts or token lists."""
    if isinstance(given, str):
        return _checked([given])
    tokens = [item for item in given if isinstance(item, int)]
    if tokens:
        if len(tokens) != len(given):
            raise Refused(400, "input mixes token numbers with texts or lists")
        return [tokens]
    return _checked([item for item in given if not isinstance(item, int)])


def _checked(inputs: list[str | list[int]]) -> list[str | list[int]]:
    if not inputs:
        raise Refused(400, "input is empty")
    if len(inputs) > INPUTS_MAX:
        raise Refused(400, f"input has {len(inputs)} items; at most {INPUTS_MAX} are taken at a time")
    for index, item in enumerate(inputs):
        if not item:
            raise Refused(400, f"input {index} is empty")
    return inputs


def _render(embedded: Embedded, encoding: str) -> bytes:
    rows: list[Any]
    if encoding == "base64":
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in embedded.vectors]
    else:
        rows = embedded.vectors.tolist()
    answer: dict[str, Any] = {
        "object": "list",
        "model": MODEL_NAME,
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }
    if embedded.truncated:
        answer["truncated"] = embedded.truncated
    return msgspec.json.encode(answer)


def _error(status: int, message: str) -> bytes:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


def main(arguments: list[str] | None = None) -> None:
    """Start, announce the port on stdout, and serve until SIGTERM or the parent's death."""
    process.die_with_parent()
    parser = argparse.ArgumentParser(prog="python -m tiffin.providers.engines.embed", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a converted model")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 picks a free one")
    parser.add_argument("--api-key-env", required=True, metavar="VAR", help="environment variable with the API key")
    parser.add_argument("--threads", type=int, default=1, help="texts embedded at once")
    options = parser.parse_args(arguments)
    api_key = process.take_secret(options.api_key_env)
    model = open_model(options.model)
    if model is None:
        process.refuse(f"{options.model} holds no converted embedding model, or one that is damaged; convert it again")
    try:
        server = Server(options.port, Embedder(model, threads=options.threads), api_key)
    except OSError as error:
        process.refuse(f"port {options.port} cannot be listened on: {error.strerror}")
    process.stop_on_sigterm()
    process.announce_ready(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main()
