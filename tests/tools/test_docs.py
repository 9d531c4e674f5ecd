"""A link that leads nowhere is found, and the index of decisions names every record."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import docs


def test_a_dead_link_is_found_and_code_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(("git", "init", "--quiet", tmp_path), check=True)
    (tmp_path / "there.md").touch()
    (tmp_path / "page.md").write_text(
        "[good](there.md#part) [bad](gone.md) [out](https://example.org) [here](#part) `[code](x.md)`\n"
        "```\n[block](y.md)\n```\n"
    )
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    assert list(docs.dead_links()) == ["page.md: the link gone.md leads nowhere"]


def test_every_decision_is_in_the_index() -> None:
    index = docs.decisions()
    records = sorted(docs.DECISIONS.glob("[0-9]*.md"))
    assert records
    assert [f"]({path.name})" in index for path in records] == [True] * len(records)
