"""What each role may do, on one screen; what is not listed is denied. The rule's id goes into the receipt."""

from __future__ import annotations

import hashlib

from tiffin.kernel.calls import Call, Read, operation
from tiffin.kernel.errors import Forbidden
from tiffin.kernel.people import Caller, Grant
from tiffin.kernel.receipt import canonical

USE = frozenset({"chat", "embed", "retrieve", "ask", "read"})
ROLES: dict[str, frozenset[str]] = {
    "reader": USE,
    "member": USE | {"ingest", "remove"},
    "admin": USE | {"ingest", "remove", "administer"},
}
READ_BY_ADMINS = frozenset({"keys"})

VERSION = hashlib.sha256(
    canonical({"roles": {role: sorted(may) for role, may in ROLES.items()}, "read_by_admins": sorted(READ_BY_ADMINS)})
).hexdigest()[:16]


def authorise(caller: Caller, call: Call) -> Grant:
    """A grant for the caller's role; Forbidden if the call is not in it.

    Data is always that of the caller's project.
    """
    wanted = operation(call)
    if wanted not in ROLES[caller.role]:
        raise Forbidden(
            f"A key with the role '{caller.role}' may not {wanted}.", hint="Ask an administrator for a key that may."
        )
    if isinstance(call, Read) and call.what in READ_BY_ADMINS and caller.role != "admin":
        raise Forbidden(f"Only an administrator may list {call.what}.")
    return Grant(caller, ROLES[caller.role], rule=f"{caller.role}-may-{wanted}")
