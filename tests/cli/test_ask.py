"""`tiffin ask`, `search` and `chat`, as people type them and as scripts read them."""

from __future__ import annotations

import json

import pytest

from tests.cli.command import run
from tests.cli.conftest import TEXT
from tests.server import Server

QUESTION = "What is the maximum daily dose of zorblatin?"


@pytest.fixture(autouse=True)
def leaflet(server: Server) -> None:
    server.add("cli-ask", leaflet=TEXT)


def test_an_answer_is_read_with_its_sources_and_its_receipt(server: Server) -> None:
    shown = run(server, "ask", QUESTION, "--collection", "cli-ask")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "40 mg" in shown.stdout and "leaflet, page 1, characters" in shown.stdout and "receipt " in shown.stdout


def test_with_json_there_is_one_document_and_nothing_else(server: Server) -> None:
    asked = run(server, "ask", QUESTION, "--collection", "cli-ask", "--json")
    answer = json.loads(asked.stdout)
    assert (asked.returncode, asked.stderr) == (0, "") and "40 mg" in answer["answer"] and answer["receipt"]
    found = json.loads(run(server, "search", "dose", "-c", "cli-ask", "--limit", "1", "--json").stdout)
    assert len(found["hits"]) == 1 and found["hits"][0]["document"] == "leaflet"
    said = json.loads(run(server, "chat", "Say a word.", "--max-tokens", "3", "--json").stdout)
    assert said["choices"][0]["message"]["content"]


def test_what_the_collection_does_not_hold_is_a_no(server: Server) -> None:
    for more in ([], ["--json"]):
        shown = run(server, "ask", "Who won the 1998 World Cup?", "-c", "cli-ask", *more)
        assert shown.returncode == 1 and shown.stdout
    assert json.loads(shown.stdout)["refused"] is True


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["ask", QUESTION, "-c", "nowhere"], 1, "nowhere"),
        (["search", "x", "-c", "nowhere"], 1, "nowhere"),
        (["ask", QUESTION, "-c", "cli-ask", "--model", "gpt-17"], 1, "gpt-17"),
        (["ask", QUESTION, "-c", "cli-ask", "--as-of", "yesterday"], 2, "is not a time"),
        (["ask", "", "-c", "cli-ask"], 2, "question"),
        (["search", "x" * 10_000, "-c", "cli-ask"], 2, "query"),
        (["chat", "word " * 40_000], 2, "context"),
        (["chat", "x", "--model", "minilm"], 2, "cannot chat"),
        (["ask", "\udcff\udcfe", "-c", "cli-ask"], 2, "question"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_goes_wrong_is_said_in_both_forms(server: Server, command: list[str], code: int, says: str) -> None:
    plain = run(server, *command)
    assert plain.returncode == code and says in plain.stderr and "receipt" in plain.stderr, plain.stderr
    shown = run(server, *command, "--json")
    assert shown.returncode == code and shown.stderr == ""
    error = json.loads(shown.stdout)
    assert says in error["error"]["message"] + str(error["error"].get("field")) and error["receipt"]


def test_a_conversation_is_one_line_after_the_other(server: Server) -> None:
    shown = run(server, "chat", "--max-tokens", "4", stdin="My name is Ada.\n\n  \nWhat is my name?\n")
    assert shown.returncode == 0 and len([line for line in shown.stdout.splitlines() if line]) >= 2
    shown = run(server, "chat", "--model", "rag:cli-ask", stdin=f"{QUESTION}\n")
    assert shown.returncode == 0 and "40 mg" in shown.stdout
    assert run(server, "chat", stdin="").returncode == 0
    assert run(server, "chat", "--json", stdin="x").returncode == 2


def test_a_pipe_may_hold_anything(server: Server) -> None:
    shown = run(server, "chat", "--max-tokens", "2", stdin="caf\udce9 \x00 \x1b[31m\n")
    assert shown.returncode == 0, shown.stderr


def test_markup_in_documents_stays_text(server: Server) -> None:
    server.add("cli-markup", a="The [bold red]quagga[/] lives in [link=file:///etc/passwd]the zoo[/link] of Lund.")
    shown = run(server, "search", "quagga", "-c", "cli-markup")
    assert "[bold red]quagga[/]" in shown.stdout and shown.returncode == 0
    asked = run(server, "ask", "Where does the quagga live?", "-c", "cli-markup")
    assert "Traceback" not in asked.stderr
