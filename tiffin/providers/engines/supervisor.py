"""Keeps engine processes alive: starts them, says where they listen, restarts the dead, and leaves none behind.

A crash never reaches the gateway: whoever asks for the endpoint meanwhile waits for the restart, within a bound. There
is no periodic health check: an engine that answers nothing is found by the bounds of the calls made to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tiffin.providers.engines.process import PARENT_VARIABLE

READY_S = 60.0  # seconds from start to ready before an engine counts as stuck; a 10 GB model on a slow disk fits
ENDPOINT_WAIT_S = 20.0  # seconds a call waits for an engine that is starting again; ours take 1 s on an idle machine
BACKOFF_FIRST_S = 0.1  # seconds before the first restart; doubles with every quick death
BACKOFF_MAX_S = 5.0  # seconds between restarts at most
QUICK_S = 10.0  # seconds: an engine that was ready for less than this died quickly
QUICK_DEATHS_MAX = 5  # quick deaths in a row before an engine counts as failed; 3 s of back-off in all
FAILED_RETRY_S = 30.0  # seconds until a failed engine is tried again
TERM_GRACE_S = 3.0  # seconds between SIGTERM and SIGKILL
LOG_BYTES_MAX = 5_000_000  # bytes of one engine's log; the one before it is kept as .log.1
PIPE_BYTES = 65_536  # bytes read at a time from an engine's output
PIPE_CLOSE_S = 1.0  # seconds for the last output of an ended engine to arrive
LINE_CHARS_MAX = 500  # characters of an engine's last words that are kept

# What an engine may see of our environment. Credentials of other providers are not among it.
_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)

State = Literal["starting", "ready", "restarting", "failed", "stopped"]


class EngineDown(Exception):
    """The engine is not there and was not back within the bound; the message says why, with its own last words."""


@dataclass(frozen=True)
class EngineSpec:
    """How to start one engine. `{port}` in `argv` becomes its port; `key_variable` will hold its API key."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    key_variable: str = "TIFFIN_ENGINE_KEY"
    ready_timeout_s: float = READY_S


@dataclass(frozen=True)
class Endpoint:
    """Where an engine listens now, and the key that this start of it wants. The repr hides the key."""

    url: str
    api_key: str = field(repr=False)


class Supervisor:
    """One keeper task an engine. Engines die with this process, however it ends (Linux; elsewhere within a second).

    On Linux the start must happen on a thread that lives as long as the engines should: the kernel watches the thread.
    """

    def __init__(self, specs: Iterable[EngineSpec], log_folder: Path) -> None:
        self._log_folder = log_folder
        self._engines = {spec.name: _Engine(spec, log_folder / f"{spec.name}.log") for spec in specs}

    async def start(self) -> None:
        """Begin starting all engines at once; `ready` and `endpoint` wait for one."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        for engine in self._engines.values():
            engine.start()

    async def add(self, spec: EngineSpec) -> None:
        """Start one more engine. Raises ValueError if its name is taken."""
        if spec.name in self._engines:
            raise ValueError(f"there is an engine {spec.name} already")
        self._engines[spec.name] = _Engine(spec, self._log_folder / f"{spec.name}.log")
        self._engines[spec.name].start()

    async def remove(self, name: str) -> None:
        """Stop an engine and forget it; one that is not there is fine."""
        if engine := self._engines.pop(name, None):
            await engine.aclose()

    async def ready(self, name: str) -> None:
        """Wait until the engine answers, as long as its first start may take. Raises EngineDown."""
        await self._engine(name).endpoint(self._engine(name).spec.ready_timeout_s)

    async def endpoint(self, name: str) -> Endpoint:
        """Where the engine listens, waiting out a restart for at most 20 s. Raises EngineDown."""
        return await self._engine(name).endpoint(ENDPOINT_WAIT_S)

    def status(self) -> dict[str, dict[str, Any]]:
        """Each engine's state, pid, restarts, seconds since it became ready, and why it last went down."""
        return {name: engine.status() for name, engine in self._engines.items()}

    async def aclose(self) -> None:
        """Stop every engine (SIGTERM, 3 s, SIGKILL) and reap it."""
        await asyncio.gather(*(engine.aclose() for engine in self._engines.values()))

    def _engine(self, name: str) -> _Engine:
        try:
            return self._engines[name]
        except KeyError:
            raise EngineDown(f"there is no engine {name}") from None


