"""Finds a Chromium for the browser tests, installs Debian's where it may, and says in one line why there is none.

Playwright's own browser download is not used: it comes from outside the package registries.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
INSTALL_TIMEOUT_S = 600  # seconds; about 400 MB of packages on a slow mirror
PLAIN_HOST = "tiffin.test"  # a name that is this machine, but not in the browser's eyes
LAUNCH_FLAGS = [
    "--no-sandbox",  # tests run as root in CI, where Chromium's sandbox refuses to start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {PLAIN_HOST} 127.0.0.1",
]


def find() -> str | None:
    """TIFFIN_CHROMIUM, or the first known name on the path."""
    chosen = os.environ.get("TIFFIN_CHROMIUM")
    return chosen or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> str:
    """Installs Debian's Chromium. Answers the reason in words when it cannot, else an empty text."""
    if os.name != "posix" or os.geteuid() != 0:
        return "no Chromium found, and only root may install Debian's"
    if shutil.which("apt-get") is None:
        return "no Chromium found, and this system has no apt-get"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"],
    ):
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return f"no Chromium found, and {' '.join(command[:2])} did not end in {INSTALL_TIMEOUT_S} s"
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return f"no Chromium found, and {' '.join(command[:2])} failed: {last}"
    return ""


def need() -> str:
    """The browser's path; skips the test where there is none, and fails it in CI, where the page must be seen."""
    path = find()
    if path is not None:
        return path
    reason = install()
    path = find()
    if path is not None:
        return path
    missing(reason or "Chromium was installed but is not on the path")
    raise AssertionError("unreachable: missing() always raises")


def missing(reason: str) -> None:
    """Skips with one line, or fails when the variable CI is set."""
    if os.environ.get("CI"):
        pytest.fail(f"the browser tests must run in CI: {reason}", pytrace=False)
    pytest.skip(reason)
