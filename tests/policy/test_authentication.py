"""Keys work while they are in force, and nothing of them can be read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kernel.fakes import ALICE, EVERYTHING
from tiffin.kernel.calls import Administer, Call, Read
from tiffin.kernel.errors import NotFound, Unauthenticated
from tiffin.kernel.parts import Event, Row
from tiffin.kernel.people import ApiKey, Delegation, Grant
from tiffin.kernel.ports import Context
from tiffin.policy.administration import Keys, first_administrator
from tiffin.policy.authentication import Keyring
from tiffin.store.database import Database


def clock() -> int:
    return 1_700_000_000_000_000_000


def nothing_inside(call: Call):  # an executor of keys makes no calls
    raise AssertionError(call)


CONTEXT = Context(Grant(ALICE, EVERYTHING), "receipt", nothing_inside, clock())


async def answered(events) -> list[Event]:
    return [event async for event in events]


async def created(keys: Keys, **settings: str | int) -> dict[str, object]:
    events = await answered(keys.administer(Administer("create_key", "Ada", settings), CONTEXT))
    return next(e.value for e in events if isinstance(e, Row))


async def test_a_key_is_made_used_listed_and_revoked(database: Database) -> None:
    keyring = Keyring(database)
    keys = Keys(database, keyring, clock)
    made = await created(keys, project="trials", role="reader", tokens_max=100)
    caller = keyring.authenticate(ApiKey(str(made["key"])))
    assert (caller.id, caller.project, caller.role, caller.tokens_max) == (made["id"], "trials", "reader", 100)
    (listed,) = [e.value for e in await answered(keys.read(Read("keys"), CONTEXT)) if isinstance(e, Row)]
    assert listed["id"] == made["id"] and listed["revoked"] is None
    assert str(made["key"]) not in str(listed)
    await answered(keys.administer(Administer("revoke_key", str(made["id"])), CONTEXT))
    with pytest.raises(Unauthenticated):
        keyring.authenticate(ApiKey(str(made["key"])))
    with pytest.raises(NotFound):
        await answered(keys.administer(Administer("revoke_key", str(made["id"])), CONTEXT))


async def test_only_the_hash_of_a_key_is_on_disk(database: Database, tmp_path: Path) -> None:
    made = await created(Keys(database, Keyring(database), clock))
    secret = str(made["key"]).rsplit("_", 1)[1].encode()
    for file in tmp_path.iterdir():
        assert secret not in file.read_bytes()


@pytest.mark.parametrize("secret", ["", "nonsense", "tfn_0123_" + "x" * 40, "\0", "é" * 1000])
def test_strangers_are_told_how_to_get_a_key(database: Database, secret: str) -> None:
    with pytest.raises(Unauthenticated) as raised:
        Keyring(database).authenticate(ApiKey(secret))
    assert "tiffin keys create" in raised.value.hint


def test_a_call_inside_a_call_is_its_parents_caller(database: Database) -> None:
    assert Keyring(database).authenticate(Delegation(Grant(ALICE, EVERYTHING), "parent")) is ALICE


def test_the_first_administrator_is_made_once_and_in_private(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "admin.key"
    assert first_administrator(database, file, clock) is True
    assert file.stat().st_mode & 0o777 == 0o600
    secret = file.read_text().strip()
    assert Keyring(database).authenticate(ApiKey(secret)).role == "admin"
    assert first_administrator(database, file, clock) is False
    assert file.read_text().strip() == secret


def test_a_key_shows_itself_in_no_repr() -> None:
    assert "hush" not in repr(ApiKey("hush"))