class _Engine:
    """The life of one engine: run, notice the end, wait, run again."""

    def __init__(self, spec: EngineSpec, log: Path) -> None:
        self.spec = spec
        self._log = _Log(log)
        self._state: State = "starting"
        self._endpoint: Endpoint | None = None
        self._pid: int | None = None
        self._restarts = 0
        self._quick_deaths = 0
        self._ready_since = 0.0
        self._last_error: str | None = None
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name=f"engine {self.spec.name}")

    async def aclose(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._become("stopped")
        self._log.close()

    def status(self) -> dict[str, Any]:
        up_s = round(time.monotonic() - self._ready_since, 1) if self._state == "ready" else 0.0
        return {
            "state": self._state,
            "pid": self._pid,
            "restarts": self._restarts,
            "uptime_s": up_s,
            "last_error": self._last_error,
        }

    async def endpoint(self, wait_s: float) -> Endpoint:
        deadline = time.monotonic() + wait_s
        while True:
            changed = self._changed
            if self._state == "ready" and self._endpoint is not None:
                return self._endpoint
            if self._state in ("failed", "stopped") or self._keeper is None or self._keeper.done():
                raise EngineDown(
                    self._reason("the engine keeps failing" if self._state == "failed" else "it was stopped")
                )
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await changed.wait()
            except TimeoutError:
                raise EngineDown(self._reason(f"the engine was not ready within {wait_s:.0f} s")) from None

    def _reason(self, what: str) -> str:
        return f"{what}: {self._last_error}" if self._last_error else what

    def _become(self, state: State) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep(self) -> None:
        while True:
            self._ready_since = 0.0
            self._last_error = await self._run_once()
            lived_s = time.monotonic() - self._ready_since if self._ready_since else 0.0
            self._quick_deaths = 1 if lived_s >= QUICK_S else self._quick_deaths + 1
            self._restarts += 1
            self._log.write(f"-- {self.spec.name} went down: {self._last_error}\n".encode())
            if self._quick_deaths > QUICK_DEATHS_MAX:
                self._become("failed")
                await asyncio.sleep(FAILED_RETRY_S)
            else:
                self._become("restarting")
                await asyncio.sleep(min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (self._quick_deaths - 1)))

    async def _run_once(self) -> str:
        """Start the process, serve until it ends, and return why it did. However this is left, the process is gone."""
        key = secrets.token_urlsafe(32)
        self._log.forget_last_words()
        try:
            with _reserved_port() as port:
                process = await self._spawn(port, key)
                listening = asyncio.create_task(self._log.take(_pipe(process.stderr)))
                try:
                    await self._live(process, key)
                finally:
                    self._endpoint, self._pid = None, None
                    how = await _end(process)
                    await asyncio.wait([listening], timeout=PIPE_CLOSE_S)
                    listening.cancel()
        except OSError as error:
            return f"it could not be started: {error}"
        return f"{how}: {self._log.last_words}" if self._log.last_words else how

    async def _spawn(self, port: int, key: str) -> asyncio.subprocess.Process:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        own = {self.spec.key_variable: key, PARENT_VARIABLE: str(os.getpid())}
        process = await asyncio.create_subprocess_exec(
            *(part.replace("{port}", str(port)) for part in self.spec.argv),
            env={**inherited, **self.spec.env, **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway, which drains its calls first
        )
        self._pid = process.pid
        return process

    async def _live(self, process: asyncio.subprocess.Process, key: str) -> None:
        output = _pipe(process.stdout)
        try:
            async with asyncio.timeout(self.spec.ready_timeout_s):
                port = await _announced_port(output)
        except TimeoutError:
            self._log.write(f"-- not ready within {self.spec.ready_timeout_s:.0f} s\n".encode())
            return
        if port is None:
            return
        self._endpoint = Endpoint(f"http://127.0.0.1:{port}", key)
        self._ready_since = time.monotonic()
        self._become("ready")
        draining = asyncio.create_task(_drain(output))
        try:
            await process.wait()
        finally:
            draining.cancel()


class _Log:
    """What an engine says on stderr, in a bounded file. A disk that takes no more costs log lines, never the engine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._tail = b""

    @property
    def last_words(self) -> str:
        lines = self._tail.decode(errors="replace").strip().splitlines()
        return lines[-1].strip()[:LINE_CHARS_MAX] if lines else ""

    def forget_last_words(self) -> None:
        self._tail = b""

    async def take(self, output: asyncio.StreamReader) -> None:
        """Copy everything until the other side closes."""
        while chunk := await output.read(PIPE_BYTES):
            self.write(chunk)

    def write(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-PIPE_BYTES:]
        with contextlib.suppress(OSError):
            if self._file is None:
                self._file = self._path.open("ab", buffering=0)
            if self._file.tell() + len(chunk) > LOG_BYTES_MAX:
                self.close()
                os.replace(self._path, self._path.with_name(self._path.name + ".1"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(chunk)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


@contextlib.contextmanager
def _reserved_port() -> Iterator[int]:
    """A free loopback port, held against everybody but an engine of ours, which binds it with SO_REUSEPORT too.

    A socket that is bound but does not listen is given no connections.
    """
    with socket.socket() as holder:
        if hasattr(socket, "SO_REUSEPORT"):
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


async def _announced_port(output: asyncio.StreamReader) -> int | None:
    """The port in the engine's ready line; None when its output ends without one."""
    while True:
        try:
            line = await output.readline()
            told = json.loads(line) if line else None
        except ValueError:  # not JSON, or too long to be our line
            continue
        if not line:
            return None
        match told:
            case {"ready": True, "port": int(port)}:
                return port


async def _drain(output: asyncio.StreamReader) -> None:
    """Nothing more is expected there; left unread, it would fill the pipe and stop the engine."""
    while await output.read(PIPE_BYTES):
        pass


async def _end(process: asyncio.subprocess.Process) -> str:
    """Make sure that the process is gone and reaped, and say how it went."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(TERM_GRACE_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    status = process.returncode or 0
    if status >= 0:
        return f"it ended with status {status}"
    return f"it was killed by {signal.Signals(-status).name}"


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise RuntimeError("the process was started without this pipe")
    return stream
