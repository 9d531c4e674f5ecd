"""`tiffin doctor` says in words what is wrong with a machine or a home, and never falls ill itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.command import Ran, run
from tests.cli.test_client import foreign
from tests.server import Server, free_port

NOBODY = 65534


def examined(where: Server) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and the findings by what was checked."""
    shown = run(where, "doctor", "--json")
    assert "Traceback" not in shown.stderr, shown.stderr
    report = json.loads(shown.stdout)
    assert report["ok"] == (shown.returncode == 0) == all(f["state"] != "problem" for f in report["findings"])
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    return shown.returncode, found


def problem(where: Server, check: str) -> str:
    code, found = examined(where)
    problems = [finding for finding in found[check] if finding["state"] == "problem"]
    assert code == 1 and problems, found
    return f"{problems[0]['says']} {problems[0]['hint']}"


def test_a_healthy_server_is_said_to_be(server: Server) -> None:
    code, found = examined(server)
    assert code == 0 and found["server"][0]["says"] == f"running at {server.url}"
    assert {f["state"] for f in found["engine"]} == {"ok"} and len(found["model"]) >= 2 and found["ledger"]
    plain = run(server, "doctor")
    assert plain.returncode == 0 and plain.stdout.count("✓") >= 8


def test_a_killed_home_is_healthy_and_stays_as_it_was(stopped: Server) -> None:
    before = {file: file.read_bytes() for file in sorted((stopped.home / "ledger").rglob("*")) if file.is_file()}
    code, found = examined(stopped)
    assert code == 0 and "stopped" in found["server"][0]["says"] and "consistent" in found["database"][0]["says"]
    assert before == {
        file: file.read_bytes() for file in sorted((stopped.home / "ledger").rglob("*")) if file.is_file()
    }


def test_a_home_that_does_not_exist_is_no_problem_and_is_not_made(tmp_path: Path) -> None:
    where = Server(tmp_path / "none" / "home", free_port())
    code, found = examined(where)
    assert code == 0 and "does not exist yet" in found["home"][0]["says"] and not where.home.parent.exists()


def test_a_port_that_another_program_has(stopped: Server) -> None:
    with foreign(b"<html>hello</html>") as port:
        assert "taken by another program" in problem(Server(stopped.home, port), "server")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.close()


def test_a_port_that_another_homes_tiffin_has(server: Server, stopped: Server) -> None:
    says = problem(Server(stopped.home, server.port), "server")
    assert "another home" in says and "TIFFIN_PORT" in says


def test_a_full_disk(stopped: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1 << 40, 1 << 40, 1 << 20))
    says = problem(stopped, "disk")
    assert "0.0 GiB free" in says and "refuses calls" in says


def test_a_key_that_others_may_read(stopped: Server) -> None:
    (stopped.home / "admin.key").chmod(0o644)
    assert "chmod 600" in problem(stopped, "admin key")
    (stopped.home / "admin.key").unlink()
    code, found = examined(stopped)
    assert found["admin key"][0]["state"] == "warning" and code == 0


def test_a_ledger_that_was_changed(stopped: Server) -> None:
    (entries,) = (stopped.home / "ledger/main/tile/entries").rglob("000*/*")
    data = bytearray(entries.read_bytes())
    data[len(data) // 2] ^= 1
    entries.write_bytes(data)
    assert "main" in problem(stopped, "ledger")
    shutil.rmtree(stopped.home / "keys")
    (stopped.home / "keys").mkdir()
    assert problem(stopped, "ledger")


def test_a_database_that_is_none(stopped: Server) -> None:
    (stopped.home / "tiffin.db").write_bytes(b"not a database" * 1_000)
    for file in stopped.home.glob("tiffin.db-*"):
        file.unlink()
    assert "cannot be used" in problem(stopped, "database")


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "not a folder" in problem(Server(tmp_path / "file", free_port()), "home")
    assert "not a folder" in problem(Server(tmp_path / "file" / "home", free_port()), "home")


@pytest.mark.parametrize("setting", ["TIFFIN_PORT=none", "TIFFIN_DATABASE_URL=postgresql://u:secret@h/d"])
def test_a_setting_that_cannot_be(stopped: Server, setting: str) -> None:
    name, _, value = setting.partition("=")
    stopped.environment[name] = value
    code, found = examined(stopped)
    assert code == 1 and "secret" not in str(found)


def as_nobody(where: Server, *arguments: str) -> Ran:
    """The command line as a user who owns nothing: root may do everything, and so sees no missing permission.

    In a copy of this process, since that user need not be able to read this checkout.
    """
    run(where, *arguments)  # loads what it needs
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: the child starts none of its own
        child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        try:
            os.write(writing, json.dumps(asdict(run(where, *arguments))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return Ran(**json.loads(told))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=oct)
def test_a_home_of_somebody_else(stopped: Server, mode: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        where = Server(Path(shutil.copytree(stopped.home, Path(folder, "home"))), stopped.port)
        Path(folder).chmod(0o755)
        where.home.chmod(mode)
        shown = as_nobody(where, "doctor", "--json")
        assert shown.returncode == 1 and "Traceback" not in shown.stderr, shown.stderr
        (home, *_) = [f for f in json.loads(shown.stdout)["findings"] if f["check"] == "home"]
        assert home["state"] == "problem" and "no permission" in home["says"] and "uid 0" in home["hint"]
        for command in (["receipts"], ["receipts", "some-id"], ["verify"], ["ask", "x"]):
            told = as_nobody(where, *command, "--json")
            assert told.returncode in (1, 2, 3) and json.loads(told.stdout)["error"]["message"], told.stderr
            assert "Traceback" not in told.stderr, (command, told.stderr)
