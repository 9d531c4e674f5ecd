"""The file operations that durability depends on, as a port with its fake.

`Disk` is the real thing. `FailingDisk` does the same, and fails where its switches say, either before the operation
took effect or after it did: a failed write that persisted and one that did not are different faults, and both happen.
Reading needs no port: a failed read harms nobody and surfaces as the OSError it is.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
"""Too many files are open: nothing was done yet. No write and no sync of an open file fails with these."""

SPACE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, *NO_DESCRIPTOR})
"""Refusals that leave the file system consistent: the append can be tried again when there is room."""

SYNC_THREADS = 8  # threads; more gained nothing on ext4
FILE_MODE = 0o600
FOLDER_MODE = 0o700

_fdatasync = getattr(os, "fdatasync", os.fsync)


class Disk:
    """Real files. Every method raises OSError as the system does."""

    def create(self, path: Path) -> int:
        """A new empty file, opened for appending; fails where one exists."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)

    def extend(self, path: Path) -> int:
        """The file, created if need be, opened for appending."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write some of `data`; answers how many bytes went in."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """Returns when the file's bytes and length are on stable storage."""
        _fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def rename(self, source: Path, target: Path) -> None:
        """Atomic; durable only after `sync_folder` of the target's folder."""
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Make one folder if it is missing (another process may have been faster); its parent must exist."""
        try:
            os.mkdir(path, FOLDER_MODE)
        except FileExistsError:
            if not path.is_dir():
                raise

    def sync_folder(self, path: Path) -> None:
        """Returns when the folder's names (created, renamed, removed) are on stable storage."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_all(disk: Disk, fd: int, data: bytes) -> None:
    """Write every byte, or raise OSError; a part may have been written then."""
    view = memoryview(data)
    while view:
        written = disk.write(fd, view)
        if written <= 0:
            raise OSError(errno.EIO, "the file took no bytes")
        view = view[written:]


class SyncFailed(OSError):
    """A sync failed: whatever the reason, nobody knows any more what is on the disk."""


def sync(disk: Disk, fd: int) -> None:
    """`disk.sync`, whose failure is told from every other one."""
    try:
        disk.sync(fd)
    except OSError as error:
        raise SyncFailed(error.errno, error.strerror) from error


def sync_all(disk: Disk, fds: Sequence[int]) -> None:
    """`sync` of several files at once: the file system merges the flushes (96 files: 20 ms instead of 300 ms)."""
    with ThreadPoolExecutor(max(1, min(SYNC_THREADS, len(fds)))) as threads:
        for _ in threads.map(lambda fd: sync(disk, fd), fds):
            pass


def sync_folder(disk: Disk, path: Path) -> None:
    """`disk.sync_folder`, whose failure is told from every other one, also from a folder that could not be opened."""
    try:
        disk.sync_folder(path)
    except OSError as error:
        if error.errno in NO_DESCRIPTOR:
            raise
        raise SyncFailed(error.errno, error.strerror) from error


def make_folders(disk: Disk, path: Path) -> None:
    """Make `path` and what is missing above it; each new name is durable on return."""
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        disk.make_folder(folder)
        sync_folder(disk, folder.parent)


def put_file(disk: Disk, path: Path, data: bytes, scratch: Path) -> None:
    """Replace `path` by `data` atomically; the old or the new content survives a crash, durable on return."""
    disk.remove(scratch)
    fd = disk.create(scratch)
    try:
        try:
            write_all(disk, fd, data)
            sync(disk, fd)
        finally:
            os.close(fd)
        disk.rename(scratch, path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(disk, path.parent)


@dataclass
class Fault:
    """One failure to come: let `after` calls of the operation pass, then raise `error`; done first when it `persists`.

    `short` makes a write put in only that many bytes before it fails.
    """

    error: int
    after: int = 0
    persists: bool = False
    short: int = 0


@dataclass
class FailingDisk(Disk):
    """Real files that fail on command: `faults["write"] = Fault(errno.ENOSPC)`; `fired` lists what did fail."""

    faults: dict[str, Fault] = field(default_factory=dict)
    fired: list[str] = field(default_factory=list)

    def _due(self, operation: str) -> Fault | None:
        fault = self.faults.get(operation)
        if fault is None:
            return None
        if fault.after > 0:
            fault.after -= 1
            return None
        del self.faults[operation]
        self.fired.append(operation)
        return fault

    def create(self, path: Path) -> int:
        fault = self._due("create")
        if fault is None:
            return super().create(path)
        if fault.persists:
            os.close(super().create(path))
        raise OSError(fault.error, os.strerror(fault.error), str(path))

    def extend(self, path: Path) -> int:
        fault = self._due("extend")
        if fault is None:
            return super().extend(path)
        if fault.persists:
            os.close(super().extend(path))
        raise OSError(fault.error, os.strerror(fault.error), str(path))

    def write(self, fd: int, data: bytes | memoryview) -> int:
        fault = self._due("write")
        if fault is None:
            return super().write(fd, data)
        if fault.short or fault.persists:
            os.write(fd, data if fault.persists else data[: fault.short])
        raise OSError(fault.error, os.strerror(fault.error))

    def sync(self, fd: int) -> None:
        fault = self._due("sync")
        if fault is None or fault.persists:
            super().sync(fd)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error))

    def truncate(self, fd: int, size: int) -> None:
        fault = self._due("truncate")
        if fault is None or fault.persists:
            super().truncate(fd, size)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error))

    def rename(self, source: Path, target: Path) -> None:
        fault = self._due("rename")
        if fault is None or fault.persists:
            super().rename(source, target)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error), str(target))

    def remove(self, path: Path) -> None:
        fault = self._due("remove")
        if fault is None or fault.persists:
            super().remove(path)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error), str(path))

    def make_folder(self, path: Path) -> None:
        fault = self._due("make_folder")
        if fault is None or fault.persists:
            super().make_folder(path)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error), str(path))

    def sync_folder(self, path: Path) -> None:
        fault = self._due("sync_folder")
        if fault is None or fault.persists:
            super().sync_folder(path)
        if fault is not None:
            raise OSError(fault.error, os.strerror(fault.error), str(path))
