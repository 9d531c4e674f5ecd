"""Receipts out of the home folder itself, and only when no server holds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Killed
from tests.server import Server
from tiffin.cli import stopped as reading
from tiffin.cli.show import NO, USAGE, Failure
from tiffin.config import Settings
from tiffin.kernel.errors import Conflict
from tiffin.ledger.proof import verify_proof


def test_a_receipt_is_read_with_its_proof(stopped: Server, killed: Killed) -> None:
    for receipt_id in killed.receipts:
        found = reading.receipt(Settings(stopped.home), receipt_id)
        assert found.shown["id"] == receipt_id and found.shown["outcome"] == "completed"
        assert verify_proof(found.proof, found.entry.encode(), found.vkey).size > found.shown["index"]
    with pytest.raises(Failure) as raised:
        reading.receipt(Settings(stopped.home), "nothing")
    assert raised.value.code == NO


def test_a_home_that_a_server_holds_is_left_alone(server: Server) -> None:
    with pytest.raises(Conflict):
        reading.receipt(Settings(server.home), "any")
    reading.index(Settings(server.home))
    assert server.is_ready()


def test_no_home_is_made(tmp_path: Path) -> None:
    with pytest.raises(Failure) as raised:
        reading.receipt(Settings(tmp_path / "none"), "any")
    assert raised.value.code == USAGE
    reading.index(Settings(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_damaged_ledger_is_said_to_be(stopped: Server) -> None:
    (stopped.home / "ledger/main/log.json").write_text("{}")
    with pytest.raises(Failure, match="ledger cannot be opened") as raised:
        reading.receipt(Settings(stopped.home), "any")
    assert "tiffin verify" in raised.value.hint
