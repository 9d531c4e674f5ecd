"""The few Protocols that the path needs, and the World that holds one of each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from tiffin.kernel.calls import Call
from tiffin.kernel.parts import Event, Usage
from tiffin.kernel.people import Caller, Credential, Grant
from tiffin.kernel.receipt import Clock, Receipt, Target

Ask = Callable[[Call], AsyncGenerator[Event, None]]


@dataclass(frozen=True)
class Context:
    """What an executor is given: no authority of its own, only `ask`, the path bound to its grant and its receipt."""

    grant: Grant
    receipt: str
    ask: Ask
    now_ns: int


class Watch(Protocol):
    """One guard's eye on one answer. It may hold events back; it lets everything go, or raises Blocked, at Finish."""

    def feed(self, event: Event) -> tuple[Event, ...]: ...


class Guard(Protocol):
    name: str

    def check(self, call: Call, caller: Caller) -> Call:
        """The call, rewritten if need be; raises Blocked."""
        ...

    def watch(self, call: Call, caller: Caller) -> Watch: ...


@dataclass(frozen=True)
class Hold:
    """A reserved worst case: `tokens` of a key's budget. A key without a budget holds nothing (`bounded` is false)."""

    key: str
    tokens: int = 0
    bounded: bool = True


class Budget(Protocol):
    async def reserve(self, grant: Grant, call: Call) -> Hold:
        """Take the worst case out of the budget, or raise OverBudget. Runs to its end even if the caller leaves."""
        ...

    async def settle(self, hold: Hold, usage: Usage) -> None:
        """Put back what was not used. Called exactly once for every hold."""
        ...


class Journal(Protocol):
    async def intend(self, receipt: Receipt) -> None:
        """Returns when the intent is durable; raises JournalUnavailable if it cannot be."""
        ...

    async def close(self, receipt: Receipt) -> None:
        """Returns when the receipt is durable; raises JournalUnavailable if it cannot be."""
        ...


@dataclass(frozen=True)
class World:
    """Everything that the path needs from outside, wired by app.py."""

    authenticate: Callable[[Credential], Caller]
    authorise: Callable[[Caller, Call], Grant]
    guards: tuple[Guard, ...]
    budget: Budget
    route: Callable[[Grant, Call], Target]
    journal: Journal
    execute: Callable[[Target, Call, Context], AsyncGenerator[Event, None]]
    clock: Clock
