"""A stand-in for the gateway, for work on the console: recorded answers, real cryptography, faults on request.

Words of the question choose what happens: "share price" is refused, "interrupt" fails in the middle, "cut" ends
without an end, "slow" takes its time, "tampered" leaves a record with a changed byte, "forged" a checkpoint with a
spoiled signature, "misquote" cites a wrong place, "long" cites a document of 180 pages. Keys: `tk_admin` works,
`tk_empty` sees no collections, anything else is refused. By hand: python -m tests.e2e.fixture_server
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from tests.e2e.fixture_documents import BROCHURE, COLLECTIONS, INGESTED, PROTOCOL, SOP, Document, cite
from tests.e2e.fixture_log import FixtureLog

DIST = Path(__file__).resolve().parents[2] / "console" / "dist"
ADMIN_KEY = "tk_admin"
SALT = bytes(range(32))  # of every receipt here; the real ones have one each
EMPTY_KEY = "tk_empty"
CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"  # as tiffin/api/site.py
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
TOKEN_DELAY_S = 0.01  # seconds between tokens; fast enough for tests, slow enough to see
SLOW_DELAY_S = 0.15  # seconds between tokens of a "slow" answer, so that a test can stop it
MODEL = {
    "name": "smollm2-135m-instruct",
    "provider": "llama",
    "digest": "sha256:" + hashlib.sha256(b"weights").hexdigest(),
}

Json = dict[str, object]


class Refused(Exception):
    def __init__(self, status: int, kind: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.hint = status, kind, hint


class World:
    """The state of one fixture server."""

    def __init__(self) -> None:
        self.log = FixtureLog()
        self.lock = threading.Lock()
        self.index: dict[str, int] = {}
        self.children: dict[str, list[str]] = {}
        self.spoiled: dict[str, str] = {}
        self._clock = datetime.now(UTC) - timedelta(hours=3)
        for i in range(37):
            operation = ("chat", "embed", "ingest", "retrieve")[i % 4]
            self.record(operation, outcome="refused" if i == 30 else "failed" if i == 33 else "completed")

    def record(
        self,
        operation: str,
        *,
        parent: str | None = None,
        outcome: str = "completed",
        receipt: str | None = None,
        sources: list[Json] | None = None,
        spoil: str = "",
    ) -> str:
        """Appends an entry of the shape that the kernel writes, and answers its receipt id."""
        with self.lock:
            self._clock += timedelta(seconds=41)
            receipt = receipt or new_id()
            model = None if operation in {"ingest", "retrieve"} else MODEL
            entry: Json = {
                "v": 1,
                "id": receipt,
                "time": self._clock.isoformat().replace("+00:00", "Z"),
                "closed": (self._clock + timedelta(milliseconds=512)).isoformat().replace("+00:00", "Z"),
                "duration_us": 512_340 if operation != "embed" else 8_120,
                "project": "default",
                "caller": "key_admin",
                "operation": operation,
                "parent": parent,
                "model": model,
                "versions": {"tiffin": "0.1.0", "policy": "2026-11-01", "prompt": "ask-3"},
                "parameters": {"seed": 20231, "temperature": "0"} if model else {},
                "sources": sources or [],
                "decisions": [
                    {"stage": "authorise", "verdict": "allowed", "by": "policy:admin", "reason": ""},
                    {"stage": "answer", "verdict": outcome, "by": "", "reason": ""},
                ],
                "usage": {"input_tokens": 412, "output_tokens": 58},
                "cost_microusd": 0,
                "outcome": outcome,
                "error": "provider_failed" if outcome == "failed" else None,
                "commitments": {"request": new_digest(), "response": new_digest()},
            }
            self.index[receipt] = self.log.append(entry)
            if parent:
                self.children.setdefault(parent, []).append(receipt)
            if spoil:
                self.spoiled[receipt] = spoil
            return receipt

    def entry(self, receipt: str) -> bytes:
        raw = self.log.entries[self.find(receipt)]
        if self.spoiled.get(receipt) == "tampered":
            return raw.replace(b'"outcome":"completed"', b'"outcome":"completes"')
        return raw

    def proof(self, receipt: str) -> str:
        index = self.find(receipt)
        with self.lock:
            proof = self.log.proof(index)
        if self.spoiled.get(receipt) != "forged":
            return proof
        body, signature, end = proof[:-24], proof[-24:-8], proof[-8:]
        return body + signature.swapcase() + end  # still base64, no longer what the key signed

    def find(self, receipt: str) -> int:
        if receipt not in self.index:
            raise Refused(
                404, "unknown_receipt", f"There is no receipt {receipt}.", "List them with `tiffin receipts`."
            )
        return self.index[receipt]

    def parsed(self, receipt: str) -> Json:
        return cast(Json, json.loads(self.log.entries[self.find(receipt)]))

    def tree(self, receipt: str) -> list[Json]:
        rows = []
        for child in self.children.get(receipt, []):
            entry = self.parsed(child)
            rows.append(
                {
                    "id": child,
                    "operation": entry["operation"],
                    "outcome": entry["outcome"],
                    "duration_ms": cast(int, entry["duration_us"]) / 1000,
                    "children": self.tree(child),
                }
            )
        return rows


def new_id() -> str:
    value = uuid.uuid4().int & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=(value & (1 << 80) - 1) | int(time.time() * 1000) << 80))


def new_digest() -> str:
    return hashlib.sha256(uuid.uuid4().bytes).hexdigest()


def sentences_for(question: str) -> list[Json]:
    first = "Investigators report every serious adverse event to the sponsor within 24 hours of becoming aware of it."
    second = (
        "The sponsor informs the ethics committee within seven days when the event is unexpected and life-threatening."
    )
    third = "A missed deadline is recorded as a deviation and reviewed at the next safety meeting."
    late = "If a site is late, the delay is handled as a deviation at the next safety meeting."
    a, b, c = cite("kst-201", PROTOCOL, first), cite("kst-201", PROTOCOL, second), cite("kst-201", SOP, third)
    if "misquote" in question:
        a = {**a, "start": cast(int, a["start"]) + 2, "end": cast(int, a["end"]) + 2}
    if "long" in question:
        value = "The value recorded for section 150 is 505 units."
        return [{"text": value, "supported": True, "citations": [cite("kst-201", BROCHURE, value)]}]
    return [
        {"text": first, "supported": True, "citations": [a]},
        {"text": second, "supported": True, "citations": [b]},
        {"text": late, "supported": True, "citations": [c, a]},
        {"text": "Most sites find this workable.", "supported": False, "citations": []},
    ]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, world: World, *args: object) -> None:
        self.world = world
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        pass  # quiet: tests read the page, not the log

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        try:
            if url.path.startswith("/api/v1/"):
                self._authenticate()
                parts = [unquote(part) for part in url.path.removeprefix("/api/v1/").split("/")]
                self._get(parts, {k: v[0] for k, v in parse_qs(url.query).items()})
            else:
                self._file(url.path)
        except Refused as error:
            self._problem(error)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        try:
            self._authenticate()
            if self.path != "/api/v1/ask":
                raise Refused(404, "unknown_route", f"There is nothing at {self.path}.", "See /api/v1/openapi.json.")
            self._ask(json.loads(body))
        except Refused as error:
            self._problem(error)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the reader left

    def _key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def _authenticate(self) -> None:
        if self._key() not in {ADMIN_KEY, EMPTY_KEY}:
            raise Refused(
                401, "unknown_key", "This key is not known here.", "Copy the whole key, without the line end."
            )

    def _get(self, parts: list[str], query: dict[str, str]) -> None:
        world = self.world
        match parts:
            case ["collections"]:
                shown = {} if self._key() == EMPTY_KEY else COLLECTIONS
                self._json(
                    {
                        "collections": [
                            {
                                "name": name,
                                "documents": len(docs),
                                "chunks": sum(len(d.text) // 600 + 1 for d in docs),
                                "updated": INGESTED,
                            }
                            for name, docs in shown.items()
                        ]
                    }
                )
            case ["collections", name, "documents"] if name in COLLECTIONS:
                rows = [describe(d) for d in COLLECTIONS[name]]
                behind = next((i for i, row in enumerate(rows, 1) if row["cursor"] == query.get("after")), 0)
                self._json({"documents": rows[behind:][: int(query.get("limit", "1000"))]})
            case ["collections", name, "documents", document] if name in COLLECTIONS:
                found = next((d for d in COLLECTIONS[name] if d.id == document), None)
                if found is None:
                    raise Refused(
                        404, "unknown_document", f"{name} holds no document {document}.", "It may have been deleted."
                    )
                self._json({**describe(found), "text": found.text, "pages": found.page_rows(), "metadata": {}})
            case ["receipts"]:
                rows = [self._row(receipt) for receipt in list(world.index)[::-1][: int(query.get("limit", "20"))]]
                self._json({"receipts": rows})
            case ["receipts", receipt]:
                self._json(
                    {
                        "id": receipt,
                        "log": "main",
                        "index": world.find(receipt),
                        "entry": world.parsed(receipt),
                        "children": world.tree(receipt),
                    }
                )
            case ["receipts", receipt, "payload"]:
                world.find(receipt)
                self._json({"salt": SALT.hex(), "request": {}, "response": {}})
            case ["receipts", receipt, "entry"]:
                self._send(200, world.entry(receipt), "application/json")
            case ["receipts", receipt, "proof"]:
                time.sleep(0.2)
                self._send(200, world.proof(receipt).encode(), "text/plain; charset=utf-8")
            case ["ledger"]:
                self._json(
                    {
                        "logs": [
                            {
                                "name": "main",
                                "origin": world.log.origin,
                                "vkey": world.log.vkey,
                                "size": len(world.log.entries),
                            }
                        ]
                    }
                )
            case _:
                raise Refused(404, "unknown_route", "There is nothing here.", "See /api/v1/openapi.json.")

    def _row(self, receipt: str) -> Json:
        entry = self.world.parsed(receipt)
        model = cast("dict[str, str] | None", entry["model"])
        return {
            "id": receipt,
            "time": entry["time"],
            "operation": entry["operation"],
            "model": model and model["name"],
            "outcome": entry["outcome"],
            "caller": entry["caller"],
            "project": entry["project"],
            "duration_ms": cast(int, entry["duration_us"]) / 1000,
            "parent": entry["parent"],
        }

    def _ask(self, call: Json) -> None:
        question = str(call["question"]).lower()
        receipt = new_id()
        self.send_response(200)
        self._headers("text/event-stream")
        self.send_header("tiffin-receipt", receipt)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        answer = sentences_for(question)
        citations = [c for s in answer for c in cast("list[Json]", s["citations"])]
        time.sleep(0.15)
        self._event("sources", {"hits": [hit(c) for c in citations]})
        time.sleep(0.15)
        if "share price" in question:
            self._close_call(receipt, "refused", [])
            self._event("done", done(receipt, [], reason="No passage of kst-201 speaks of a share price."))
            return
        for i, sentence in enumerate(answer):
            for token in str(sentence["text"]).split(" "):
                self._event("text", {"text": token + " "})
                time.sleep(SLOW_DELAY_S if "slow" in question else TOKEN_DELAY_S)
            if "interrupt" in question and i == 1:
                self._close_call(receipt, "failed", [])
                problem = {
                    "type": "engine_lost",
                    "message": "The model's process ended in the middle of the answer.",
                    "hint": "It is being restarted; ask again in a moment.",
                }
                self._event("error", {"error": problem, "receipt": receipt})
                return
            if "cut" in question and i == 1:
                return
            self._event("sentence", sentence)
        spoil = next((word for word in ("tampered", "forged") if word in question), "")
        self._close_call(receipt, "completed", citations, spoil=spoil)
        self._event("done", done(receipt, answer))

    def _close_call(self, receipt: str, outcome: str, citations: list[Json], *, spoil: str = "") -> None:
        world = self.world
        retrieve = new_id()
        world.record("embed", parent=retrieve)
        world.record("retrieve", parent=receipt, receipt=retrieve)
        if outcome != "refused":
            world.record("chat", parent=receipt, outcome=outcome)
        world.record(
            "ask",
            receipt=receipt,
            outcome=outcome,
            sources=list({json.dumps(s): s for s in map(source, citations)}.values()),
            spoil=spoil,
        )

    def _event(self, name: str, data: Json) -> None:
        self.wfile.write(f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode())
        self.wfile.flush()

    def _file(self, path: str) -> None:
        wanted = (DIST / (path.lstrip("/") or "index.html")).resolve()
        if not wanted.is_relative_to(DIST) or not wanted.is_file():
            self._send(404, b"not found", "text/plain")
            return
        self._send(200, wanted.read_bytes(), TYPES.get(wanted.suffix, "application/octet-stream"))

    def _json(self, value: Json, status: int = 200) -> None:
        self._send(status, json.dumps(value, ensure_ascii=False).encode(), "application/json")

    def _problem(self, error: Refused) -> None:
        self._json({"error": {"type": error.kind, "message": str(error), "hint": error.hint}}, error.status)

    def _headers(self, kind: str) -> None:
        self.send_header("content-type", kind)
        self.send_header("content-security-policy", CSP)
        self.send_header("x-content-type-options", "nosniff")
        self.send_header("cache-control", "no-store")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self._headers(kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def describe(document: Document) -> Json:
    return {
        "id": document.id,
        "title": document.title,
        "kind": document.kind,
        "pages": len(document.pages),
        "version": document.version,
        "valid_from": INGESTED,
        "cursor": f"cursor of {document.id}",
    }


def hit(citation: Json) -> Json:
    return {
        "document": citation["document"],
        "title": citation["title"],
        "chunk": "c1",
        "score": citation["score"],
        "text": citation["quote"],
        "page": citation["page"],
        "start": citation["start"],
        "end": citation["end"],
    }


def source(citation: Json) -> Json:
    """As the kernel writes it: a salted digest instead of words and names."""
    digest = hashlib.sha256(SALT + str(citation["quote"]).encode()).hexdigest()
    return {
        "collection": citation["collection"],
        "digest": digest,
        "version": citation["version"],
        "chunk": "0b7d",
        "start": citation["start"],
        "end": citation["end"],
    }


def done(receipt: str, sentences: list[Json], *, reason: str | None = None) -> Json:
    return {
        "answer": " ".join(str(s["text"]) for s in sentences),
        "refused": reason is not None,
        "reason": reason,
        "sentences": sentences,
        "citations": [c for s in sentences for c in cast("list[Json]", s["citations"])],
        "receipt": receipt,
        "model": MODEL["name"],
        "usage": {"input_tokens": 412, "output_tokens": 58},
    }


def serve(port: int = 0) -> tuple[ThreadingHTTPServer, World]:
    """Starts a server in its own thread; port 0 takes a free one. Stop it with `shutdown()` and `server_close()`."""
    world = World()
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, world))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, world


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the console with recorded answers.")
    parser.add_argument("--port", type=int, default=8499)
    running, _ = serve(parser.parse_args().port)
    print(f"http://127.0.0.1:{running.server_address[1]}/#key={ADMIN_KEY}", flush=True)
    threading.Event().wait()
