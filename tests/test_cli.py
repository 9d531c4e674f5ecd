"""The command line as a whole: quick, with an example for everything, and one JSON document where one was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.server import Server, free_port

COMMANDS = [
    "up", "ingest", "ask", "search", "chat", "receipts", "verify", "doctor", "keys", "models",
    "keys create", "keys list", "keys revoke", "models list", "models add", "models remove",
]  # fmt: skip
HELP_S_MAX = 0.3  # seconds, as promised


@pytest.fixture
def nowhere(tmp_path: Path) -> Server:
    return Server(tmp_path / "home", free_port())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(nowhere: Server, command: str) -> None:
    shown = run(nowhere, *command.split(), "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Usage: " in shown.stdout
    if command not in ("keys", "models"):
        assert "Example: " in shown.stdout and f"tiffin {command}" in shown.stdout.replace("TIFFIN_PORT=9000 ", "")


def test_help_is_quick(nowhere: Server) -> None:
    command = [sys.executable, "-m", "tiffin.cli", "--help"]
    best = min(_seconds(command, nowhere) for _ in range(5))
    assert best <= HELP_S_MAX, f"{best:.2f} s"


def _seconds(command: list[str], where: Server) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=where.variables, capture_output=True, check=True)
    return time.perf_counter() - started


def test_a_real_process_leaves_with_the_same_codes(nowhere: Server) -> None:
    shown = nowhere.cli("search", "x", "--limit", "0", "--json")
    assert shown.returncode == 2 and json.loads(shown.stdout)["error"]["type"] == "usage"
    assert nowhere.cli("ask", "x").returncode == 1


def test_the_version_is_told(nowhere: Server) -> None:
    assert run(nowhere, "--version").stdout.startswith("tiffin 0.")


def test_looking_around_makes_no_home(nowhere: Server) -> None:
    for command in (["--help"], ["receipts"], ["verify"], ["doctor"], ["ask", "x"]):
        run(nowhere, *command)
    assert not nowhere.home.exists()


@pytest.mark.parametrize(
    "command",
    [
        ["nonsense"],
        ["ask"],
        ["ask", "x", "--nonsense"],
        ["search", "x", "--limit", "0"],
        ["search", "x", "--limit", "many"],
        ["ingest", "x"],
        ["ingest", "--collection", "c"],
        ["keys", "create", "--role", "god"],
        ["keys", "nonsense"],
        ["models", "add", "x"],
        ["receipts", "--limit", "5000"],
        ["verify", "a", "b"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_code_2_and_with_json_one_document(nowhere: Server, command: list[str]) -> None:
    plain = run(nowhere, *command)
    assert plain.returncode == 2 and "Error" in plain.stderr, plain.stderr
    shown = run(nowhere, *command, "--json")
    assert shown.returncode == 2, shown.stdout
    error = json.loads(shown.stdout)["error"]
    assert error["type"] == "usage" and error["message"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["ask", "x"], 1),
        (["search", "x"], 1),
        (["chat", "x"], 1),
        (["keys", "list"], 1),
        (["models", "list"], 1),
        (["receipts", "some-id"], 1),
        (["receipts"], 2),
        (["verify"], 2),
        (["verify", "no-such-folder"], 2),
        (["ingest", "no-such-file", "--collection", "c"], 2),
    ],
    ids=str,
)
def test_without_a_home_each_command_says_what_is_missing(nowhere: Server, command: list[str], code: int) -> None:
    shown = run(nowhere, *command, "--json")
    assert shown.returncode == code, shown.stdout + shown.stderr
    error = json.loads(shown.stdout)["error"]
    assert error["message"].endswith(".") and (error["hint"] or command[-1] == "no-such-folder")
    plain = run(nowhere, *command)
    assert plain.returncode == code and "Traceback" not in plain.stderr and plain.stdout == ""


def test_a_setting_that_makes_no_sense_is_wrong_usage(nowhere: Server) -> None:
    nowhere.environment["TIFFIN_PORT"] = "²"
    for command in (["ask", "x"], ["receipts"], ["verify"], ["keys", "list"]):
        shown = run(nowhere, *command, "--json")
        assert shown.returncode == 2 and "TIFFIN_PORT" in json.loads(shown.stdout)["error"]["message"], shown.stderr
    assert run(nowhere, "up").returncode == 2
    assert run(nowhere, "doctor").returncode == 1


def test_a_reader_that_leaves_early_is_no_failure(server: Server) -> None:
    command = f"'{sys.executable}' -m tiffin.cli keys list --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    shown = subprocess.run(["bash", "-c", command], env=server.variables, capture_output=True, text=True, timeout=30)
    assert shown.returncode == 0 and shown.stderr == ""
