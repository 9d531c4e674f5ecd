"""The console in a real browser: the main job, what it says when things go wrong, and that everybody can use it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import browser as browsers
from tests.e2e.fixture_log import leaf, root
from tests.e2e.fixture_server import ADMIN_KEY, EMPTY_KEY, World
from tests.e2e.main_job import ask, last_turn, see_quote, see_receipt, walk

pytestmark = pytest.mark.timeout(900)  # seconds; the first test may fetch Node, the packages and a browser
AXE = Path(__file__).resolve().parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
QUESTION = "How soon must serious adverse events be reported, and what happens when a site is late?"
BUNDLE_GZIP_BYTES_MAX = 120 * 1024  # bytes; the page must open at once on a hospital's network


@pytest.fixture
def console(page: Page, fixture_server: tuple[str, World]) -> Page:
    """A signed-in page of the fixture server."""
    page.goto(f"{fixture_server[0]}/#key={ADMIN_KEY}")
    expect(page.locator(".welcome .document-row").first).to_be_visible()
    return page


def check_access(page: Page) -> None:
    """No serious or critical finding of axe-core. The debugger evaluates it: the page's policy would refuse it."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)")
    serious = [
        f"{v['id']} ({v['impact']}): {v['help']}: {[n['html'][:120] for n in v['nodes']][:3]}"
        for v in found
        if v["impact"] in {"serious", "critical"}
    ]
    assert serious == []


def test_main_job(page: Page, console_url: str) -> None:
    walk(page, console_url, QUESTION)


def test_quote_is_marked_behind_characters_that_javascript_counts_twice(console: Page) -> None:
    ask(console, QUESTION)
    marked = see_quote(console)
    assert (
        marked
        == "Investigators report every serious adverse event to the sponsor within 24 hours of becoming aware of it."
    )


def test_answer_shows_support_and_steps_through_its_citations(console: Page) -> None:
    ask(console, QUESTION)
    turn = last_turn(console)
    expect(turn.locator(".source")).to_have_count(3)
    expect(turn.locator(".unsupported")).to_have_text("Most sites find this workable.")
    expect(turn.locator(".tag")).to_have_text("no source")
    see_quote(console)
    console.get_by_role("button", name="Next citation").click()
    console.get_by_role("button", name="Next citation").click()
    expect(console.locator(".pane-title h2")).to_have_text("SOP-014 Safety reporting")
    expect(console.locator("mark.current")).to_have_text(
        "A missed deadline is recorded as a deviation and reviewed at the next safety meeting."
    )
    expect(console.get_by_role("button", name="Next citation")).to_be_disabled()


def test_quote_far_down_a_long_document_is_brought_into_view(console: Page) -> None:
    ask(console, "long: what is recorded?")
    assert see_quote(console) == "The value recorded for section 150 is 505 units."
    expect(console.get_by_label("Go to page")).to_have_value("149")
    console.get_by_label("Go to page").select_option("0")
    expect(console.get_by_role("heading", name="Page 1", exact=True)).to_be_in_viewport()


def test_quote_that_is_not_in_the_document_is_called_out(console: Page) -> None:
    ask(console, "misquote")
    last_turn(console).locator(".chip").first.click()
    expect(console.locator(".quote-check.bad")).to_contain_text("differs from the stored text")


def test_receipt_takes_its_proof_and_record_along(
    console: Page, fixture_server: tuple[str, World], tmp_path: Path
) -> None:
    world = fixture_server[1]
    ask(console, QUESTION)
    see_receipt(console)
    saved = {}
    for name in ("Proof", "Record"):
        with console.expect_download() as download:
            console.get_by_role("button", name=re.compile(name)).click()
        saved[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[name])
    entry = saved["Record"].read_bytes()
    receipt = json.loads(entry)["id"]
    assert saved["Record"].name == f"{receipt}.json"
    assert saved["Proof"].name == f"{receipt}.tlog-proof"
    assert entry == world.log.entries[world.index[receipt]]
    assert saved["Proof"].read_text().startswith("c2sp.org/tlog-proof@v1\nindex ")
    shown = console.locator("#verdict-heading").locator("xpath=../..").inner_text()
    assert "Quotes recorded" in shown
    console.get_by_text("How it was checked").first.click()
    expect(console.locator(".facts").first).to_contain_text(leaf(entry).hex())
    console.get_by_text("How it was checked").nth(1).click()
    expect(console.locator(".facts").nth(1)).to_contain_text(root([leaf(e) for e in world.log.entries]).hex())


