"""Settings come from the environment, and one that makes no sense is said to be wrong by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiffin.config import BadSetting, Settings, console_files, default_home, settings


def test_without_any_setting_there_are_defaults() -> None:
    found = settings({})
    assert (found.port, found.host, found.home, found.database_url) == (8420, "127.0.0.1", default_home(), "")
    assert settings({"TIFFIN_HOME": "", "TIFFIN_PORT": "", "TIFFIN_HOST": ""}) == found, (
        "empty is unset, as in compose files"
    )


def test_a_home_is_absolute_wherever_one_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings({"TIFFIN_HOME": "here"}).home == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings({"TIFFIN_HOME": "~/there"}).home == tmp_path / "there"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "80 ", "²", "٣", "1" * 5_000, "8420.0", "0x50"])
def test_a_port_that_is_none_is_said(port: str) -> None:
    with pytest.raises(BadSetting, match="TIFFIN_PORT"):
        settings({"TIFFIN_PORT": port})


def test_everything_that_is_kept_is_kept_in_the_home(tmp_path: Path) -> None:
    where = Settings(tmp_path)
    for place in (where.admin_key, where.database, where.ledger, where.keys, where.models, where.logs, where.spool):
        assert Path(place).is_relative_to(tmp_path)
    assert Settings(tmp_path, database_url="sqlite:///x.db").database == "sqlite:///x.db"


def test_an_address_of_the_newer_kind_is_written_as_urls_want_it(tmp_path: Path) -> None:
    assert Settings(tmp_path, host="::1").url == "http://[::1]:8420"
    assert Settings(tmp_path).url == "http://127.0.0.1:8420"


def test_the_logs_name_is_empty_before_the_first_start(tmp_path: Path) -> None:
    assert Settings(tmp_path / "none").origin == ""
    (tmp_path / "origin").write_text("tiffin/1/main\n")
    assert Settings(tmp_path).origin == "tiffin/1/main"


def test_the_console_is_found_only_where_it_is_built() -> None:
    found = console_files()
    assert found is None or (found / "index.html").is_file()
