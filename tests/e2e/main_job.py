"""The main job in the browser, against any server: ask, see the quote in its document, see the receipt verify."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

ANSWER_TIMEOUT_MS = 90_000  # ms; a small local model on two busy cores
PROOF_TIMEOUT_MS = 15_000  # ms; a checkpoint comes within a second, machines in CI are slow


def ask(page: Page, question: str) -> None:
    """Types the question, sends it with Enter, and waits until its answer has ended, however it ended."""
    before = page.locator(".turn").count()
    page.get_by_label("Question").fill(question)
    page.get_by_label("Question").press("Enter")
    turn = page.locator(".turn").nth(before)
    expect(turn.locator(".answer")).to_have_attribute("aria-busy", "false", timeout=ANSWER_TIMEOUT_MS)


def last_turn(page: Page) -> Locator:
    return page.locator(".turn").last


def see_quote(page: Page) -> str:
    """Opens the last answer's first citation; answers the marked text, which must be the quote that is listed."""
    turn = last_turn(page)
    turn.locator(".chip").first.click()
    mark = page.locator("mark.current").first
    expect(mark).to_be_in_viewport()
    expect(page.locator(".quote-check.good")).to_contain_text("Quote matches the stored text")
    marked = "".join(page.locator("mark.current").all_inner_texts())
    quote = turn.locator(".source-quote").first.text_content() or ""
    assert " ".join(marked.split()) == " ".join(quote.split())
    return marked


def see_receipt(page: Page, verdict: str = "Verified in this browser") -> None:
    """Opens the last answer's receipt and waits for the verdict."""
    last_turn(page).get_by_role("button", name="Receipt").click()
    expect(page.locator("#verdict-heading")).to_contain_text(verdict, timeout=PROOF_TIMEOUT_MS)


def walk(page: Page, url: str, question: str) -> None:
    """The whole of it; raises AssertionError at the first thing that is not as promised."""
    page.goto(url)
    expect(page.locator(".welcome h2")).to_contain_text("Ask")
    assert "#" not in page.url, "the key must leave the address"
    ask(page, question)
    see_quote(page)
    see_receipt(page)
    assert page.locator(".step").evaluate_all("steps => steps.every(step => step.dataset.state === 'pass')")
