"""What a process that reads hostile files may still do: little memory, little time, no network, no other file.

Limits come from the kernel (rlimits), network and files from Linux namespaces and Landlock where the machine allows
them; the zygote reports which of the two held. Everything here fails towards less freedom or says that it did not hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig

from tiffin.knowledge.parse import limits

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000
_CLONE_NEWUSER = 0x10000000
_LANDLOCK_CREATE_RULESET = 444  # system call numbers, the same on every Linux architecture since 5.13
_LANDLOCK_ADD_RULE = 445
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION_FLAG = 1
_LANDLOCK_PATH_BENEATH = 1
_FS_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many low bits of the file rights an ABI knows
_FS_READ = (1 << 2) | (1 << 3)  # read file, read directory
_NICENESS = 5  # children yield to the gateway's own work
_OOM_SCORE = "1000"  # the kernel's first choice, should the machine run out of memory


def _libc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; leave at once if that has happened already.

    The signal is tied to the parent's thread, so the parent must have one thread only, as the zygote has.
    """
    libc = _libc()
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def set_limits(memory_bytes: int) -> None:
    """Bound memory, processor time, file size, open files; no core files."""
    for what, soft, hard in (
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_CPU, limits.CPU_SECONDS, limits.CPU_SECONDS + limits.CPU_GRACE_SECONDS),
        (resource.RLIMIT_FSIZE, limits.RESULT_MAX_BYTES, limits.RESULT_MAX_BYTES),
        (resource.RLIMIT_NOFILE, limits.OPEN_FILES_MAX, limits.OPEN_FILES_MAX),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, most = resource.getrlimit(what)
        ceiling = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(what, (min(soft, ceiling), ceiling))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full result file is an error of write(), not a death


def yield_to_others() -> None:
    """Run after the gateway's own work, and be the first to go when the machine's memory ends."""
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(_OOM_SCORE)


def leave_network() -> bool:
    """Move this single-threaded process to an empty network namespace; False where the machine forbids it."""
    libc = _libc()
    if libc is None:
        return False
    return libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0


def landlock_abi() -> int:
    """The version of Landlock that the kernel offers; 0 where it offers none."""
    libc = _libc()
    if libc is None:
        return 0
    return max(int(libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION_FLAG)), 0)


def leave_files(abi: int) -> bool:
    """Give up opening any file but Python's own libraries, for good; open descriptors keep working."""
    libc = _libc()
    if libc is None or abi < 1:
        return False
    rights = (1 << _FS_RIGHTS_BY_ABI.get(abi, _FS_RIGHTS_BY_ABI[5])) - 1
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, struct.pack("<Q", rights), 8, 0)
    if ruleset < 0:
        return False
    try:
        for folder in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}:
            _allow_reading(libc, ruleset, folder)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            return False
        return libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow_reading(libc: ctypes.CDLL, ruleset: int, folder: str) -> None:
    try:
        fd = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_PATH_BENEATH, struct.pack("<Qi", _FS_READ, fd), 0)
    finally:
        os.close(fd)
