"""Keys are made, listed and revoked; the platform is never left without an administrator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kernel.fakes import ALICE, EVERYTHING
from tiffin.kernel.calls import Administer, Read
from tiffin.kernel.errors import Conflict, NotFound
from tiffin.kernel.parts import Row
from tiffin.kernel.people import ApiKey, Grant
from tiffin.kernel.ports import Context
from tiffin.policy.administration import Keys, first_administrator
from tiffin.policy.authentication import Keyring
from tiffin.store.database import Database

CONTEXT = Context(Grant(ALICE, EVERYTHING), "r", lambda call: None, 0)  # type: ignore[arg-type,return-value]


async def asked(keys: Keys, action: str, target: str, **settings: object) -> dict[str, object]:
    call = Administer(action, target, settings)  # type: ignore[arg-type]
    return next(e.value for e in [e async for e in keys.administer(call, CONTEXT)] if isinstance(e, Row))


async def test_the_last_administrator_cannot_lock_everybody_out(database: Database) -> None:
    keyring = Keyring(database)
    keys = Keys(database, keyring, lambda: 1)
    first = await asked(keys, "create_key", "first", role="admin")
    member = await asked(keys, "create_key", "member", role="member")
    with pytest.raises(Conflict, match="last administrator") as raised:
        await asked(keys, "revoke_key", str(first["id"]))
    assert "tiffin keys create" in raised.value.hint
    assert keyring.authenticate(ApiKey(str(first["key"]))).role == "admin"
    await asked(keys, "revoke_key", str(member["id"]))
    second = await asked(keys, "create_key", "second", role="admin")
    outcomes = await asyncio.gather(
        *(asked(keys, "revoke_key", str(key["id"])) for key in (first, second)), return_exceptions=True
    )
    assert sorted(type(outcome) for outcome in outcomes if isinstance(outcome, Exception)) == [Conflict]


async def test_a_key_that_is_not_there_is_said(database: Database) -> None:
    for target in ("key_nobody", "", "' OR 1=1"):
        with pytest.raises(NotFound):
            await asked(Keys(database, Keyring(database), lambda: 1), "revoke_key", target)


async def test_no_list_shows_a_secret(database: Database) -> None:
    keys = Keys(database, Keyring(database), lambda: 1)
    made = await asked(keys, "create_key", "k", project="p", role="reader", tokens_max=5)
    rows = [e.value async for e in keys.read(Read("keys"), CONTEXT) if isinstance(e, Row)]
    assert str(made["key"]) not in str(rows)
    assert rows[0] == {
        "id": made["id"], "name": "k", "project": "p", "role": "reader", "tokens_max": 5, "tokens_used": 0,
        "created": "1970-01-01T00:00:00.000000Z", "revoked": None,
    }  # fmt: skip


def test_the_key_file_is_on_disk_before_the_key_is_in_force(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiffin.store import keys

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keys, "create", crash)
    with pytest.raises(KeyboardInterrupt):
        first_administrator(database, tmp_path / "admin.key", lambda: 1)
    monkeypatch.undo()
    assert first_administrator(database, tmp_path / "admin.key", lambda: 1)
    secret = (tmp_path / "admin.key").read_text().strip()
    assert Keyring(database).authenticate(ApiKey(secret)).role == "admin"
    assert sorted(file.name for file in tmp_path.glob("admin*")) == ["admin.key"]
