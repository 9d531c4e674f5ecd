"""Runs the application until SIGINT or SIGTERM, and returns, so that what is open can be closed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from tiffin.api.connections import Connection
from tiffin.kernel.limits import CLOSE_S_MAX

SHUTDOWN_S = 10  # seconds that calls in flight get to end after the first signal; the second ends them at once


async def serve(app: ASGIApp, listener: socket.socket, ready: Callable[[], None]) -> None:
    """`ready` is called once, when requests are answered."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        server_header=False,
        lifespan="off",
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    loop.call_soon(ready)
    try:
        await server.serve(sockets=[listener])
        if server.server_state.tasks:  # cut off: their receipts must be closed before the ledger is
            for task in server.server_state.tasks if server.force_exit else ():
                task.cancel()
            await asyncio.wait(server.server_state.tasks, timeout=CLOSE_S_MAX)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


class _Server(uvicorn.Server):
    """uvicorn would raise the signal again once it has stopped, and so end the process before the ledger is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
