"""The main job in a real browser against a real Tiffin: nothing between them is a stand-in.

PICTURES names a folder to keep screenshots in (`docs/images` holds the README's).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.main_job import ask, last_turn, see_quote, walk
from tests.server import Server, free_port

pytestmark = pytest.mark.timeout(900)  # seconds; the first test may fetch Node, the packages and a browser
ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = json.loads((ROOT / "tiffin/sample/questions.json").read_text())
SAMPLE_S_MAX = 120  # seconds until `tiffin up` has loaded the sample into an empty home


@pytest.fixture(scope="module")
def stack(console_dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("stack") / "home", free_port())
    server.start(sample=True)
    deadline = time.monotonic() + SAMPLE_S_MAX
    while "Tiffin is ready" not in server.output():
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.5)
    yield server
    server.stop()


def test_a_first_start_prints_a_cited_answer_and_where_the_console_is(stack: Server) -> None:
    said = stack.output()
    assert QUESTIONS[0]["question"] in said and QUESTIONS[0]["answer_contains"] in said
    assert f"http://127.0.0.1:{stack.port}/" in said and "admin.key" in said and "receipt" in said
    assert stack.key not in said, "the key is printed to a terminal only"


def test_main_job(page: Page, stack: Server) -> None:
    url = f"{stack.url}/#key={stack.key}"
    walk(page, url, QUESTIONS[0]["question"])
    pictured(page, "receipt.png")


def test_the_quote_stands_beside_the_answer(page: Page, stack: Server) -> None:
    opened(page, stack)
    ask(page, QUESTIONS[0]["question"])
    assert QUESTIONS[0]["answer_contains"] in see_quote(page)
    pictured(page, "console.png")


def opened(page: Page, stack: Server) -> None:
    page.goto(f"{stack.url}/#key={stack.key}")
    expect(page.locator(".welcome .document-row").first).to_be_visible()


def pictured(page: Page, name: str) -> None:
    folder = os.environ.get("PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / name)


def test_what_the_documents_do_not_say_is_refused_in_the_page(page: Page, stack: Server) -> None:
    unanswerable = next(q["question"] for q in QUESTIONS if q["answer_contains"] is None)
    opened(page, stack)
    ask(page, unanswerable)
    expect(last_turn(page)).to_contain_text("does not hold the answer")
    assert last_turn(page).locator(".chip").count() == 0