def test_receipt_shows_the_tree_of_calls_and_walks_it(console: Page) -> None:
    ask(console, QUESTION)
    see_receipt(console)
    console.locator(".calls .calls .call").click()  # ask → retrieve → embed
    expect(console.locator(".record")).to_contain_text("embed")
    expect(console.locator("#verdict-heading")).to_contain_text("Verified in this browser")
    console.get_by_role("button", name=re.compile("receipt …")).click()  # its parent
    expect(console.locator(".record")).to_contain_text("retrieve")
    console.get_by_role("button", name="Back to the receipt before").click()
    expect(console.locator(".record")).to_contain_text("embed")


def test_changed_record_does_not_verify(console: Page) -> None:
    ask(console, "tampered")
    see_receipt(console, "Does not verify")
    expect(console.locator("[data-step=record]")).to_have_attribute("data-state", "pass")
    expect(console.locator("[data-step=inclusion]")).to_have_attribute("data-state", "fail")
    expect(console.locator("[data-step=signature]")).to_have_attribute("data-state", "pass")
    expect(console.locator("[data-step=quotes]")).to_have_count(0)
    expect(console.get_by_role("heading", name="What it claims, unproved")).to_be_visible()


def test_forged_checkpoint_does_not_verify(console: Page) -> None:
    ask(console, "forged")
    see_receipt(console, "Does not verify")
    expect(console.locator("[data-step=inclusion]")).to_have_attribute("data-state", "pass")
    expect(console.locator("[data-step=signature]")).to_have_attribute("data-state", "fail")


def test_another_log_under_the_same_name_is_noticed(console: Page) -> None:
    ask(console, QUESTION)
    see_receipt(console)
    console.keyboard.press("Escape")
    console.evaluate(
        "() => { const k = Object.keys(localStorage).find(k => k.startsWith('tiffin.log.'));"
        "const m = JSON.parse(localStorage[k]); m.vkey = m.vkey.replace('+', '+0');"
        "localStorage[k] = JSON.stringify(m); }"
    )
    see_receipt(console, "Does not verify")
    expect(console.locator("[data-step=memory]")).to_contain_text("another key")
    console.get_by_role("button", name="remember the log as it is now").click()
    expect(console.locator("#verdict-heading")).to_contain_text("Verified in this browser")


def test_page_over_plain_http_says_that_it_cannot_check(page: Page, fixture_server: tuple[str, World]) -> None:
    url = fixture_server[0].replace(
        "127.0.0.1", browsers.PLAIN_HOST
    )  # not loopback: the browser withholds cryptography
    page.goto(f"{url}/#key={ADMIN_KEY}")
    ask(page, QUESTION)
    see_receipt(page, "Could not be checked here")
    expect(page.locator("[data-step=signature]")).to_contain_text("only to pages opened over HTTPS")


def test_refusal_error_and_broken_stream_are_told_apart(console: Page) -> None:
    ask(console, "What is the share price?")
    expect(last_turn(console)).to_contain_text("does not hold the answer")
    expect(last_turn(console).get_by_role("alert")).to_have_count(0)
    ask(console, "interrupt")
    expect(last_turn(console).get_by_role("alert")).to_contain_text("process ended in the middle")
    expect(last_turn(console)).to_contain_text("The sponsor informs")  # what was seen stays
    see_receipt(console)
    console.keyboard.press("Escape")
    ask(console, "cut")
    expect(last_turn(console).get_by_role("alert")).to_contain_text("connection ended before the answer did")


def test_answer_can_be_stopped_and_asked_again(console: Page) -> None:
    console.get_by_label("Question").fill("slow")
    console.keyboard.press("Enter")
    expect(console.locator(".tail")).to_contain_text("Investigators report")
    console.get_by_role("button", name="Stop the answer").click()
    expect(last_turn(console)).to_contain_text("You stopped this answer.")
    expect(console.get_by_role("button", name="Ask again")).to_be_enabled()


