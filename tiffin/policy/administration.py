"""Executes the making, revoking and listing of API keys."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path

from tiffin.kernel.calls import Administer, Read
from tiffin.kernel.errors import Conflict, NotFound
from tiffin.kernel.parts import Event, Finish, Row
from tiffin.kernel.ports import Context
from tiffin.kernel.receipt import Clock, utc
from tiffin.policy.authentication import Keyring
from tiffin.store import keys
from tiffin.store.database import Database
from tiffin.store.keys import Key


class Keys:
    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    async def administer(self, call: Administer, context: Context) -> AsyncGenerator[Event, None]:
        if call.action == "create_key":
            key, secret = self._new(call)
            await asyncio.to_thread(keys.create, self._database, key, secret)
            await asyncio.to_thread(self._keyring.reload)
            yield Row({"id": key.id, "key": secret, "name": key.name, "project": key.project, "role": key.role})
        else:
            done = await asyncio.to_thread(keys.revoke, self._database, call.target, self._clock())
            if done == "unknown":
                raise NotFound(f"No key '{call.target}' is in force.", hint="`tiffin keys list` shows the keys.")
            if done == "last":
                raise Conflict(
                    "This is the last administrator's key; without it nobody could make another.",
                    hint="Make a new one first: `tiffin keys create --role admin`.",
                )
            await asyncio.to_thread(self._keyring.reload)
            yield Row({"id": call.target, "revoked": True})
        yield Finish()

    async def read(self, call: Read, context: Context) -> AsyncGenerator[Event, None]:
        for key in await asyncio.to_thread(self._listed):
            yield Row(
                {
                    "id": key.id,
                    "name": key.name,
                    "project": key.project,
                    "role": key.role,
                    "tokens_max": key.tokens_max,
                    "tokens_used": key.tokens_used,
                    "created": utc(key.created_ns),
                    "revoked": utc(key.revoked_ns) if key.revoked_ns else None,
                }
            )
        yield Finish()

    def _listed(self) -> list[Key]:
        with self._database.read() as connection:
            return keys.listed(connection)

    def _new(self, call: Administer) -> tuple[Key, str]:
        wanted = call.settings
        bound = wanted.get("tokens_max")
        key = Key(
            id=keys.new_id(),
            name=call.target,
            project=str(wanted.get("project", "default")),
            role=str(wanted.get("role", "member")),
            tokens_max=bound if isinstance(bound, int) else None,
            tokens_used=0,
            created_ns=self._clock(),
            revoked_ns=None,
        )
        return key, keys.new_secret(key.id)


def first_administrator(database: Database, file: Path, clock: Clock) -> bool:
    """Makes the first administrator's key in a home without keys, and writes it to `file` (mode 600). Whether it did.

    The file is written before the key is in force, so that no crash leaves a home whose only key nobody knows.
    """
    with database.read() as connection:
        if keys.listed(connection):
            return False
    key = Key(keys.new_id(), "first administrator", "default", "admin", None, 0, clock(), None)
    secret = keys.new_secret(key.id)
    _write_durably(file, secret + "\n")
    keys.create(database, key, secret)
    return True


def _write_durably(file: Path, text: str) -> None:
    aside = file.with_suffix(f".{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    aside.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
