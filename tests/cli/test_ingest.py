"""`tiffin ingest`: every file is reported, no file stops the others, and no two files become one document."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.server import Server
from tiffin.cli.ingest import readable


def rows(shown: Any) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(shown.stdout)["documents"]}


def test_a_folder_is_searched_through_and_every_file_reported(server: Server, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.md").write_text("# Curlew\n\nThe curlew calls.")
    (tmp_path / "deep" / "er" / "b.txt").write_text("The heron stands.")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (tmp_path / ".hidden").write_text("not for us")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("not for us")
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path, tmp_path / "deep" / "loop")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling")
    shown = run(server, "ingest", str(tmp_path), "-c", "cli-folder", "--json")
    assert shown.returncode == 0 and shown.stderr == ""
    found = rows(shown)
    assert {name: row["status"] for name, row in found.items()} == {
        "a.md": "ingested", "deep/er/b.txt": "ingested", "empty.txt": "refused", "broken.pdf": "refused",
    }  # fmt: skip
    assert all(row["detail"].endswith(".") for row in found.values() if row["status"] == "refused")
    again = run(server, "ingest", str(tmp_path), "-c", "cli-folder")
    assert "2 unchanged, 2 refused" in again.stdout and "= unchanged" in again.stdout


@pytest.mark.parametrize("special", ["/dev/null", "/dev/zero", "PIPE", "SOCKET"])
def test_what_is_no_file_is_refused_and_never_waited_for(server: Server, tmp_path: Path, special: str) -> None:
    if special == "PIPE":
        os.mkfifo(tmp_path / "pipe")
        special = str(tmp_path / "pipe")
    if special == "SOCKET":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / "s"))
        special = str(tmp_path / "s")
    shown = run(server, "ingest", special, "-c", "cli-special", "--json")
    (row,) = rows(shown).values()
    assert (shown.returncode, row["status"], row["reason"]) == (1, "refused", "unreadable")


def test_two_files_with_one_name_are_not_made_one_document(server: Server, tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.md").write_text(f"Notes of {folder}.")
    paths = [str(tmp_path / folder / "notes.md") for folder in ("x", "y")]
    shown = run(server, "ingest", *paths, "-c", "cli-two", "--json")
    assert shown.returncode == 2 and "notes.md" in json.loads(shown.stdout)["error"]["message"]
    assert server.call("GET", "/api/v1/collections/cli-two/documents").status == 404
    assert set(rows(run(server, "ingest", str(tmp_path), "-c", "cli-two", "--json"))) == {"x/notes.md", "y/notes.md"}


def test_names_that_are_no_text_are_made_readable(server: Server, tmp_path: Path) -> None:
    (tmp_path / "na\udcefve.txt").write_text("Some words.")
    (tmp_path / 'quo"te\n.txt').write_text("Other words.")
    shown = run(server, "ingest", str(tmp_path), "-c", "cli-names", "--json")
    found = rows(shown)
    assert found["na\ufffdve.txt"]["status"] == "ingested"
    assert found['quo"te\n.txt']["status"] == "refused" and shown.returncode == 0
    assert readable("plain ü 日本.txt") == "plain ü 日本.txt"


def test_nothing_to_ingest_and_a_path_that_is_not_there_are_wrong_usage(server: Server, tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("Some words.")
    (tmp_path / "none").mkdir()
    for paths, says in (([tmp_path / "none"], "no file"), ([tmp_path / "good.txt", tmp_path / "gone"], "gone")):
        shown = run(server, "ingest", *map(str, paths), "-c", "cli-none", "--json")
        assert shown.returncode == 2 and says in json.loads(shown.stdout)["error"]["message"]
    assert server.call("GET", "/api/v1/collections/cli-none/documents").status == 404


def test_a_collection_that_cannot_be_refuses_every_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words.")
    for name in ("😀", "x" * 129):
        shown = run(server, "ingest", str(tmp_path / "a.txt"), "-c", name, "--json")
        assert shown.returncode == 1 and rows(shown)["a.txt"]["status"] == "refused", shown.stdout
    assert run(server, "ingest", str(tmp_path / "a.txt"), "-c", "a/b", "--json").returncode == 1


def test_a_readers_key_stops_at_the_first_file(server: Server, tmp_path: Path) -> None:
    made = server.call("POST", "/api/v1/keys", {"name": "r", "role": "reader"}).json
    (tmp_path / "a.txt").write_text("Some words.")
    reader = Server(server.home, server.port, {"TIFFIN_API_KEY": made["key"]})
    shown = run(reader, "ingest", str(tmp_path), "-c", "cli-reader", "--json")
    error = json.loads(shown.stdout)
    assert shown.returncode == 1 and error["error"]["type"] == "forbidden" and error["receipt"]


def test_a_file_above_the_bound_is_refused_without_being_sent(server: Server, tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(200 << 20)
    shown = run(server, "ingest", str(tmp_path / "huge.txt"), "-c", "cli-huge", "--json")
    (row,) = rows(shown).values()
    assert (row["reason"], shown.returncode) == ("too_large", 1)
