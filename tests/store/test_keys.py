"""Keys in the database: only hashes, never deleted, and the last administrator's key stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tiffin.store import keys
from tiffin.store.database import Database
from tiffin.store.keys import Key


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "tiffin.db")
    yield database
    database.close()


def made(database: Database, role: str = "member", **fields: object) -> tuple[Key, str]:
    key = Key(
        **{
            "id": keys.new_id(),
            "name": "n",
            "project": "p",
            "role": role,
            "tokens_max": None,
            "tokens_used": 0,
            "created_ns": 1,
            "revoked_ns": None,
        }
        | fields
    )  # type: ignore[arg-type]
    secret = keys.new_secret(key.id)
    keys.create(database, key, secret)
    return key, secret


def in_force(database: Database) -> dict[str, Key]:
    with database.read() as connection:
        return keys.in_force(connection)


def test_a_key_is_found_by_the_hash_of_its_secret_only(database: Database, tmp_path: Path) -> None:
    key, secret = made(database)
    assert in_force(database) == {hashlib.sha256(secret.encode()).hexdigest(): key}
    assert "secret_sha256" not in Key.__struct_fields__
    assert not any(secret.encode() in file.read_bytes() for file in tmp_path.iterdir())


def test_secrets_are_long_random_and_name_their_key() -> None:
    ids = {keys.new_id() for _ in range(100)}
    secrets = {keys.new_secret(one) for one in ids}
    assert len(ids) == len(secrets) == 100 and all(len(secret) >= 60 for secret in secrets)
    assert keys.new_secret("key_0123").startswith("tfn_0123_")


def test_a_revoked_key_is_kept_and_works_no_more(database: Database) -> None:
    made(database, "admin")
    key, _ = made(database)
    assert [keys.revoke(database, key.id, 5), keys.revoke(database, key.id, 6)] == ["revoked", "unknown"]
    assert keys.revoke(database, "key_nobody", 5) == "unknown"
    assert [one.role for one in in_force(database).values()] == ["admin"]
    with database.read() as connection:
        assert {one.id: one.revoked_ns for one in keys.listed(connection)}[key.id] == 5


def test_the_last_administrator_stays_however_many_are_revoked_at_once(database: Database) -> None:
    admins = [made(database, "admin")[0] for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda key: keys.revoke(database, key.id, 5), admins))
    assert sorted(outcomes) == ["last"] + ["revoked"] * 7
    assert len(in_force(database)) == 1


def test_spending_adds_up_under_concurrency(database: Database) -> None:
    key, _ = made(database)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: keys.spend(database, key.id, 3), range(50)))
    with database.read() as connection:
        assert keys.listed(connection)[0].tokens_used == 150
