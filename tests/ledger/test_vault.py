"""A sealed payload opens in its own place only, and only while every key of it is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiffin.ledger import vault
from tiffin.ledger.errors import NotVerified, PayloadErased, TooLarge
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.vault import Place, pack, seal, unseal

PLACE = Place("log.example/a", 7, b"l" * 32)
PAYLOAD = b'{"request": "how are you", "response": "very well"}' * 9


@pytest.fixture
def keys(tmp_path: Path) -> KeyRing:
    return KeyRing.open(tmp_path / "keys")


@given(st.binary(max_size=2_000), st.text(max_size=40).filter(lambda text: text.isprintable()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_payloads_survive(keys: KeyRing, payload: bytes, receipt_id: str) -> None:
    sealed = seal(pack(payload), keys.content_key(("ada",)), PLACE, receipt_id)
    assert unseal(sealed, keys, PLACE) == payload
    assert vault.read_head(sealed).receipt_id == receipt_id
    assert payload not in sealed or len(payload) < 4


def test_repetitive_payloads_shrink_and_others_do_not_grow(keys: KeyRing) -> None:
    key = keys.content_key(())
    assert len(seal(pack(PAYLOAD), key, PLACE, "r")) < len(PAYLOAD) / 2
    assert pack(b"short") == vault.Packed(b"short", 0)


def test_another_place_or_any_flipped_bit_does_not_open(keys: KeyRing) -> None:
    sealed = seal(pack(PAYLOAD), keys.content_key(("ada",)), PLACE, "receipt")
    for place in (replace(PLACE, index=8), replace(PLACE, origin="log.example/b"), replace(PLACE, leaf=b"m" * 32)):
        with pytest.raises(NotVerified):
            unseal(sealed, keys, place)
    for position in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[position] ^= 1 << position % 8
        with pytest.raises(Exception, match=r".") as caught:
            unseal(bytes(flipped), keys, PLACE)
        assert caught.type.__name__ in {"NotVerified", "KeysUnusable"}
    for length in range(len(sealed)):
        with pytest.raises(NotVerified):
            unseal(sealed[:length], keys, PLACE)


def test_any_one_key_destroyed_destroys_the_payload(keys: KeyRing) -> None:
    sealed = {
        who: seal(pack(PAYLOAD), keys.content_key(who), PLACE, "r") for who in (("ada",), ("ben",), ("ada", "ben"), ())
    }
    keys.destroy("ben")
    for who, one in sealed.items():
        if "ben" in who:
            with pytest.raises(PayloadErased):
                unseal(one, keys, PLACE)
        else:
            assert unseal(one, keys, PLACE) == PAYLOAD


def test_a_payload_over_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "PAYLOAD_BYTES_MAX", 10)
    with pytest.raises(TooLarge):
        pack(b"x" * 11)


def test_records_are_found_by_counting(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    payloads = [bytes([number]) * number for number in range(20)]
    (tmp_path / "vault/000").write_bytes(b"".join(map(vault.frame, payloads)))
    assert [vault.read_payload(tmp_path, index) for index in range(20)] == payloads
    assert vault.end_of(tmp_path, 20) == (tmp_path / "vault/000").stat().st_size
    assert vault.end_of(tmp_path, 0) == vault.end_of(tmp_path, 256) == 0
    for index in (20, 256):
        with pytest.raises(NotVerified):
            vault.read_payload(tmp_path, index)
    with pytest.raises(NotVerified):
        vault.end_of(tmp_path, 21)
