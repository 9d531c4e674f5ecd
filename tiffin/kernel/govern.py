"""The one path of every call. Stages are statements, because their order is the security property.

Every way out of it leaves exactly one receipt, settles every hold once and closes the upstream. Callers iterate it
inside `contextlib.aclosing`, so that a client who leaves closes the call at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing

from tiffin.kernel import limits
from tiffin.kernel.calls import Call, Malformed, collection_of, operation, pinned
from tiffin.kernel.errors import (
    Blocked,
    Bug,
    CallerError,
    Forbidden,
    Invalid,
    JournalUnavailable,
    TiffinError,
    Truncated,
)
from tiffin.kernel.parts import Event, Finish, Opened, Usage
from tiffin.kernel.people import Caller, Credential, Delegation, Grant
from tiffin.kernel.ports import Ask, Context, Hold, Watch, World
from tiffin.kernel.receipt import Receipt

_closing: set[asyncio.Task[None]] = set()  # strong references: the event loop keeps only weak ones


async def govern(call: Call, credential: Credential, world: World) -> AsyncGenerator[Event, None]:
    caller = world.authenticate(credential)
    receipt = Receipt(call, caller, credential, world.clock())
    reservation: asyncio.Task[Hold] | None = None
    finish: Finish | None = None
    try:
        if receipt.too_many_subjects:
            raise Invalid(f"One call may be about {limits.SUBJECTS_MAX} people at most.", hint="Make several calls.")
        grant = _authorise(caller, call, credential, world)
        receipt.decide("authorise", "allowed", by=grant.rule)
        call = _guard_input(call, receipt, world)
        reservation = asyncio.create_task(_reserve(grant, call, world))
        await asyncio.shield(reservation)
        target = receipt.target = world.route(grant, call)
        call = receipt.call = pinned(call, receipt.seed)
        await world.journal.intend(receipt)
        receipt.intended = True
        yield Opened(receipt.id)
        context = Context(grant, receipt.id, _within(grant, receipt, world), receipt.opened_ns)
        watches = tuple(guard.watch(call, caller) for guard in world.guards)
        async with aclosing(world.execute(target, call, context)) as events:
            async for raw in events:
                for event in _watched(raw, watches):
                    receipt.see(event)
                    if isinstance(event, Finish):
                        finish = event
                    else:
                        yield event
        if not receipt.conclude():
            raise Truncated(
                "The answer stopped before its end.", hint="Ask again; nothing more will come of this call."
            )
    except Truncated as error:
        receipt.fail("truncated", error)
        raise
    except (CallerError, Blocked) as error:
        receipt.fail("refused", error)
        raise
    except TiffinError as error:
        receipt.fail("refused" if not receipt.intended else "failed", error)
        raise
    except (GeneratorExit, asyncio.CancelledError):
        receipt.fail("abandoned")
        raise
    except Exception as error:
        bug = Bug("Tiffin failed on this call; the fault is not yours.", hint="The server's log has the details.")
        receipt.fail("broken", bug)
        raise bug from error
    finally:
        await _to_the_end(_close(receipt, reservation, world))
    if finish is not None:
        yield finish


async def refuse(error: CallerError, route: str, credential: Credential, world: World) -> CallerError:
    """Records a request that could not be read as a call, if its caller is known. Returns the error to answer with."""
    try:
        caller = world.authenticate(credential)
    except CallerError as unknown:
        return unknown
    receipt = Receipt(Malformed(route, error.kind), caller, credential, world.clock())
    receipt.fail("refused", error)
    await _to_the_end(_close(receipt, None, world))
    return error


def _authorise(caller: Caller, call: Call, credential: Credential, world: World) -> Grant:
    grant = world.authorise(caller, call)
    if isinstance(credential, Delegation):
        grant = grant.within(credential.grant)
        if operation(call) not in grant.operations:
            raise Invalid(f"A call inside this one may not {operation(call)}.")
    collection = collection_of(call)
    if collection is not None and grant.collections is not None and collection not in grant.collections:
        raise Forbidden(f"This call may not look into the collection '{collection}'.", field="collection")
    if grant.depth > limits.CHILD_DEPTH_MAX:
        raise Invalid(f"Calls are nested deeper than {limits.CHILD_DEPTH_MAX}.")
    return grant


def _guard_input(call: Call, receipt: Receipt, world: World) -> Call:
    for guard in world.guards:
        checked = guard.check(call, receipt.caller)
        receipt.decide("guard", "passed" if checked == call else "rewritten", by=guard.name)
        call = receipt.call = checked
    return call


async def _reserve(grant: Grant, call: Call, world: World) -> Hold:
    return await world.budget.reserve(grant, call)


def _within(grant: Grant, receipt: Receipt, world: World) -> Ask:
    inner = Delegation(grant, receipt.id, receipt.subjects)
    return lambda call: govern(call, inner, world)


def _watched(event: Event, watches: tuple[Watch, ...]) -> tuple[Event, ...]:
    events: tuple[Event, ...] = (event,)
    for watch in watches:
        events = tuple(passed for one in events for passed in watch.feed(one))
    return events


async def _close(receipt: Receipt, reservation: asyncio.Task[Hold] | None, world: World) -> None:
    try:
        if reservation is not None:
            await _settle(reservation, receipt.usage, world)
    finally:
        receipt.closed_ns = world.clock()
        await world.journal.close(receipt)


async def _settle(reservation: asyncio.Task[Hold], usage: Usage, world: World) -> None:
    try:
        hold = await reservation
    except Exception:  # it was refused: that error is already on its way to the caller, and nothing is held
        return
    await world.budget.settle(hold, usage)


async def _to_the_end(closing: Coroutine[None, None, None]) -> None:
    """Run to the end even while the caller is being cancelled, then let the cancellation go on."""
    task = asyncio.create_task(closing)
    _closing.add(task)
    task.add_done_callback(_closing.discard)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait_for(asyncio.shield(task), limits.CLOSE_S_MAX)
        except asyncio.CancelledError:
            cancelled = True
        except TimeoutError as error:
            if not task.done():
                raise JournalUnavailable("The ledger did not take the receipt in time.") from error
    task.result()
    if cancelled:
        raise asyncio.CancelledError


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    """A unary answer is a stream, collected."""
    async with aclosing(events):
        return [event async for event in events]
