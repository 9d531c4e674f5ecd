"""API keys: shown once when they are made, only their SHA-256 kept, never deleted but revoked.

A secret has 256 random bits, so one fast hash is as good as a slow one; passwords of people will need a slow one.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from msgspec import Struct
from sqlalchemy import BigInteger, Column, Connection, Table, Text, insert, select, update

from tiffin.store.database import Database, metadata

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text),
    Column("project", Text),
    Column("role", Text),
    Column("secret_sha256", Text),
    Column("tokens_max", BigInteger),
    Column("tokens_used", BigInteger, default=0),
    Column("created_ns", BigInteger),
    Column("revoked_ns", BigInteger),
)


class Key(Struct, frozen=True):
    """A key without its secret. `tokens_max` bounds the tokens of its whole life; None is unbounded."""

    id: str
    name: str
    project: str
    role: str
    tokens_max: int | None
    tokens_used: int
    created_ns: int
    revoked_ns: int | None


_VISIBLE = [c for c in keys.c if c.name != "secret_sha256"]


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_id() -> str:
    return f"key_{secrets.token_hex(8)}"


def new_secret(key_id: str) -> str:
    """What the holder presents. The id inside lets a leaked key be found and revoked without knowing its secret."""
    return f"tfn_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"


def create(database: Database, key: Key, secret: str) -> None:
    """Durable on return."""
    row = {name: getattr(key, name) for name in key.__struct_fields__}
    with database.write() as connection:
        connection.execute(insert(keys).values(**row, secret_sha256=hashed(secret)))


def revoke(database: Database, key_id: str, now_ns: int) -> Literal["revoked", "unknown", "last"]:
    """Durable on return. "unknown": no such key is in force; "last": it is the last administrator's, and stays."""
    with database.write() as connection:
        found = {key.id: key.role for key in in_force(connection).values()}
        role = found.pop(key_id, None)
        if role is None:
            return "unknown"
        if role == "admin" and "admin" not in found.values():
            return "last"
        connection.execute(update(keys).where(keys.c.id == key_id).values(revoked_ns=now_ns))
        return "revoked"


def spend(database: Database, key_id: str, tokens: int) -> None:
    with database.write() as connection:
        used = update(keys).where(keys.c.id == key_id).values(tokens_used=keys.c.tokens_used + tokens)
        connection.execute(used)


def listed(connection: Connection) -> list[Key]:
    rows = connection.execute(select(*_VISIBLE).order_by(keys.c.created_ns, keys.c.id))
    return [Key(**row._mapping) for row in rows]


def in_force(connection: Connection) -> dict[str, Key]:
    """Keys that are not revoked, by the hash of their secret."""
    rows = connection.execute(select(keys.c.secret_sha256, *_VISIBLE).where(keys.c.revoked_ns.is_(None)))
    return {row.secret_sha256: Key(**{c.name: row._mapping[c] for c in _VISIBLE}) for row in rows}
