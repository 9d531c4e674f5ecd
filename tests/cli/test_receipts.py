"""`tiffin receipts` and `tiffin verify`, with a server, without one, and after it was killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.cli.conftest import Killed
from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["running", "killed"])
def home(request: pytest.FixtureRequest) -> tuple[Server, str]:
    """A home and a receipt in it, with its server and without."""
    if request.param == "killed":
        killed: Killed = request.getfixturevalue("killed")
        return request.getfixturevalue("stopped"), killed.receipts[-1]
    server: Server = request.getfixturevalue("server")
    server.add("cli-receipts", a="Some words.")
    return server, server.call("POST", "/api/v1/search", {"collection": "cli-receipts", "query": "words"}).receipt


def test_the_newest_come_first(home: tuple[Server, str]) -> None:
    where, receipt = home
    time.sleep(0.2)  # a running server writes its index a moment after its answer
    listed = json.loads(run(where, "receipts", "--json").stdout)["receipts"]
    assert receipt in [row["id"] for row in listed[:3]], (
        "what was answered last is listed, though the server was killed"
    )
    assert [row["id"] for row in listed] == sorted((row["id"] for row in listed), reverse=True)
    assert all(row["parent"] is None and row["operation"] != "read" for row in listed)
    everything = json.loads(run(where, "receipts", "--all", "--limit", "1000", "--json").stdout)["receipts"]
    assert len(everything) > len(listed) and any(row["parent"] for row in everything)
    plain = run(where, "receipts", "--limit", "1")
    assert len(plain.stdout.strip().splitlines()) == 2 and plain.returncode == 0


def test_one_is_shown_with_its_entry(home: tuple[Server, str]) -> None:
    where, receipt = home
    shown = run(where, "receipts", receipt, "--json")
    document = json.loads(shown.stdout)
    assert (shown.returncode, document["id"], document["entry"]["id"]) == (0, receipt, receipt), shown.stderr
    assert receipt in run(where, "receipts", receipt).stdout


def test_one_is_saved_and_a_stranger_verifies_it(home: tuple[Server, str], tmp_path: Path) -> None:
    where, receipt = home
    saved = json.loads(run(where, "receipts", receipt, "--save", str(tmp_path / "audit"), "--json").stdout)
    assert saved["receipt"] == receipt and len(saved["files"]) == 3
    verified = run(where, "verify", str(tmp_path / "audit"), "--json")
    assert verified.returncode == 0 and json.loads(verified.stdout)["ok"] is True
    files = [str(tmp_path / "audit" / name) for name in ("receipt.tlog-proof", "entry.json")]
    script = [sys.executable, str(ROOT / "docs/verify_receipt.py"), *files, saved["vkey"]]
    assert subprocess.run(script, timeout=30, capture_output=True).returncode == 0


@pytest.mark.parametrize("receipt", ["nothing", "01a2131e-d595-78a6-a804-45424e000000", "../x", "a b", "\udcff"])
def test_a_receipt_that_is_not_there_is_a_no(home: tuple[Server, str], receipt: str) -> None:
    shown = run(home[0], "receipts", receipt, "--json")
    assert shown.returncode == 1 and json.loads(shown.stdout)["error"]["type"] == "not_found", shown.stdout


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("entry.json", b"completed", b"complexed"),
        ("entry.json", b"", b""),
        ("receipt.tlog-proof", b"index 0", b"index 1"),
        ("receipt.tlog-proof", b"c2sp", b"c3sp"),
        ("vkey.txt", b"+", b"-"),
        ("vkey.txt", b"tiffin", b"other"),
    ],
)
def test_a_saved_receipt_that_was_touched_does_not_verify(
    stopped: Server, killed: Killed, tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    run(stopped, "receipts", killed.receipts[-1], "--save", str(tmp_path / "audit"))
    file = tmp_path / "audit" / name
    before = file.read_bytes()
    file.write_bytes(before.replace(old, new, 1) if old else before + b"\n")
    if file.read_bytes() != before:
        shown = run(stopped, "verify", str(tmp_path / "audit"), "--json")
        assert shown.returncode == 1 and json.loads(shown.stdout)["error"]["type"] == "not_verified", shown.stdout
    file.write_bytes(b"\xff\xfe")
    assert run(stopped, "verify", str(tmp_path / "audit")).returncode == 1
    file.unlink()
    assert run(stopped, "verify", str(tmp_path / "audit")).returncode == 2


def test_a_folder_that_cannot_be_written_is_said(stopped: Server, killed: Killed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shown = run(stopped, "receipts", killed.receipts[0], "--save", str(tmp_path / "file"), "--json")
    assert shown.returncode == 3 and "file" in json.loads(shown.stdout)["error"]["message"]
    assert "Traceback" not in shown.stderr


def test_reading_a_stopped_home_leaves_it_whole(stopped: Server, killed: Killed) -> None:
    for command in (["receipts"], ["receipts", killed.receipts[0]], ["receipts"]):
        assert run(stopped, *command).returncode == 0
    assert run(stopped, "verify", "--json").returncode == 0
    assert not list(stopped.home.glob("*.new"))
