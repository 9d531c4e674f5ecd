"""What the API ring is given: the path, and the few facts that are public. Wired by app.py."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import Request

from tiffin.kernel.calls import Call
from tiffin.kernel.errors import CallerError
from tiffin.kernel.govern import govern, refuse
from tiffin.kernel.parts import Event, Opened
from tiffin.kernel.people import ApiKey
from tiffin.kernel.ports import World

SUBJECTS_MAX = 16  # people whom one call may be about


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

    def ask(self, call: Call, request: Request) -> AsyncGenerator[Event, None]:
        return govern(call, credential(request), self.world)

    async def refuse(self, error: CallerError, request: Request) -> CallerError:
        return await refuse(error, f"{request.method} {request.url.path}"[:256], credential(request), self.world)

    async def collect(self, call: Call, request: Request) -> tuple[str, list[Event]]:
        """The id of the receipt, and the other events of a call."""
        async with aclosing(self.ask(call, request)) as events:
            receipt = ""
            collected: list[Event] = []
            async for event in events:
                if isinstance(event, Opened):
                    receipt = event.receipt
                else:
                    collected.append(event)
            return receipt, collected


def credential(request: Request) -> ApiKey:
    """The key in `Authorization: Bearer`, and the people of `tiffin-subject`."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        secret = ""
    named = request.headers.get("tiffin-subject", "").split(",")
    subjects = tuple(name.strip()[:256] for name in named if name.strip())
    return ApiKey(secret.strip(), subjects[:SUBJECTS_MAX])
