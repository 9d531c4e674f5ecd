"""A built console, a server behind it, and a browser before it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e import browser as browsers
from tests.e2e.fixture_server import ADMIN_KEY, DIST, World, serve

ROOT = Path(__file__).resolve().parents[2]
BUILD_TIMEOUT_S = 900  # seconds; the first build fetches Node and its packages
ACTION_TIMEOUT_MS = 15_000  # ms; CI machines are slow and shared


@pytest.fixture(scope="session")
def console_dist() -> Path:
    """The console, built from the sources at hand, with its packages (the tests inject axe-core from them)."""
    command = [sys.executable, str(ROOT / "tools" / "build_console.py"), "--packages"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        browsers.missing(f"the console could not be built: {done.stderr.strip()}")
    return DIST


@pytest.fixture(scope="session")
def fixture_server(console_dist: Path) -> Iterator[tuple[str, World]]:
    server, world = serve()
    yield f"http://127.0.0.1:{server.server_address[1]}", world
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def console_url(fixture_server: tuple[str, World]) -> str:
    """The address with the key, as `tiffin up` prints it; TIFFIN_CONSOLE_URL names a running server instead."""
    return os.environ.get("TIFFIN_CONSOLE_URL") or f"{fixture_server[0]}/#key={ADMIN_KEY}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a module, not a session: Playwright keeps a loop running, and asynchronous tests need their own."""
    path = browsers.need()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=browsers.LAUNCH_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh profile; any script error or breach of the content security policy fails the test."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", accept_downloads=True
    )
    context.set_default_timeout(ACTION_TIMEOUT_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None
    )
    yield page
    context.close()
    assert errors == []
