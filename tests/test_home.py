"""The home's own small file, and the port."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tiffin import home
from tiffin.config import settings
from tiffin.kernel.errors import Conflict


async def test_a_lost_origin_is_taken_from_the_log(tmp_path: Path) -> None:
    where = settings({"TIFFIN_HOME": str(tmp_path / "home")})
    home.make(where)
    log = home.open_log(where)
    await log.aclose()
    (where.home / "origin").unlink()
    again = home.open_log(where)
    await again.aclose()
    assert again.origin == log.origin


def test_a_taken_port_and_a_foreign_address_are_told_apart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(Conflict, match="taken"):
            home.listen(settings({"TIFFIN_HOME": str(tmp_path), "TIFFIN_PORT": port}))
    with pytest.raises(Conflict, match="cannot listen on 203"):
        home.listen(settings({"TIFFIN_HOME": str(tmp_path), "TIFFIN_PORT": port, "TIFFIN_HOST": "203.0.113.7"}))


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert settings({"TIFFIN_HOST": "::1", "TIFFIN_PORT": "9000"}).url == "http://[::1]:9000"


async def test_a_ledger_without_its_database_is_no_fresh_home(tmp_path: Path) -> None:
    where = settings({"TIFFIN_HOME": str(tmp_path / "home")})
    home.make(where)
    log = home.open_log(where)
    try:
        home.check_whole(where, log)  # nothing has happened here yet
        await log.close("r1", b"{}", b"{}", ())
        with pytest.raises(Conflict, match=r"tiffin\.db is missing, and the ledger beside it holds 1 records"):
            home.check_whole(where, log)
        (where.home / "tiffin.db").touch()
        home.check_whole(where, log)
    finally:
        await log.aclose()
