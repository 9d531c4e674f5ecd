"""The gateway's side of parsing: send files to the zygote, judge how each child ended, restart the zygote if it dies.

Memory stays bounded in sum: two files run at once with half a gigabyte each, and a file that needs more is tried again
alone with one gigabyte. Both are address space, so a bomb dies in its child.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import stat
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from types import TracebackType

import msgspec

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.link import Link, LinkLost
from tiffin.knowledge.parse.messages import Done, Job
from tiffin.knowledge.parse.values import Parsed, ParserUnavailable, Refused, fault

_log = logging.getLogger(__name__)
_result = msgspec.msgpack.Decoder(Parsed | Refused)
_MEMORY_SIGNALS = frozenset((signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP, signal.SIGILL))
_MEMORY_WORDS = ("memory allocation", "bad_alloc", "out of memory", "memoryerror", "cannot allocate")
_MEMORY_SHARE = 0.4  # share of the memory limit that a crashed child had used, above which memory was the reason
_TOO_MUCH = Refused("out_of_memory", "The file needs more memory to read than is allowed for one file.")
_TOO_SLOW = Refused("took_too_long", f"The file takes more than {limits.CPU_SECONDS} seconds to read.")


class Parser:
    """Parses files in confined children. Safe for many concurrent callers of one event loop; two files run at once.

    `parse` answers `Refused` for anything that is wrong with a file, raises `OSError` where the path cannot be opened,
    and `ParserUnavailable` where the parsing process itself cannot be kept alive.
    """

    def __init__(self) -> None:
        self._link: Link | None = None
        self._starting = asyncio.Lock()
        self._starts: deque[float] = deque(maxlen=limits.RESTARTS_MAX)
        self._slots = asyncio.Semaphore(limits.IN_FLIGHT_MAX)
        self._alone = asyncio.Lock()
        self._ids = itertools.count(1)
        self._closed = False

    async def __aenter__(self) -> Parser:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Start the parsing process and wait until it is ready; `parse` does this, too, when it must."""
        await self._ready()

    async def aclose(self) -> None:
        """Stop the parsing process and its children; files being parsed raise `ParserUnavailable`."""
        self._closed = True
        link, self._link = self._link, None
        if link is not None:
            await link.aclose()

    async def parse(self, path: Path, name: str) -> Parsed | Refused:
        """Parse the file at `path`; `name` is what the user calls it and may differ from the path."""
        source = await asyncio.to_thread(_open, path)
        if isinstance(source, Refused):
            return source
        try:
            async with self._slots:
                outcome = await self._attempt(source, name, limits.MEMORY_BYTES)
            if isinstance(outcome, Refused) and outcome.reason == "out_of_memory":
                async with contextlib.AsyncExitStack() as stack:
                    await stack.enter_async_context(self._alone)
                    for _ in range(limits.IN_FLIGHT_MAX):
                        await stack.enter_async_context(self._slots)
                    outcome = await self._attempt(source, name, limits.MEMORY_ALONE_BYTES)
            return outcome
        finally:
            os.close(source)

    @property
    def confinement(self) -> tuple[str, ...]:
        """Which confinements beyond memory and time hold on this machine: `network`, `files`."""
        return self._link.held if self._link is not None else ()

    async def _attempt(self, source: int, name: str, memory_bytes: int) -> Parsed | Refused:
        for _ in range(limits.DEATHS_PER_FILE_MAX):
            link = await self._ready()
            sink = _scratch()
            try:
                job = Job(next(self._ids), name[-limits.NAME_MAX_CHARS :], memory_bytes)
                async with asyncio.timeout(limits.WALL_SECONDS + limits.ANSWER_GRACE_SECONDS):
                    done = await link.run(job, source, sink)
                refused = judge(done, memory_bytes)
                return refused if refused is not None else await asyncio.to_thread(_load, sink)
            except LinkLost:
                _log.warning("the parsing process died while it read %r", name)
            except TimeoutError:
                _log.error("the parsing process is stuck on %r and is killed", name)
                link.kill()
                return _TOO_SLOW
            finally:
                os.close(sink)
        if self._closed:
            raise ParserUnavailable("The parser is closed.")
        return Refused("corrupt", "The parsing process died twice while it read this file.")

    async def _ready(self) -> Link:
        async with self._starting:
            if self._closed:
                raise ParserUnavailable("The parser is closed.")
            if self._link is not None and self._link.alive:
                return self._link
            if self._link is not None:
                await self._link.aclose()
                self._link = None
            now = time.monotonic()
            if len(self._starts) == limits.RESTARTS_MAX and now - self._starts[0] < limits.RESTART_WINDOW_SECONDS:
                raise ParserUnavailable(f"The parsing process died {limits.RESTARTS_MAX} times in a minute.")
            self._starts.append(now)
            self._link = await Link.start()
            return self._link


def judge(done: Done, memory_bytes: int) -> Refused | None:
    """Say why a child that did not end well did not; None where it wrote a result."""
    if not done.started:
        raise ParserUnavailable(f"No child process could be started: {done.said}.")
    if done.timed_out or done.signal == signal.SIGXCPU:
        return _TOO_SLOW
    if done.signal == signal.SIGKILL:
        return _TOO_SLOW if done.cpu_seconds >= limits.CPU_SECONDS else _TOO_MUCH
    if done.signal == 0 and done.exit_code == 0:
        return None
    said = done.said.lower()
    if any(word in said for word in _MEMORY_WORDS):
        return _TOO_MUCH
    if done.signal in _MEMORY_SIGNALS and done.peak_bytes > _MEMORY_SHARE * memory_bytes:
        return _TOO_MUCH
    return Refused("corrupt", "The file is damaged in a way that stops its reader.")


def _open(path: Path) -> int | Refused:
    """Open a regular file of allowed size; a pipe or device would block or never end."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(fd)
    refused = None
    if not stat.S_ISREG(found.st_mode):
        refused = Refused("unsupported", "The path is not a file.")
    elif found.st_size == 0:
        refused = Refused("empty", "The file is empty.")
    elif found.st_size > limits.FILE_MAX_BYTES:
        refused = Refused("too_large", f"Files may have {limits.FILE_MAX_BYTES // limits.MIB} MiB; this one has more.")
    if refused is None:
        return fd
    os.close(fd)
    return refused


def _scratch() -> int:
    """A file without a name for one result; in memory where the system can, so that a full disk does not matter."""
    if sys.platform == "linux":
        return os.memfd_create("tiffin-parsed", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _load(sink: int) -> Parsed | Refused:
    """Decode a result and check its offsets: it was written by a process that read a file nobody vouches for."""
    size = os.fstat(sink).st_size
    try:
        result: Parsed | Refused = _result.decode(os.pread(sink, size, 0))
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError) as error:
        _log.error("a parser gave a result that cannot be decoded: %s", error)
        return Refused("corrupt", "The file could not be read consistently.")
    if isinstance(result, Parsed) and (wrong := fault(result)) is not None:
        _log.error("a parser gave inconsistent offsets: %s", wrong)
        return Refused("corrupt", "The file could not be read consistently.")
    return result
