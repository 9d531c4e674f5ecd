"""What every engine process does alike: die with its parent, stop quietly on SIGTERM, and say when it is ready."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from typing import NoReturn

PARENT_VARIABLE = "TIFFIN_ENGINE_PARENT"  # environment: pid of the supervisor, to notice that it died before we looked
PARENT_POLL_S = 1.0  # seconds between looks at the parent where the kernel cannot tell us (anything but Linux)
BAD_START = 2  # exit status for a start that cannot work however often it is repeated

_PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent dies, so that `kill -9` of the server leaves no engine behind.

    The signal is SIGKILL: an engine holds nothing that needs saving. Without an announced parent nothing happens, so
    that an engine can also be started by hand.
    """
    announced = os.environ.pop(PARENT_VARIABLE, None)
    if announced is None:
        return
    parent = int(announced)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True, name="parent-watch").start()
    if os.getppid() != parent:
        os._exit(0)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(0)


def take_secret(variable: str) -> str:
    """Read the API key from the environment and forget it there; end with a plain reason if it is missing."""
    secret = os.environ.pop(variable, "")
    if not secret:
        refuse(f"the environment variable {variable} must hold the engine's API key")
    return secret


def refuse(reason: str) -> NoReturn:
    """End a start that cannot work: the reason is the last line on stderr, where the supervisor reads it."""
    print(reason, file=sys.stderr, flush=True)
    raise SystemExit(BAD_START)


def stop_on_sigterm() -> None:
    """End at once with status 0 on SIGTERM or SIGINT: requests in flight are the supervisor's to have drained."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def announce_ready(port: int) -> None:
    """Tell the supervisor, in the one line that an engine writes to stdout, that requests are answered on `port`."""
    print(json.dumps({"ready": True, "port": port}), flush=True)
