"""Who asks (Caller), with what proof (Credential), and what they may do (Grant). A Grant can only be narrowed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

CallerRole = Literal["admin", "member", "reader"]


@dataclass(frozen=True)
class Caller:
    """One person or service, by the key it used. `id` is the key's public id; names stay out of the ledger."""

    id: str
    name: str
    project: str
    role: CallerRole
    tokens_max: int | None = None  # lifetime token budget of the key; None is unbounded


@dataclass(frozen=True)
class Grant:
    """What one call may do. None means "any"; sets list the only ones allowed."""

    caller: Caller
    operations: frozenset[str]
    models: frozenset[str] | None = None
    collections: frozenset[str] | None = None
    rule: str = ""  # id of the access rule that allowed it, for the receipt
    depth: int = 0  # how many calls this one is inside of

    def narrow(
        self,
        *,
        operations: frozenset[str] | None = None,
        models: frozenset[str] | None = None,
        collections: frozenset[str] | None = None,
    ) -> Grant:
        """A grant that allows nothing which this one does not."""
        return replace(
            self,
            operations=self.operations if operations is None else self.operations & operations,
            models=_meet(self.models, models),
            collections=_meet(self.collections, collections),
        )

    def within(self, outer: Grant) -> Grant:
        """This grant inside `outer`, one level deeper."""
        inner = self.narrow(
            operations=outer.operations,
            models=outer.models,
            collections=outer.collections,
        )
        return replace(inner, depth=outer.depth + 1)


def _meet(mine: frozenset[str] | None, theirs: frozenset[str] | None) -> frozenset[str] | None:
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    return mine & theirs


@dataclass(frozen=True)
class ApiKey:
    """What a stranger presents, and whom the call is about. `secret` is never logged: its repr hides it."""

    secret: str
    subjects: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "ApiKey(…)"


@dataclass(frozen=True)
class Delegation:
    """What a call made inside another call presents: its parent's grant and receipt. Only the path makes one."""

    grant: Grant
    parent: str
    subjects: tuple[str, ...] = ()


Credential = ApiKey | Delegation
