"""`tiffin verify` finds a change wherever it was made, says where, and remembers how far the ledger once went."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.kernel.fakes import ALICE
from tests.server import Server
from tiffin import home
from tiffin.config import Settings
from tiffin.kernel.calls import Chat
from tiffin.kernel.people import ApiKey
from tiffin.kernel.receipt import Receipt
from tiffin.store import receipts
from tiffin.store.database import Database


def verified(where: Server, *arguments: str) -> tuple[int, dict[str, Any]]:
    shown = run(where, "verify", *arguments, "--json")
    assert shown.stderr == "", shown.stderr
    return shown.returncode, json.loads(shown.stdout)


def test_a_ledger_that_nobody_touched_verifies_and_is_remembered(stopped: Server) -> None:
    code, report = verified(stopped)
    assert code == 0 and report["ok"] and not report["problems"]
    (log,) = report["logs"]
    assert log["entries"] >= log["size"] > 0 and log["payloads"] == log["entries"] and log["vkey"]
    (memory,) = (stopped.home / "verified").iterdir()
    assert memory.name == "main.checkpoint" and memory.read_text().startswith(log["origin"])
    plain = run(stopped, "verify")
    assert plain.returncode == 0 and "✓ The ledger verifies" in plain.stdout


def ledger_files(home: Path) -> list[Path]:
    return sorted(file for file in (home / "ledger").rglob("*") if file.is_file() and file.stat().st_size)


def test_one_flipped_bit_anywhere_is_found_and_its_place_is_said(stopped: Server, tmp_path: Path) -> None:
    chance = random.Random(2025)
    files = ledger_files(stopped.home)
    assert {"checkpoint", "log.json"} <= {file.name for file in files} and any("vault" in str(f) for f in files)
    for file in files:
        whole = file.read_bytes()
        at = chance.randrange(len(whole))
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
        code, report = verified(stopped)
        assert code == 1 and report["problems"], f"{file.relative_to(stopped.home)} byte {at}"
        assert all(problem["what"] for problem in report["problems"])
        file.write_bytes(whole)
    assert verified(stopped)[0] == 0


def test_a_tail_that_was_cut_is_noticed_because_it_is_remembered(stopped: Server, tmp_path: Path) -> None:
    ledger, saved = stopped.home / "ledger", tmp_path / "auditor"
    asyncio.run(grown(stopped.home))
    shutil.copytree(ledger, tmp_path / "older")
    asyncio.run(grown(stopped.home))
    assert verified(stopped, "--save-checkpoint", str(saved))[0] == 0
    size = (ledger / "main/checkpoint").read_text().split("\n")[1]
    shutil.rmtree(ledger)
    shutil.copytree(tmp_path / "older", ledger)
    code, report = verified(stopped)
    assert code == 1 and any("tail was cut" in p["what"] and size in p["what"] for p in report["problems"]), report
    shutil.rmtree(stopped.home / "verified")
    assert verified(stopped)[0] == 0, "whoever cuts the memory too"
    shutil.rmtree(stopped.home / "verified")
    code, report = verified(stopped, "--checkpoint", str(saved / "main.checkpoint"))
    assert code == 1 and "tail was cut" in str(report), "is noticed by a checkpoint that was kept elsewhere"


async def grown(place: Path) -> None:
    """One more entry in the ledger of a stopped home."""
    log = home.open_log(Settings(place))
    receipt = Receipt(Chat("m", ()), ALICE, ApiKey("k"), 1_764_000_000_000_000_000)
    await log.close(receipt.id, receipt.entry({}), receipt.payload(), ("project:default",))
    await log.aclose()


def test_an_index_that_was_emptied_is_no_concern_of_the_ledger(stopped: Server) -> None:
    before = json.loads(run(stopped, "receipts", "--all", "--json").stdout)
    database = Database.open(stopped.home / "tiffin.db")
    with database.write() as connection:
        connection.execute(receipts.receipts.delete())
    database.close()
    assert verified(stopped)[0] == 0
    assert json.loads(run(stopped, "receipts", "--all", "--json").stdout) == before


@pytest.mark.parametrize("text", ["", "nonsense", "\udcff", "a\n1\nb\n"])
def test_a_checkpoint_that_is_none_is_said(stopped: Server, tmp_path: Path, text: str) -> None:
    (tmp_path / "c").write_bytes(text.encode("utf-8", "surrogateescape"))
    shown = run(stopped, "verify", "--checkpoint", str(tmp_path / "c"), "--json")
    assert shown.returncode in (1, 2) and "checkpoint" in shown.stdout
    assert run(stopped, "verify", "--checkpoint", str(tmp_path / "none"), "--json").returncode == 2


def test_a_copy_without_keys_is_verified_as_far_as_it_goes(stopped: Server) -> None:
    shutil.rmtree(stopped.home / "keys")
    code, report = verified(stopped)
    assert code == 0 and report["logs"][0]["payloads"] == 0


def test_other_keys_are_noticed(stopped: Server) -> None:
    (stopped.home / "keys" / "master.key").write_bytes(b"x" * 32)
    shown = run(stopped, "verify", "--json")
    assert shown.returncode in (1, 3) and json.loads(shown.stdout), shown.stdout


def test_a_folder_to_save_in_that_is_a_file_is_said(stopped: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shown = run(stopped, "verify", "--save-checkpoint", str(tmp_path / "file"), "--json")
    assert shown.returncode == 3 and "Traceback" not in shown.stderr


def test_a_running_servers_ledger_verifies_too(server: Server) -> None:
    server.add("cli-verify", a="Some words.")
    assert verified(server)[0] == 0
