"""The locks belong to pyproject.toml, and what a lock must not contain is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools import lock


@pytest.mark.parametrize("one", lock.LOCKS, ids=lambda one: one.file)
def test_the_locks_of_this_checkout_hold(one: lock.Lock) -> None:
    assert list(lock.problems(one)) == []


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lock.Lock:
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(lock.ROOT / name, tmp_path / name)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    return lock.LOCKS[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("numpy==", "numpy>=", "not an exact public version"),
        ("onnx==1", "onnx==1+cpu", "not an exact public version"),
        ("--hash=sha256:", "--hash=md5:", "not a SHA-256"),
        ("# Made by", "--index-url https://example.org/simple\n# Made by", "names an address"),
        ("# wishes sha256:", "# wishes sha256:0", "is older than pyproject.toml"),
    ],
)
def test_a_spoiled_lock_is_found(runtime: lock.Lock, old: str, new: str, said: str) -> None:
    text = runtime.path.read_text("utf-8")
    assert old in text
    runtime.path.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert any(said in problem for problem in lock.problems(runtime))


def test_a_missing_and_an_empty_lock_are_found(runtime: lock.Lock) -> None:
    runtime.path.write_text(f"# wishes sha256:{runtime.digest()}\n", encoding="utf-8")
    assert list(lock.problems(runtime)) == ["requirements.lock: 0 packages, 0 hashes"]
    runtime.path.unlink()
    assert list(lock.problems(runtime)) == ["requirements.lock is missing: run `make lock`"]