def test_key_is_asked_for_tried_and_kept_in_the_tab_only(page: Page, fixture_server: tuple[str, World]) -> None:
    url = fixture_server[0]
    page.goto(url)
    page.get_by_label("Access key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    check_access(page)
    page.get_by_label("Access key").fill(ADMIN_KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".welcome h2")).to_be_visible()
    page.reload()
    expect(page.locator(".welcome h2")).to_be_visible()
    assert ADMIN_KEY not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location.href")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access key")).to_be_visible()
    assert ADMIN_KEY not in page.evaluate("JSON.stringify(sessionStorage)")


def test_revoked_key_leads_back_to_the_sign_in(console: Page) -> None:
    console.route(
        "**/api/v1/**",
        lambda route: route.fulfill(
            status=401,
            json={"error": {"type": "revoked", "message": "This key was revoked.", "hint": "Ask for another."}},
        ),
    )
    console.get_by_label("Question").fill("anything")
    console.keyboard.press("Enter")
    expect(console.get_by_role("alert")).to_contain_text("This key was revoked.")
    expect(console.get_by_label("Access key")).to_be_visible()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {
                "status": 503,
                "json": {"error": {"type": "full", "message": "The ledger is full.", "hint": "Run `tiffin doctor`."}},
            },
            "The ledger is full.",
        ),
        ({"status": 502, "body": "<html>Bad gateway</html>"}, "status 502"),
        ({"status": 200, "body": "event: surprise\ndata: {}\n\n"}, "cannot read"),
        ({"status": 200, "body": "event: text\ndata: {broken\n\n"}, "cannot read"),
        ({"status": 200, "body": ""}, "connection ended"),
    ],
)
def test_bad_answers_of_a_server_are_said_in_words(console: Page, answer: dict[str, object], said: str) -> None:
    console.route("**/api/v1/ask", lambda route: route.fulfill(**answer))
    ask(console, "anything")
    expect(last_turn(console).get_by_role("alert")).to_contain_text(said)


def test_unreachable_server_is_said_in_words(console: Page) -> None:
    console.route("**/api/v1/**", lambda route: route.abort())
    ask(console, "anything")
    expect(last_turn(console).get_by_role("alert")).to_contain_text("The server does not answer.")


def test_text_of_documents_and_models_is_never_markup(console: Page) -> None:
    nasty = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    sentence = {"text": nasty, "supported": False, "citations": []}
    done = {
        "answer": nasty,
        "refused": False,
        "reason": None,
        "sentences": [sentence],
        "citations": [],
        "receipt": "r",
        "model": nasty,
        "usage": None,
    }
    body = f"event: text\ndata: {json.dumps({'text': nasty})}\n\nevent: done\ndata: {json.dumps(done)}\n\n"
    console.route("**/api/v1/ask", lambda route: route.fulfill(status=200, content_type="text/event-stream", body=body))
    ask(console, nasty)
    expect(last_turn(console).locator(".unsupported")).to_have_text(nasty)
    assert console.locator(".conversation img, .conversation script").count() == 0


def test_long_list_of_documents_is_fetched_whole_and_can_be_searched(
    page: Page, fixture_server: tuple[str, World]
) -> None:
    def rows(start: int, stop: int) -> list[dict[str, object]]:
        return [
            {"id": f"d{n}", "title": f"Report {n}", "kind": "pdf", "pages": 1, "version": 1, "cursor": str(n)}
            for n in range(start, stop)
        ]

    page.route("**/kst-201/documents?limit=1000", lambda route: route.fulfill(json={"documents": rows(0, 1000)}))
    page.route("**/kst-201/documents?limit=1000&after=999", lambda r: r.fulfill(json={"documents": rows(1000, 1234)}))
    page.goto(f"{fixture_server[0]}/#key={ADMIN_KEY}")
    expect(page.get_by_text("The first 200 of 1,234")).to_be_visible()
    page.get_by_label("Find a document").fill("report 1233")
    expect(page.locator(".sidebar .document-row")).to_have_count(1)


def test_answer_that_the_console_did_not_foresee_is_no_white_page(
    page: Page, fixture_server: tuple[str, World]
) -> None:
    page.route("**/api/v1/collections", lambda route: route.fulfill(json={"collections": [{"name": None}]}))
    page.goto(f"{fixture_server[0]}/#key={ADMIN_KEY}")
    expect(page.get_by_role("alert")).to_contain_text("The console made a mistake.")


