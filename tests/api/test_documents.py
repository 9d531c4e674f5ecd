"""Documents on their way in: JSON and forms, well-made and not, with odd names, at once, and about people."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.server import Answer, Server
from tiffin.api.documents import SUBJECTS_PER_CALL_MAX, _groups
from tiffin.kernel import limits
from tiffin.kernel.calls import NewDocument

FILE = 'Content-Disposition: form-data; name="files"; filename="{}"'
FIELD = 'Content-Disposition: form-data; name="{}"'
FORM = "multipart/form-data; boundary=XX"


def form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--XX\r\n" + head.encode() + b"\r\n\r\n" + body + b"\r\n" for head, body in parts) + b"--XX--\r\n"


def sent(server: Server, collection: str, body: bytes, kind: str = FORM) -> Answer:
    return server.call("POST", f"/api/v1/collections/{collection}/documents", body, content_type=kind)


NAMES = [
    "Zoë/日本 😀?.md#x%2F",
    "../../etc/passwd",
    "a b",
    "%00",
    "/absolute",
    "a//b",
    "x" * limits.DOCUMENT_ID_CHARS_MAX,
    "'; DROP TABLE versions; --",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_document_keeps_its_name_whatever_it_is(server: Server, name: str) -> None:
    assert server.add("names", **{name: f"The name of this is {name}."}).json["documents"][0]["status"] in (
        "ingested",
        "unchanged",
    )
    shown = server.call("GET", f"/api/v1/collections/names/documents/{quote(name, safe='')}")
    assert shown.status == 200 and shown.json["id"] == name
    assert server.call("DELETE", f"/api/v1/collections/names/documents/{quote(name, safe='')}").status == 200


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0b", "x" * (limits.DOCUMENT_ID_CHARS_MAX + 1)])
def test_a_name_that_is_none_is_refused(server: Server, name: str) -> None:
    answer = server.add("names", **{name: "x"})
    assert answer.status == 400 and answer.receipt
    answer = sent(server, "names", form((FILE.format("f"), b"x"), (FIELD.format("ids"), name.encode())))
    assert answer.status in (200, 400) and (answer.status == 400 or answer.json["documents"][0]["id"] == "f"), (
        answer.body
    )


@pytest.mark.parametrize(
    ("collection", "status"),
    [
        ("Größe 日本", 200),
        ("a+b@c:d.e", 200),
        ("😀", 400),
        (" ", 400),
        ("x" * 129, 400),
        ("a/b", 404),
        ("..", 400),
        ("-x", 400),
    ],
)
def test_collections_have_names_that_can_be_typed(server: Server, collection: str, status: int) -> None:
    answer = server.call(
        "POST",
        f"/api/v1/collections/{quote(collection, safe='')}/documents",
        {"documents": [{"id": "a", "text": "Some words."}]},
    )
    assert answer.status == status and answer.receipt, answer.body
    if status == 200:
        assert server.call("POST", "/api/v1/search", {"collection": collection, "query": "words"}).json["hits"]


def test_one_document_twice_in_a_request_is_a_mistake_and_nothing_is_taken_in(server: Server) -> None:
    many = [{"id": f"d{n}", "text": "x y"} for n in range(limits.DOCUMENTS_PER_CALL_MAX)]
    for documents in ([{"id": "a", "text": "one"}, {"id": "a", "text": "two"}], [{"id": "d0", "text": "z"}, *many]):
        answer = server.call("POST", "/api/v1/collections/twice/documents", {"documents": documents})
        assert answer.status == 400 and "twice" in answer.json["error"]["message"] and answer.receipt
    assert sent(server, "twice", form((FILE.format("a"), b"one"), (FILE.format("a"), b"two"))).status == 400
    assert server.call("GET", "/api/v1/collections/twice/documents").status == 404


def test_too_many_documents_are_refused_at_once(server: Server) -> None:
    documents = [{"id": f"d{n}", "text": "x"} for n in range(10_001)]
    answer = server.call("POST", "/api/v1/collections/many/documents", {"documents": documents})
    assert answer.status == 400 and "10000" in answer.json["error"]["message"] and answer.receipt


def test_more_documents_than_one_call_takes_become_several_calls(server: Server) -> None:
    documents = [{"id": f"d{n}", "text": "Some words."} for n in range(limits.DOCUMENTS_PER_CALL_MAX + 2)]
    answer = server.call("POST", "/api/v1/collections/groups/documents", {"documents": documents}).json
    assert [row["id"] for row in answer["documents"]] == [d["id"] for d in documents]
    assert len(answer["receipts"]) == 2 and answer["receipt"] == answer["receipts"][0]


def test_groups_are_about_no_more_people_than_a_call_may_be() -> None:
    documents = [NewDocument(str(n), "", subjects=tuple(f"{n}-{m}" for m in range(64))) for n in range(40)]
    documents += [NewDocument(f"plain {n}", "") for n in range(100)]
    groups = list(_groups(documents))
    assert [document for group in groups for document in group] == documents
    assert all(len({s for d in group for s in d.subjects}) <= SUBJECTS_PER_CALL_MAX for group in groups)
    assert all(1 <= len(group) <= limits.DOCUMENTS_PER_CALL_MAX for group in groups)


def test_people_are_bounded_and_never_lost(server: Server) -> None:
    document = {"id": "a", "text": "Some words.", "subjects": [f"p{n}" for n in range(65)]}
    answer = server.call("POST", "/api/v1/collections/people/documents", {"documents": [document]})
    assert answer.status == 400 and answer.receipt
    for value in (b"", b" ", b"x" * 200):
        answer = sent(server, "people", form((FILE.format("f"), b"x"), (FIELD.format("subjects"), value)))
        assert answer.status == 400 and answer.json["error"]["field"] == "subjects"
    answer = sent(
        server, "people", form((FILE.format("f.txt"), b"Some words."), (FIELD.format("subjects"), "Zoë".encode()))
    )
    assert answer.status == 200, answer.body
    assert server.call("GET", "/api/v1/collections/people/documents/f.txt").json["subjects"] == ["Zoë"]


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (form((FILE.format("a"), b"x")), "multipart/form-data", "boundary"),
        (form((FILE.format("a"), b"x")), "multipart/form-data; boundary=", "form"),
        (b"no form at all", FORM, "form"),
        (b"--XX\r\n\x00\x01:::\r\n\r\nx\r\n--XX--", FORM, "form"),
        (form(("Content-Type: text/plain", b"x")), FORM, "name"),
        (form((FILE.format("a"), b"x"))[:-20], FORM, "no file"),
        (b"--XX--\r\n", FORM, "no file"),
        (form((FIELD.format("files"), b"x")), FORM, "no file"),
        (form((FILE.format("a"), b"x"), *[(FIELD.format("ids"), b"x")] * 2), FORM, "2 ids"),
        (form(*[(FILE.format(f"a{n}"), b"x") for n in range(65)]), FORM, "Maximum number of files is 64"),
        (form((FILE.format("a"), b"x"), *[(FIELD.format("other"), b"x")] * 300), FORM, "fields"),
        (form((FILE.format("a"), b"x"), (FIELD.format("ids"), b"x" * (2 << 20))), FORM, "form"),
    ],
    ids=[
        "no boundary",
        "empty boundary",
        "garbage",
        "bad head",
        "no name",
        "cut",
        "empty",
        "no file name",
        "ids",
        "65 files",
        "fields",
        "huge field",
    ],
)
def test_a_form_that_is_none_says_what_is_wrong(server: Server, body: bytes, kind: str, says: str) -> None:
    answer = sent(server, "forms", body, kind)
    assert answer.status == 400 and answer.receipt, answer.body
    message = answer.json["error"]["message"]
    assert says in message and message.endswith(".") and not message.endswith("..")


def test_an_empty_file_is_refused_and_the_others_go_in(server: Server) -> None:
    answer = sent(server, "empty", form((FILE.format("none.txt"), b""), (FILE.format("some.txt"), b"Some words.")))
    assert [(row["id"], row["status"], row["reason"]) for row in answer.json["documents"]] == [
        ("none.txt", "refused", "empty"), ("some.txt", "ingested", None),
    ]  # fmt: skip


def test_uploads_leave_nothing_in_the_spool(server: Server) -> None:
    sent(server, "spool", form((FILE.format("a.txt"), b"Some words.")))
    sent(server, "spool", form((FILE.format("a.pdf"), b"%PDF broken")))
    assert list((server.home / "spool").iterdir()) == []


def test_a_stranger_fills_no_spool_and_hears_why(server: Server) -> None:
    body = form((FILE.format("a.txt"), b"x" * (8 << 20)))
    answer = server.call("POST", "/api/v1/collections/c/documents", body, content_type=FORM, authorization="Bearer no")
    assert answer.status == 401 and not answer.receipt
    assert list((server.home / "spool").iterdir()) == []


def test_a_client_that_leaves_in_the_middle_of_an_upload_leaves_nothing(server: Server) -> None:
    head = (
        f"POST /api/v1/collections/half/documents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {server.key}\r\n"
        f"content-type: {FORM}\r\ncontent-length: 1000000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + form((FILE.format("a.txt"), b"x" * 10_000))[:5_000])
    assert server.call("GET", "/api/v1/collections/half/documents").status == 404
    assert list((server.home / "spool").iterdir()) == []


def test_the_same_document_from_many_at_once_ends_as_one(server: Server) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: server.add("race", same=f"Text number {n % 3} goes here."), range(16)))
    assert {answer.status for answer in answers} == {200}
    rows = [answer.json["documents"][0] for answer in answers]
    written = sorted(row["version"] for row in rows if row["status"] == "ingested")
    assert written == list(range(1, len(written) + 1)), "each version was written once, and none is missing"
    (listed,) = server.call("GET", "/api/v1/collections/race/documents").json["documents"]
    assert listed["version"] == len(written)
    hits = server.call("POST", "/api/v1/search", {"collection": "race", "query": "text number"}).json["hits"]
    assert len(hits) == 1 and hits[0]["version"] == len(written)


def test_the_spool_is_the_homes_own(server: Server) -> None:
    spool: Path = server.home / "spool"
    assert spool.stat().st_mode & 0o077 == 0
