"""What a child may do once it is confined, seen from inside one."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from tiffin.knowledge.parse import confine

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="confinement beyond rlimits is Linux's")


def _in_child(action: object) -> bytes:
    """Fork, run, and give what the child wrote; the child never returns into the test run."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write_end, str(action()).encode())  # type: ignore[operator]
        except BaseException as error:
            os.write(write_end, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(write_end)
    said = b""
    while piece := os.read(read_end, 4096):
        said += piece
    os.close(read_end)
    os.waitpid(pid, 0)
    return said


@linux_only
def test_confined_child_opens_no_file_but_pythons_own() -> None:
    abi = confine.landlock_abi()
    if abi == 0:
        pytest.skip("this kernel has no Landlock")

    def attempt() -> str:
        assert confine.leave_files(abi)
        outcomes = []
        for path in ("/etc/passwd", "/proc/self/environ", __file__):
            try:
                with open(path, "rb"):
                    outcomes.append("opened")
            except PermissionError:
                outcomes.append("denied")
        import colorsys  # a library not imported before: still readable

        return " ".join([*outcomes, colorsys.__name__])

    assert _in_child(attempt) == b"denied denied denied colorsys"


@linux_only
def test_confined_process_reaches_nobody() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def attempt() -> str:
        if not confine.leave_network():
            return "forbidden here"
        with socket.create_connection(("127.0.0.1", port), timeout=2):
            return "connected"

    said = _in_child(attempt)
    listener.close()
    if said == b"forbidden here":
        pytest.skip("this machine forbids network namespaces")
    assert said in (b"OSError", b"ConnectionRefusedError")


def test_memory_limit_ends_in_an_error_of_the_child_alone() -> None:
    def attempt() -> int:
        confine.set_limits(256 * 1024 * 1024)
        return len(bytearray(1024 * 1024 * 1024))

    assert _in_child(attempt) == b"MemoryError"


def test_result_beyond_its_limit_is_an_error_of_write_and_no_death() -> None:
    def attempt() -> str:
        confine.set_limits(1024 * 1024 * 1024)
        fd = os.memfd_create("full")
        os.ftruncate(fd, 0)
        os.lseek(fd, 96 * 1024 * 1024, os.SEEK_SET)
        os.write(fd, b"one byte too many")
        return "written"

    assert _in_child(attempt) == b"OSError"
