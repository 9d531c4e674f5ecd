"""Folders aside: removed in the end, and swept when their process died."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiffin.providers.engines.staging import file_sha256, staging


def test_the_folder_goes_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyError), staging(tmp_path / "store") as aside:
        (aside / "half").write_bytes(b"x")
        raise KeyError
    assert list((tmp_path / "store").iterdir()) == []


def test_only_folders_of_dead_processes_are_swept(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    abandoned = tmp_path / f".aside-{dead.stdout.strip()}-abc"
    abandoned.mkdir()
    (tmp_path / ".aside-of-nobody").mkdir()
    working = tmp_path / f".aside-{os.getppid()}-abc"
    working.mkdir()
    with staging(tmp_path) as aside:
        assert sorted(tmp_path.iterdir()) == sorted([aside, tmp_path / ".aside-of-nobody", working])


def test_hashing_tells_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 2_500_000)
    told: list[tuple[int, int]] = []
    digest = file_sha256(path, lambda done, total: told.append((done, total)))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told[-1] == (2_500_000, 2_500_000)
    assert len(told) == 3
