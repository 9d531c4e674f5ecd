"""Fakes of the kernel's ports, with failure switches. They count what matters: receipts, holds, closed upstreams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from tiffin.kernel.calls import Call, operation
from tiffin.kernel.errors import Blocked, JournalUnavailable, OverBudget, Unauthenticated
from tiffin.kernel.parts import Event, Finish, TextDelta, Usage, UsageSeen
from tiffin.kernel.people import ApiKey, Caller, Credential, Delegation, Grant
from tiffin.kernel.ports import Context, Hold, World
from tiffin.kernel.receipt import Receipt, Target

ALICE = Caller("key_alice", "Alice", "default", "admin")
EVERYTHING = frozenset({"chat", "embed", "retrieve", "ask", "ingest", "remove", "read", "administer"})


@dataclass
class FakeJournal:
    intents: list[str] = field(default_factory=list)
    closed: list[Receipt] = field(default_factory=list)
    intend_fails: bool = False
    close_fails: bool = False
    close_delay_s: float = 0.0

    async def intend(self, receipt: Receipt) -> None:
        await asyncio.sleep(0)
        if self.intend_fails:
            raise JournalUnavailable("The disk is full.")
        self.intents.append(receipt.id)

    async def close(self, receipt: Receipt) -> None:
        await asyncio.sleep(self.close_delay_s)
        if self.close_fails:
            raise JournalUnavailable("The disk is full.")
        self.closed.append(receipt)


@dataclass
class FakeBudget:
    held: list[Hold] = field(default_factory=list)
    settled: list[tuple[Hold, Usage]] = field(default_factory=list)
    refuses: bool = False
    delay_s: float = 0.0

    async def reserve(self, grant: Grant, call: Call) -> Hold:
        hold = Hold(grant.caller.id, 100)
        if self.refuses:
            raise OverBudget("The key has used its tokens.")
        self.held.append(hold)
        await asyncio.sleep(self.delay_s)  # taken already, not yet returned: the hard moment for a cancellation
        return hold

    async def settle(self, hold: Hold, usage: Usage) -> None:
        await asyncio.sleep(0)
        self.settled.append((hold, usage))


@dataclass
class FakeGuard:
    """Blocks input holding `bad_input` and output holding `bad_output`; holds text back until Finish."""

    name: str = "fake-guard"
    bad_input: str = "\0"
    bad_output: str = "\0"

    def check(self, call: Call, caller: Caller) -> Call:
        if self.bad_input in str(call):
            raise Blocked("The input is not allowed.")
        return call

    def watch(self, call: Call, caller: Caller) -> FakeGuard:
        self._held: list[Event] = []
        return self

    def feed(self, event: Event) -> tuple[Event, ...]:
        if isinstance(event, TextDelta):
            if self.bad_output in event.text:
                raise Blocked("The answer is not allowed.")
            self._held.append(event)
            return ()
        if isinstance(event, Finish):
            return (*self._held, event)
        return (event,)


@dataclass
class Upstream:
    """An executor that yields what it is told, and remembers whether it was closed."""

    events: tuple[Event | Exception, ...] = (TextDelta("hello "), TextDelta("world"), UsageSeen(Usage(3, 2)), Finish())
    delay_s: float = 0.0
    started: int = 0
    closed: int = 0

    async def __call__(self, target: Target, call: Call, context: Context) -> AsyncGenerator[Event, None]:
        self.started += 1
        try:
            for event in self.events:
                await asyncio.sleep(self.delay_s)
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed += 1


def authenticate(credential: Credential) -> Caller:
    match credential:
        case Delegation(grant=grant):
            return grant.caller
        case ApiKey(secret="good"):
            return ALICE
        case _:
            raise Unauthenticated("This key is unknown.")


def allow(caller: Caller, call: Call) -> Grant:
    return Grant(caller, EVERYTHING, rule="fake-allow")


def local(grant: Grant, call: Call) -> Target:
    return Target(model=getattr(call, "model", None), provider="fake")


def ticking() -> Callable[[], int]:
    now = iter(range(1_700_000_000_000_000_000, 1_800_000_000_000_000_000, 1_000_000))
    return lambda: next(now)


def world(**changes: object) -> World:
    parts: dict[str, object] = {
        "authenticate": authenticate,
        "authorise": allow,
        "guards": (),
        "budget": FakeBudget(),
        "route": local,
        "journal": FakeJournal(),
        "execute": Upstream(),
        "clock": ticking(),
    }
    return World(**(parts | changes))  # type: ignore[arg-type]


__all__ = ["ALICE", "FakeBudget", "FakeGuard", "FakeJournal", "Upstream", "allow", "operation", "world"]
