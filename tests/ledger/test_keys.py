"""The key ring: a wrong master is noticed, a destroyed key is gone everywhere, and a half-made change is harmless."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import pytest

from tests.ledger.home import NAME, ORIGIN
from tiffin.ledger.disk import FailingDisk, Fault
from tiffin.ledger.errors import KeysUnusable, PayloadErased, TooLarge
from tiffin.ledger.keys import KeyRing


def test_keys_are_the_same_again_and_in_private_files(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    content = ring.content_key(("ada", "ben"))
    signer = ring.new_signer(NAME, ORIGIN)
    ring.confirm_signer(NAME)
    again = KeyRing.open(tmp_path / "keys")
    assert again.content_key(("ben", "ada", "ada", "")) == content == again.opening_key(content.ids)
    assert again.signer(NAME, ORIGIN).verifier == signer.verifier and again.logs() == [NAME]
    assert again.content_key(()) != again.content_key(("ada",)) != content
    for path in (tmp_path / "keys").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    ring.content_key(("someone@example.org",))
    for path in (tmp_path / "keys").rglob("*"):
        assert b"someone" not in path.name.encode() + (path.read_bytes() if path.is_file() else b"")


def test_a_wrong_or_missing_master_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "keys"
    KeyRing.open(folder).content_key(("ada",))
    with pytest.raises(KeysUnusable, match="not the one"):
        KeyRing.open(folder, master=b"x" * 32)
    with pytest.raises(KeysUnusable, match="not 32"):
        KeyRing.open(folder, master=b"short")
    master = (folder / "master.key").read_bytes()
    (folder / "master.key").unlink()
    with pytest.raises(KeysUnusable, match=r"master\.key is missing"):
        KeyRing.open(folder)
    monkeypatch.setenv("TIFFIN_MASTER_KEY", base64.b64encode(master).decode())
    KeyRing.open(folder)
    monkeypatch.setenv("TIFFIN_MASTER_KEY", "not base64!")
    with pytest.raises(KeysUnusable, match="not base64"):
        KeyRing.open(folder)
    (folder / "check").unlink()
    with pytest.raises(KeysUnusable, match="check file"):
        KeyRing.open(folder, master=master)


def test_a_master_from_outside_is_never_written(tmp_path: Path) -> None:
    KeyRing.open(tmp_path / "keys", master=b"m" * 32).content_key(("ada",))
    assert not (tmp_path / "keys/master.key").exists()
    assert all(b"m" * 32 not in path.read_bytes() for path in (tmp_path / "keys").rglob("*") if path.is_file())


def test_destroying_is_for_good_and_for_every_process(tmp_path: Path) -> None:
    ring, other = KeyRing.open(tmp_path / "keys"), KeyRing.open(tmp_path / "keys")
    both = ring.content_key(("ada", "ben"))
    alone = ring.content_key(("ada",))
    assert other.opening_key(both.ids) == both and other.content_key(("ben",))
    assert ring.destroy("ben") in both.ids
    for one in (ring, other, KeyRing.open(tmp_path / "keys")):
        with pytest.raises(PayloadErased):
            one.opening_key(both.ids)
        assert one.opening_key(alone.ids) == alone
    assert other.cached_content_key(("ben",)) is None
    anew = other.content_key(("ben",))
    assert set(anew.ids).isdisjoint(both.ids) and ring.content_key(("ben",)) == anew
    assert ring.destroy("nobody ever named") is None
    with pytest.raises(ValueError, match="nobody"):
        ring.destroy("")


@pytest.mark.parametrize("operation", ["create", "write", "sync", "rename", "remove", "sync_folder", "make_folder"])
def test_an_interrupted_change_is_harmless(tmp_path: Path, operation: str) -> None:
    """A person's key is usable or gone; what was sealed under it before is readable or erased; nothing in between."""
    for after in range(12):
        folder = tmp_path / f"{after}"
        before = KeyRing.open(folder).content_key(("ada",))
        disk = FailingDisk(faults={operation: Fault(errno.EIO, after)})
        try:
            ring = KeyRing.open(folder, disk=disk)
            ring.destroy("ada")
            ring.content_key(("ben",))
        except OSError:
            assert disk.fired
        ring = KeyRing.open(folder)
        key = ring.content_key(("ada",))
        try:
            assert ring.opening_key(before.ids) == before == key
        except PayloadErased:
            assert key != before
            assert ring.opening_key(key.ids) == key
            assert not any(path.name == before.ids[0].hex() for path in (folder / "subjects").glob("??/*"))
        ben = ring.content_key(("ben",))
        assert KeyRing.open(folder).content_key(("ben",)) == ben


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    content = ring.content_key(("ada",))
    (path,) = (tmp_path / "keys/subjects").glob("??/*")
    path.write_bytes(os.urandom(60))
    with pytest.raises(KeysUnusable, match=path.name):
        KeyRing.open(tmp_path / "keys").opening_key(content.ids)


def test_a_logs_key_signs_one_history(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    with pytest.raises(KeysUnusable, match="missing"):
        ring.signer(NAME, ORIGIN)
    assert ring.new_signer(NAME, ORIGIN).verifier == ring.new_signer(NAME, ORIGIN).verifier
    ring.confirm_signer(NAME)
    ring.confirm_signer(NAME)
    with pytest.raises(KeysUnusable, match="had entries"):
        ring.new_signer(NAME, ORIGIN)
    for name in ("", "Upper", "../x", "a" * 65, ".x"):
        with pytest.raises(ValueError, match="cannot name a log"):
            ring.signer(name, ORIGIN)


def test_more_people_than_fit_are_refused(tmp_path: Path) -> None:
    ring = KeyRing.open(tmp_path / "keys")
    with pytest.raises(TooLarge, match="at most 1000"):
        ring.content_key([str(number) for number in range(1_001)])
