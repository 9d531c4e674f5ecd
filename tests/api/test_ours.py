"""Tiffin's own API: documents in, search, cited answers, receipts that verify."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import Server
from tiffin.wire.sse import Reader

ROOT = Path(__file__).resolve().parents[2]
TEXT = (
    "Zorblatin is taken once a day, in the morning. The maximum daily dose of zorblatin is 40 mg.\n\n"
    "Serious adverse events are reported to the sponsor within 24 hours of becoming known."
)
QUESTION = "What is the maximum daily dose of zorblatin?"


def test_a_document_goes_in_once_and_a_changed_one_supersedes_it(server: Server) -> None:
    statuses = [server.add("life", a=text).json["documents"][0] for text in (TEXT, TEXT, TEXT + " New.")]
    assert [(d["status"], d["version"]) for d in statuses] == [("ingested", 1), ("unchanged", 1), ("ingested", 2)]
    shown = server.call("GET", "/api/v1/collections/life/documents/a").json
    assert shown["text"] == TEXT + " New." and shown["version"] == 2
    assert server.call("GET", "/api/v1/collections/life/documents/a?version=1").json["text"] == TEXT
    (listed,) = server.call("GET", "/api/v1/collections/life/documents").json["documents"]
    assert listed["id"] == "a"
    assert any(c["name"] == "life" for c in server.call("GET", "/api/v1/collections").json["collections"])


def test_an_answer_is_cited_exactly_and_its_receipt_verifies_by_the_standalone_script(
    server: Server, tmp_path: Path
) -> None:
    server.add("drug", leaflet=TEXT)
    answer = server.call("POST", "/api/v1/ask", {"collection": "drug", "question": QUESTION})
    body = answer.json
    assert not body["refused"] and "40 mg" in body["answer"]
    assert body["citations"] and body["receipt"] == answer.receipt
    for citation in body["citations"]:
        assert TEXT[citation["start"] : citation["end"]] == citation["quote"]
    entry = server.call("GET", f"/api/v1/receipts/{body['receipt']}/entry").body
    proof = server.call("GET", f"/api/v1/receipts/{body['receipt']}/proof").body
    (log,) = server.call("GET", "/api/v1/ledger").json["logs"]
    (tmp_path / "entry").write_bytes(entry)
    (tmp_path / "proof").write_bytes(proof)
    command = [sys.executable, str(ROOT / "docs/verify_receipt.py"), "proof", "entry", log["vkey"]]
    assert subprocess.run(command, cwd=tmp_path, timeout=30).returncode == 0
    (tmp_path / "entry").write_bytes(entry.replace(b"completed", b"complexed"))
    assert subprocess.run(command, cwd=tmp_path, timeout=30).returncode == 1


def test_a_receipt_shows_the_tree_of_calls_and_no_personal_data(server: Server) -> None:
    server.add("tree", leaflet=TEXT)
    answer = server.call("POST", "/api/v1/ask", {"collection": "tree", "question": QUESTION}, tiffin_subject="p-17")
    shown = server.call("GET", f"/api/v1/receipts/{answer.receipt}").json
    assert shown["operation"] == "ask" and shown["entry"]["outcome"] == "completed"
    operations = {child["operation"] for child in shown["children"]}
    assert {"retrieve", "chat"} <= operations
    entry = server.call("GET", f"/api/v1/receipts/{answer.receipt}/entry").body
    assert b"zorblatin" not in entry and b"p-17" not in entry and b"leaflet" not in entry
    payload = server.call("GET", f"/api/v1/receipts/{answer.receipt}/payload").body
    assert QUESTION.encode() in payload


def test_a_stream_ends_with_the_whole_answer(server: Server) -> None:
    server.add("stream", leaflet=TEXT)
    body = {"collection": "stream", "question": QUESTION, "stream": True}
    events = [(n, json.loads(d)) for n, d in Reader().feed(server.call("POST", "/api/v1/ask", body).body)]
    names = [name for name, _ in events]
    assert names[0] == "sources" and names[-1] == "done" and "sentence" in names
    done = events[-1][1]
    assert "".join(value["text"] for name, value in events if name == "text") == done["answer"]
    assert done["receipt"] and done["citations"]


def test_what_is_not_in_the_collection_is_refused(server: Server) -> None:
    server.add("refuse", leaflet=TEXT)
    body = server.call("POST", "/api/v1/ask", {"collection": "refuse", "question": "Who won the 1998 World Cup?"}).json
    assert body["refused"] and body["reason"] and not body["citations"]


def test_search_finds_filters_and_looks_back(server: Server) -> None:
    documents = [
        {"id": name, "text": TEXT, "metadata": {"site": site}} for name, site in (("a", "Basel"), ("b", "Lund"))
    ]
    server.call("POST", "/api/v1/collections/find/documents", {"documents": documents})

    def found(**more):
        answer = server.call("POST", "/api/v1/search", {"collection": "find", "query": "adverse events", **more}).json
        return {hit["document"] for hit in answer["hits"]}

    assert found() == {"a", "b"}
    assert found(filter={"site": "Lund"}) == {"b"} and found(filter={"site": ["Basel", "Oslo"]}) == {"a"}
    assert found(as_of="2001-01-01T00:00:00Z") == set()


def test_deleting_deletes(server: Server) -> None:
    server.add("gone", a="The capercaillie stands in the reeds at dawn.", b="Another text.")
    assert server.call("DELETE", "/api/v1/collections/gone/documents/a").json["removed"]["documents"] == 1
    hits = server.call("POST", "/api/v1/search", {"collection": "gone", "query": "capercaillie"}).json["hits"]
    assert {hit["document"] for hit in hits} <= {"b"}
    assert server.call("GET", "/api/v1/collections/gone/documents/a").status == 404
    assert server.call("DELETE", "/api/v1/collections/gone").status == 200
    assert server.call("POST", "/api/v1/search", {"collection": "gone", "query": "x"}).status == 404
    for file in server.home.glob("tiffin.db*"):
        assert b"capercaillie stands" not in file.read_bytes()


def test_projects_do_not_see_each_other(server: Server) -> None:
    made = server.call("POST", "/api/v1/keys", {"name": "ada", "project": "other", "role": "member"})
    key = f"Bearer {made.json['key']}"
    server.add("private", a=TEXT)
    body = {"collection": "private", "query": "dose"}
    assert server.call("POST", "/api/v1/search", body, authorization=key).status == 404
    theirs = server.call("GET", "/api/v1/receipts", authorization=key).json["receipts"]
    assert all(receipt["project"] == "other" for receipt in theirs)
    mine = server.call("POST", "/api/v1/search", body).receipt
    assert server.call("GET", f"/api/v1/receipts/{mine}", authorization=key).status == 404
    assert server.call("GET", "/api/v1/keys", authorization=key).status == 403
    server.call("DELETE", f"/api/v1/keys/{made.json['id']}")
    assert server.call("GET", "/api/v1/collections", authorization=key).status == 401


def test_a_readers_key_may_not_write(server: Server) -> None:
    made = server.call("POST", "/api/v1/keys", {"name": "bob", "role": "reader"}).json
    body = {"documents": [{"id": "a", "text": "x"}]}
    answer = server.call("POST", "/api/v1/collections/no/documents", body, authorization=f"Bearer {made['key']}")
    assert answer.status == 403 and answer.receipt and answer.json["error"]["hint"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/ask", b"{not json", 400),
        ("POST", "/api/v1/ask", {"collection": "drug"}, 400),
        ("POST", "/api/v1/ask", {"collection": "nowhere", "question": "x?"}, 404),
        ("POST", "/api/v1/ask", {"collection": "drug", "question": "x", "modle": "y"}, 400),
        ("POST", "/api/v1/ask", {"collection": "drug", "question": "x", "model": "gpt-17"}, 404),
        ("POST", "/api/v1/search", {"collection": "nowhere", "query": "x"}, 404),
        ("POST", "/api/v1/search", {"collection": "x", "query": "x", "limit": 0}, 400),
        ("POST", "/api/v1/search", {"collection": "drug", "query": "x", "as_of": "yesterday"}, 400),
        ("POST", "/api/v1/collections/x/documents", {"documents": []}, 400),
        ("POST", "/api/v1/collections/x/documents", b"\xff\xfe", 400),
        ("POST", f"/api/v1/collections/{'x' * 200}/documents", {"documents": [{"id": "a", "text": "x"}]}, 400),
        ("GET", "/api/v1/receipts/nothing", None, 404),
        ("GET", "/api/v1/collections/nowhere/documents", None, 404),
        ("GET", "/api/v1/nothing/here", None, 404),
        ("PUT", "/api/v1/ask", {}, 405),
        ("DELETE", "/api/v1/models/smollm2", None, 409),
        ("POST", "/api/v1/chat", None, 404),
    ],
)
def test_bad_input_has_a_clear_error_and_a_receipt(server: Server, method: str, path: str, body, status: int) -> None:
    server.add("drug", leaflet=TEXT)
    answer = server.call(method, path, body)
    assert answer.status == status, answer.body
    error = answer.json["error"]
    assert error["message"].endswith((".", "?")) and error["type"]
    assert answer.receipt == answer.json["receipt"] and answer.receipt
    entry = server.call("GET", f"/api/v1/receipts/{answer.receipt}").json["entry"]
    assert entry["outcome"] == "refused"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic eDp5"])
def test_a_stranger_is_told_so(server: Server, authorization: str) -> None:
    answer = server.call("POST", "/api/v1/search", {"collection": "c", "query": "x"}, authorization=authorization)
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert "tiffin keys create" in answer.json["error"]["hint"]


@pytest.mark.parametrize("path", ["/api/v1/ask", "/v1/chat/completions", "/api/v1/collections/big/documents"])
def test_a_body_of_200_mb_is_refused(server: Server, path: str) -> None:
    answer = server.call("POST", path, b" " * (200 << 20))
    assert answer.status == 413 and "larger than" in answer.json["error"]["message"]
    assert answer.receipt


def test_files_are_taken_as_multipart(server: Server, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Note\n\nThe curlew calls over the marsh.\n")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    report = server.cli("ingest", str(tmp_path), "--collection", "files", "--json")
    assert report.returncode == 0, report.stderr
    rows = {row["id"]: row for row in json.loads(report.stdout)["documents"]}
    assert rows["note.md"]["status"] == "ingested" and rows["broken.pdf"]["status"] == "refused"
    assert rows["broken.pdf"]["reason"] == "corrupt" and rows["broken.pdf"]["detail"].endswith(".")


def test_public_facts_need_no_key(server: Server) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/ledger", "/api/v1/openapi.json"):
        assert server.call("GET", path, authorization="").status == 200, path
    (log,) = server.call("GET", "/api/v1/ledger", authorization="").json["logs"]
    checkpoint = server.call("GET", f"/ledger/{log['name']}/checkpoint", authorization="").body.decode()
    assert checkpoint.startswith(log["origin"] + "\n")
    assert server.call("GET", f"/ledger/{log['name']}/tile/0/x999/999", authorization="").status == 404
    assert server.call("GET", "/ledger/main/../../admin.key", authorization="").status == 404
    assert b"tiffin_calls_total" in server.call("GET", "/metrics", authorization="").body


def test_the_openapi_document_names_every_route(server: Server) -> None:
    paths = server.call("GET", "/api/v1/openapi.json").json["paths"]
    assert {"/api/v1/ask", "/api/v1/search", "/api/v1/collections/{collection}/documents", "/api/v1/keys"} <= set(paths)
    assert all("description" in op or "summary" in op for methods in paths.values() for op in methods.values())