def test_no_collection_yet_says_what_to_do(page: Page, fixture_server: tuple[str, World]) -> None:
    page.goto(f"{fixture_server[0]}/#key={EMPTY_KEY}")
    expect(page.locator(".welcome")).to_contain_text("tiffin ingest")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_disabled()
    check_access(page)


def test_works_by_keyboard_alone(console: Page) -> None:
    expect(console.get_by_label("Question")).to_be_focused()
    console.keyboard.type(QUESTION)
    console.keyboard.press("Enter")
    expect(last_turn(console).locator(".answer")).to_have_attribute("aria-busy", "false")
    last_turn(console).locator(".chip").first.focus()
    console.keyboard.press("Enter")
    expect(console.locator(".pane-title h2")).to_be_focused()
    console.keyboard.press("Escape")
    expect(console.locator("mark")).to_have_count(0)
    console.keyboard.press("/")
    expect(console.get_by_label("Question")).to_be_focused()
    receipt = last_turn(console).get_by_role("button", name="Receipt")
    receipt.focus()
    console.keyboard.press("Enter")
    expect(console.get_by_role("dialog", name="Receipt")).to_be_visible()
    console.keyboard.press("Escape")
    expect(receipt).to_be_focused()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1024, "light"), (1440, "dark")])
def test_everybody_can_use_it(console: Page, width: int, scheme: str) -> None:
    console.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    console.set_viewport_size({"width": width, "height": 844})
    check_access(console)
    ask(console, QUESTION)
    ask(console, "interrupt")
    ask(console, "tampered")
    check_access(console)
    last_turn(console).locator(".chip").first.click()
    expect(console.locator("mark.current").first).to_be_in_viewport()
    check_access(console)
    if width < 1180:
        console.keyboard.press("Escape")
    see_receipt(console, "Does not verify")
    for summary in console.locator("summary").all():
        summary.click()
    check_access(console)
    assert console.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing may stick out sideways"
    assert console.locator(".receipt-body").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_nothing_that_is_read_moves_while_an_answer_grows(console: Page) -> None:
    ask(console, "interrupt")
    console.evaluate(
        "() => { window.moved = 0;"
        "new PerformanceObserver(list => { for (const e of list.getEntries()) window.moved += e.value; })"
        ".observe({type: 'layout-shift', buffered: false}); }"
    )
    console.get_by_label("Question").fill(QUESTION)
    console.keyboard.press("Enter")
    expect(last_turn(console).locator(".answer")).to_have_attribute("aria-busy", "false")
    top = last_turn(console).locator(".question").evaluate("e => e.getBoundingClientRect().top")
    console.wait_for_timeout(400)
    assert last_turn(console).locator(".question").evaluate("e => e.getBoundingClientRect().top") == top
    assert console.evaluate("window.moved") < 0.1  # Web Vitals calls up to 0.1 good


def test_bundle_is_small_and_names_no_other_host(console_dist: Path) -> None:
    import gzip

    files = [p for p in console_dist.rglob("*") if p.is_file()]
    assert sum(len(gzip.compress(p.read_bytes())) for p in files) <= BUNDLE_GZIP_BYTES_MAX
    allowed = {
        "http://www.w3.org",
        "https://react.dev",
    }  # XML name spaces, and React's page about an error code: never fetched
    for path in files:
        assert set(re.findall(rb"https?://[a-z0-9.-]+", path.read_bytes())) <= {a.encode() for a in allowed}, path
    lock = (console_dist.parent / "package-lock.json").read_text()
    assert '"resolved"' not in lock


def test_build_is_skipped_while_the_sources_are_the_same(console_dist: Path) -> None:
    from tools import build_console

    digest = build_console.digest_sources()
    assert build_console.is_current(console_dist, digest)
    assert not build_console.is_current(console_dist, hashlib.sha256(b"other").hexdigest())


def test_units_of_the_console(console_dist: Path) -> None:
    """The TypeScript unit tests, by Node's own test runner."""
    import subprocess

    from tools import build_console

    folder = build_console.node_folder()
    if folder is None:
        browsers.missing("Node is not installed in console/.node")
        return
    tests = sorted(str(p) for p in (console_dist.parent / "test").glob("*.test.ts"))
    done = subprocess.run(
        [str(build_console.node_program(folder)), "--test", *tests],
        cwd=console_dist.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"pass [1-9]", done.stdout)
