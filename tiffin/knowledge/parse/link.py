"""One running zygote as the gateway sees it: its process, the socket to it, and the jobs that wait for an answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path

import msgspec

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.messages import HEADER_BYTES, Cancel, Done, Job, Ready, body_length, frame, from_zygote
from tiffin.knowledge.parse.values import ParserUnavailable

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")  # no keys or secrets of the gateway


class LinkLost(Exception):
    """The zygote died or said something that is no message."""


class Link:
    """A started zygote. `run` sends one job and waits for its end; losing the zygote fails every waiting job."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket, ready: Ready) -> None:
        self._process = process
        self._sock = sock
        self._waiting: dict[int, asyncio.Future[Done]] = {}
        self.held = ready.held
        self.alive = True
        self._listening = asyncio.create_task(self._listen(), name="tiffin-parse-link")

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    @classmethod
    async def start(cls) -> Link:
        """Start a zygote and wait for its imports."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            process = await _spawn(theirs)
        except OSError as error:
            ours.close()
            raise ParserUnavailable(f"The parsing process cannot be started: {error}.") from error
        finally:
            theirs.close()
        try:
            async with asyncio.timeout(limits.READY_SECONDS):
                ready = await _receive(ours)
        except (LinkLost, TimeoutError) as error:
            ours.close()
            _kill(process)
            await process.wait()
            raise ParserUnavailable("The parsing process did not become ready.") from error
        except asyncio.CancelledError:
            ours.close()
            _kill(process)
            raise
        if not isinstance(ready, Ready):
            raise ParserUnavailable("The parsing process did not introduce itself.")
        return cls(process, ours, ready)

    async def run(self, job: Job, source: int, sink: int) -> Done:
        """Send a job with its two descriptors; on cancellation the child is killed."""
        if not self.alive:
            raise LinkLost
        answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting[job.id] = answer
        try:
            self._send(job, [source, sink])
            return await answer
        except asyncio.CancelledError:
            with contextlib.suppress(LinkLost):
                self._send(Cancel(job.id), [])
            raise
        finally:
            self._waiting.pop(job.id, None)

    def kill(self) -> None:
        """End a zygote that no longer answers."""
        self._lose()
        _kill(self._process)

    async def aclose(self) -> None:
        """Close the socket, which ends the zygote and its children; kill it if it does not go."""
        self._lose()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening
        self._sock.close()
        try:
            async with asyncio.timeout(limits.STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            _kill(self._process)
            await self._process.wait()

    def _send(self, message: Job | Cancel, fds: list[int]) -> None:
        data = frame(message)
        try:  # at most a few small messages are under way, so the socket's buffer always has room
            sent = socket.send_fds(self._sock, [data], fds) if fds else self._sock.send(data)
        except OSError as error:
            self._lose()
            raise LinkLost from error
        if sent != len(data):
            self._lose()
            raise LinkLost

    async def _listen(self) -> None:
        try:
            while True:
                message = await _receive(self._sock)
                if isinstance(message, Done):
                    answer = self._waiting.get(message.id)
                    if answer is not None and not answer.done():
                        answer.set_result(message)
        except LinkLost:
            self._lose()

    def _lose(self) -> None:
        self.alive = False
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(LinkLost())


async def _spawn(theirs: socket.socket) -> asyncio.subprocess.Process:
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = str(_PACKAGE_ROOT)
    environment["PYTHONUTF8"] = "1"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # never import from the folder the gateway happens to stand in
        "-m",
        "tiffin.knowledge.parse.zygote",
        str(theirs.fileno()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        env=environment,
        pass_fds=(theirs.fileno(),),
        start_new_session=True,  # Ctrl-C in the gateway's terminal is the gateway's to handle
    )


async def _receive(sock: socket.socket) -> Ready | Done:
    try:
        body = await _exactly(sock, body_length(await _exactly(sock, HEADER_BYTES)))
        return from_zygote(body)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise LinkLost from error


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        piece = await loop.sock_recv(sock, size - len(data))
        if not piece:
            raise LinkLost
        data += piece
    return data


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
