"""From a credential to a Caller. Keys are looked up by the hash of their secret in a copy held in memory."""

from __future__ import annotations

import threading

from tiffin.kernel.errors import Unauthenticated
from tiffin.kernel.people import Caller, Credential, Delegation
from tiffin.store import keys
from tiffin.store.database import Database
from tiffin.store.keys import Key

HINT = "Send the header 'Authorization: Bearer <key>'. `tiffin keys create` makes a key; the first one is in admin.key."


class Keyring:
    """The keys in force. `reload` after each change: a revoked key stops working at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._by_hash: dict[str, Key] = {}
        self.reload()

    def reload(self) -> None:
        with self._lock, self._database.read() as connection:
            self._by_hash = keys.in_force(connection)

    def authenticate(self, credential: Credential) -> Caller:
        if isinstance(credential, Delegation):
            return credential.grant.caller
        if not credential.secret:
            raise Unauthenticated("No API key was sent.", hint=HINT)
        key = self._by_hash.get(keys.hashed(credential.secret))
        if key is None:
            raise Unauthenticated("This API key is unknown or was revoked.", hint=HINT)
        return caller(key)


def caller(key: Key) -> Caller:
    return Caller(key.id, key.name, key.project, key.role, key.tokens_max)  # type: ignore[arg-type]
