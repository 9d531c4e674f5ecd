"""Files that appear whole or not at all: made in a folder aside, synced, then renamed to where they belong."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HASH_BLOCK_BYTES = 1 << 20  # bytes read at a time while hashing

_ASIDE = re.compile(r"\.aside-(\d+)-")  # the number is the pid of the process at work there

Progress = Callable[[int, int], None]


@contextmanager
def staging(store: Path) -> Iterator[Path]:
    """A folder aside in `store`, on the same file system, removed in the end. Sweeps those of processes that died."""
    store.mkdir(parents=True, exist_ok=True)
    _sweep(store)
    aside = Path(tempfile.mkdtemp(prefix=f".aside-{os.getpid()}-", dir=store))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def file_sha256(path: Path, progress: Progress = lambda done, total: None) -> str:
    """SHA-256 of a file, as lower-case hexadecimal. `progress` is told bytes done and bytes in all."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            progress(done, total)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(store: Path) -> None:
    for folder in store.glob(".aside-*"):
        owner = _ASIDE.match(folder.name)
        if owner and not _alive(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
