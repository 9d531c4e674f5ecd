"""The process that forks one confined child a file: `python -m tiffin.knowledge.parse.zygote FD`.

The gateway has threads and must not fork, and a parser that dies must take nobody with it. So this process imports
everything once, stays single-threaded, and does nothing but fork, watch and report. It ends when the gateway's end of
the socket closes or the gateway is gone, and its children end with it.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass

import msgspec

from tiffin.knowledge.parse import confine, dispatch, limits
from tiffin.knowledge.parse.messages import Cancel, Done, Job, Ready, frame, receive_by_zygote
from tiffin.knowledge.parse.values import Refused

_READ_BYTES = 1024 * 1024
_UNWRITABLE_EXIT = 3  # the result could not be written


@dataclass
class _Child:
    job: int
    pid: int
    deadline: float
    said: int  # descriptor of the file that holds its stderr
    timed_out: bool = False
    cancelled: bool = False


def main() -> int:
    """Serve jobs until the gateway is gone."""
    gateway = os.getppid()
    sock = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm()
    network = confine.leave_network()
    abi = confine.landlock_abi()
    sock.sendall(frame(Ready(os.getpid(), _held(network=network, files=abi > 0))))
    try:
        _Watch(sock, gateway, abi).run()
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the gateway went away while we answered
    return 0


def _held(*, network: bool, files: bool) -> tuple[str, ...]:
    return tuple(name for name, held in (("network", network), ("files", files)) if held)


def _warm() -> None:
    """Run every text parser once, so that lazy imports happen here and not in each child; then leave memory alone."""
    for data, name in (
        (b"<html><title>t</title><p>w\xe4rm</html>", "a.html"),
        (b"<?xml version='1.0'?><a>warm</a>", "a.xml"),
        (b"From: a@b\nSubject: warm\nMIME-Version: 1.0\nContent-Type: text/html; charset=latin-1\n\n<p>warm", "a.eml"),
        (b"a;b;c\n1;2;3\n", "a.csv"),
        ("W\u00e4rme f\u00fcr alle, \u00fcberall. ".encode("cp1252") * 20, "a.txt"),
        (b"%PDF-1.4 not really", "a.pdf"),
    ):
        dispatch.read(data, name)
    gc.collect()
    gc.freeze()
    gc.disable()  # a child lives for one file; collecting would only copy the pages it shares with us


class _Watch:
    """The loop over the gateway's socket and the deaths of children."""

    def __init__(self, sock: socket.socket, gateway: int, abi: int) -> None:
        self._sock = sock
        self._gateway = gateway
        self._abi = abi
        self._children: dict[int, _Child] = {}
        self._woken, self._wake = socket.socketpair()
        for end in (self._woken, self._wake):
            end.setblocking(False)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            try:
                while os.getppid() == self._gateway:
                    ready = {key.fileobj for key, _ in selector.select(self._patience())}
                    if self._woken in ready:
                        self._drain()
                    self._reap()
                    self._stop_late()
                    if self._sock in ready and not self._serve():
                        return
            finally:
                for child in self._children.values():
                    os.kill(child.pid, signal.SIGKILL)

    def _patience(self) -> float:
        nearest = min((c.deadline for c in self._children.values() if not c.timed_out), default=None)
        left = limits.HEARTBEAT_SECONDS if nearest is None else nearest - time.monotonic()
        return max(min(left, limits.HEARTBEAT_SECONDS), 0.0)

    def _drain(self) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            return

    def _serve(self) -> bool:
        message, fds = receive_by_zygote(self._sock)
        match message:
            case None:
                _close(fds)
                return False
            case Job():
                self._fork(message, fds)
            case Cancel():
                for child in self._children.values():
                    if child.job == message.id:
                        child.cancelled = True
                        os.kill(child.pid, signal.SIGKILL)
        return True

    def _fork(self, job: Job, fds: list[int]) -> None:
        parent = os.getpid()
        said = _scratch()
        try:
            pid = os.fork()
        except OSError as error:
            _close([*fds, said])
            self._send(Done(job.id, False, 0, 0, False, 0, 0.0, str(error)))
            return
        if pid == 0:
            _become_child(job, fds, said, parent, self._abi)
        _close(fds)
        self._children[pid] = _Child(job.id, pid, time.monotonic() + limits.WALL_SECONDS, said)

    def _stop_late(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if not child.timed_out and child.deadline <= now:
                child.timed_out = True
                os.kill(child.pid, signal.SIGKILL)

    def _reap(self) -> None:
        while self._children:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                continue
            said = os.pread(child.said, limits.STDERR_KEEP_BYTES, 0).decode("utf-8", errors="replace")
            os.close(child.said)
            if child.cancelled:
                continue
            self._send(
                Done(
                    id=child.job,
                    started=True,
                    exit_code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1,
                    signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
                    timed_out=child.timed_out,
                    peak_bytes=usage.ru_maxrss * (1024 if sys.platform == "linux" else 1),
                    cpu_seconds=usage.ru_utime + usage.ru_stime,
                    said=said,
                )
            )

    def _send(self, done: Done) -> None:
        self._sock.sendall(frame(done))


def _scratch() -> int:
    """A file without a name; in memory where the system can."""
    if sys.platform == "linux":
        return os.memfd_create("tiffin-parse", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _become_child(job: Job, fds: list[int], said: int, parent: int, abi: int) -> None:
    """Confine, parse, write, leave; never returns to the zygote's loop."""
    code = _UNWRITABLE_EXIT
    try:
        confine.die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        source, sink = fds
        quiet = os.open(os.devnull, os.O_RDWR)
        for target, fd in ((0, quiet), (1, quiet), (2, said)):
            os.dup2(fd, target)
        kept = sorted((source, sink))
        os.closerange(3, kept[0])
        os.closerange(kept[0] + 1, kept[1])
        os.closerange(kept[1] + 1, max(kept[1] + 2, 1024))
        confine.yield_to_others()
        confine.leave_files(abi)
        confine.set_limits(job.memory_bytes)
        code = _parse_and_write(source, sink, job.name)
    finally:
        os._exit(code)


def _parse_and_write(source: int, sink: int, name: str) -> int:
    try:
        result = dispatch.read(_content(source), name)
        encoded = msgspec.msgpack.encode(result)
    except MemoryError:
        encoded = b""
    if not encoded:
        encoded = msgspec.msgpack.encode(
            Refused("out_of_memory", "The file needs more memory to read than is allowed for one file.")
        )
    try:
        _write(sink, encoded)
    except OSError:  # RLIMIT_FSIZE
        os.ftruncate(sink, 0)
        os.lseek(sink, 0, os.SEEK_SET)
        refused = Refused("too_large", "The file's text is larger than is kept of one document.")
        _write(sink, msgspec.msgpack.encode(refused))
    return 0


def _content(source: int) -> bytes:
    size = os.fstat(source).st_size
    buffer = bytearray()
    at = 0
    while at <= size:
        piece = os.pread(source, min(_READ_BYTES * 8, limits.FILE_MAX_BYTES + 1 - at), at)
        if not piece:
            break
        buffer += piece
        at += len(piece)
    return bytes(buffer)


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


if __name__ == "__main__":
    sys.exit(main())
