"""What the API ring is given: the path, and the few facts that are public. Wired by app.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request

from tiffin.kernel import limits
from tiffin.kernel.calls import Call
from tiffin.kernel.errors import CallerError, Invalid
from tiffin.kernel.govern import govern, refuse
from tiffin.kernel.parts import Event, Opened
from tiffin.kernel.people import ApiKey
from tiffin.kernel.ports import World

SUBJECTS_MAX = 16  # people named in one header


class PublicLog(Protocol):
    """A transparency log as anybody may read it (C2SP tlog-tiles)."""

    name: str
    origin: str
    vkey: str

    def checkpoint(self) -> str: ...

    def read_tile(self, path: str) -> bytes | None: ...


@dataclass(frozen=True)
class Gateway:
    world: World
    logs: tuple[PublicLog, ...]
    status: Callable[[], dict[str, Any]]  # engines and readiness, for /readyz and doctors
    now_s: Callable[[], int]
    spool: Path  # a folder for uploads on their way to the parser
    console: Path | None  # the built console

    async def ask(self, call: Call, request: Request, about: tuple[str, ...] = ()) -> AsyncGenerator[Event, None]:
        """`about` is whom the body names; the header `tiffin-subject` wins."""
        try:
            about = subjects(request) or about
        except CallerError as error:
            raise await self.refuse(error, request) from error
        async with aclosing(govern(call, ApiKey(secret(request), about), self.world)) as events:
            async for event in events:
                yield event

    async def refuse(self, error: CallerError, request: Request) -> CallerError:
        route = f"{request.method} {request.url.path}"[:256]
        return await refuse(error, route, ApiKey(secret(request)), self.world)

    def know(self, request: Request) -> None:
        """Raises Unauthenticated for a stranger: nothing large is read from one."""
        self.world.authenticate(ApiKey(secret(request)))

    def knows(self, request: Request) -> bool:
        try:
            self.know(request)
        except CallerError:
            return False
        return True

    async def collect(self, call: Call, request: Request, about: tuple[str, ...] = ()) -> tuple[str, list[Event]]:
        """The id of the receipt, and the other events of a call."""
        async with aclosing(self.ask(call, request, about)) as events:
            receipt = ""
            collected: list[Event] = []
            async for event in events:
                if isinstance(event, Opened):
                    receipt = event.receipt
                else:
                    collected.append(event)
            return receipt, collected


def secret(request: Request) -> str:
    """The key in `Authorization: Bearer`."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def subjects(request: Request) -> tuple[str, ...]:
    """The people of `tiffin-subject`, separated by commas. One too many or too long is refused: to leave a person out,
    or to shorten a name, would leave something behind when that person is erased.
    """
    header = request.headers.get("tiffin-subject", "").encode("latin-1")
    try:
        named = header.decode()
    except UnicodeDecodeError:
        named = header.decode("latin-1")
    people = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if len(people) > SUBJECTS_MAX or any(len(name) > limits.SUBJECT_CHARS_MAX for name in people):
        raise Invalid(
            f"The header 'tiffin-subject' names at most {SUBJECTS_MAX} people.",
            hint=f"A name has at most {limits.SUBJECT_CHARS_MAX} characters.",
            field="tiffin-subject",
        )
    return people
