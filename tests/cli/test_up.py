"""`tiffin up` starts, or says within moments why it cannot; it ends when it is told to, and leaves nobody behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_client import foreign
from tests.server import Server, free_port
from tiffin.cli.up import SAMPLE_FOLDER, first_question

END_S_MAX = 15.0  # seconds on a busy machine; 2 on an idle one


def up(where: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return where.cli("up", *arguments)


def test_a_second_start_on_the_same_port_says_so_and_leaves_the_first_alone(server: Server, tmp_path: Path) -> None:
    for home in (server.home, tmp_path / "other"):
        shown = up(Server(home, server.port))
        assert shown.returncode == 3 and f"Port {server.port} is taken" in shown.stderr, shown.stderr
        assert "Traceback" not in shown.stderr
    assert server.is_ready() and not (tmp_path / "other").exists()


def test_a_second_start_on_the_same_home_takes_nothing_from_the_first(server: Server) -> None:
    upload = server.home / "spool" / "in flight"
    upload.write_text("x")
    shown = up(Server(server.home, free_port()))
    assert shown.returncode == 3 and "Another Tiffin is running" in shown.stderr and upload.exists()
    upload.unlink()
    assert server.is_ready()


def test_a_port_of_another_program(tmp_path: Path) -> None:
    with foreign(b"hello") as port:
        shown = up(Server(tmp_path / "home", port))
    assert shown.returncode == 3 and "TIFFIN_PORT" in shown.stderr


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "deeper"):
        shown = up(Server(place, free_port()))
        assert shown.returncode == 3 and "Traceback" not in shown.stderr and "✗" in shown.stderr, shown.stderr


def test_a_ledger_that_was_damaged_is_not_written_on(stopped: Server) -> None:
    checkpoint = stopped.home / "ledger/main/checkpoint"
    checkpoint.write_text(checkpoint.read_text().replace("tiffin/", "other/"))
    before = sorted((file, file.stat().st_size) for file in (stopped.home / "ledger").rglob("*"))
    shown = up(stopped)
    assert shown.returncode == 3 and "tiffin verify" in shown.stderr and "Traceback" not in shown.stderr, shown.stderr
    assert before == sorted((file, file.stat().st_size) for file in (stopped.home / "ledger").rglob("*"))


def test_keys_that_are_gone_are_said(stopped: Server) -> None:
    (stopped.home / "keys/master.key").unlink()
    shown = up(stopped)
    assert shown.returncode == 3 and "master" in shown.stderr and "Traceback" not in shown.stderr, shown.stderr


def test_a_database_of_a_newer_version_is_left_alone(stopped: Server) -> None:
    import sqlite3

    with sqlite3.connect(stopped.home / "tiffin.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    shown = up(stopped)
    assert shown.returncode == 3 and "newer" in shown.stderr and "Traceback" not in shown.stderr, shown.stderr


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def eventually_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 5
    while any(works(pid) for pid in pids):
        assert time.monotonic() < deadline, "an engine outlives its server"
        time.sleep(0.05)


def works(pid: int) -> bool:
    """Whether a process is there and not only waits for its parent to look at how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_when_it_is_told_to_and_leaves_no_engine(stopped: Server, number: signal.Signals) -> None:
    stopped.start()
    assert stopped.process is not None
    engines = [engine["pid"] for engine in stopped.call("GET", "/api/v1/status").json["engines"].values()]
    begun = time.monotonic()
    stopped.process.send_signal(number)
    assert stopped.process.wait(30) == 0, stopped.output()
    assert time.monotonic() - begun < END_S_MAX
    eventually_gone(engines)
    assert "Traceback" not in stopped.output()
    assert stopped.cli("verify").returncode == 0


def as_in_a_terminal() -> None:
    """A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_it_can_be_stopped_while_it_starts(tmp_path: Path, number: signal.Signals) -> None:
    where = Server(tmp_path / "home", free_port())
    command = [sys.executable, "-m", "tiffin.cli", "up", "--no-sample"]
    process = subprocess.Popen(
        command,
        env=where.variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=as_in_a_terminal,
    )
    assert process.stdout is not None
    assert "Preparing" in process.stdout.readline()
    time.sleep(0.3)
    engines = children(process.pid)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode in (0, 130, -number), said
    assert "Traceback" not in said
    eventually_gone(engines)


def test_the_sample_has_a_first_question() -> None:
    assert first_question(SAMPLE_FOLDER).endswith("?")
    assert json.loads((SAMPLE_FOLDER / "questions.json").read_text()) and os.sep == "/"
