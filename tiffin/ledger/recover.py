"""Opening a log's folder: make it if new, and bring it to where nothing depends on what an earlier writer left undone.

Recovery is the normal path: the journal is read, its closes are published as any others are, and a new segment takes
over the open intents. After that no byte of an older segment is needed, so not even a sync that failed unnoticed can
hurt later.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger.disk import SPACE_ERRORS, Disk, SyncFailed, make_folders, put_file, sync, sync_folder
from tiffin.ledger.errors import LedgerBroken, LedgerDamaged, LedgerFull, LedgerLocked, NotVerified
from tiffin.ledger.journal import Covered, Found, Intent, Journal, Torn, read_journal
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.note import Signer
from tiffin.ledger.publisher import SCRATCH, Publisher, create_head, load_head

CARD = "log.json"
JOURNAL = "journal"
TORN = "torn"
FORMAT = "tiffin-ledger-1"
LOCK_PATIENCE_SECONDS = 1.0  # seconds; a writer that is just ending, or a verifier that looks who writes, is waited for
LOCK_POLL_SECONDS = 0.02
PUBLISH_ENTRIES_MAX = 8_192  # entries a checkpoint; keeps about 100 files open at once and a waiter's wait short


def card(name: str, origin: str, vkey: str) -> bytes:
    """The bytes of log.json: what the log is called and which key signs it."""
    return (json.dumps({"format": FORMAT, "name": name, "origin": origin, "vkey": vkey}) + "\n").encode()


def read_card(data: bytes) -> tuple[str, str, str]:
    """Name, origin and vkey, when the bytes are exactly such a card; NotVerified otherwise."""
    try:
        fields = json.loads(data)
        name, origin, vkey = (fields[key] for key in ("name", "origin", "vkey"))
        if card(name, origin, vkey) == data:
            return name, origin, vkey
    except (ValueError, KeyError, TypeError) as error:
        raise NotVerified("it is not what a log is described by") from error
    raise NotVerified("it is not written as a log is described")


def torn_name(torn: Torn) -> str:
    """Where the torn tail is kept: its digest is in the name, so a later change of it shows."""
    segment = torn.segment.partition(".")[0]
    return f"{segment}-{torn.offset}-{hashlib.sha256(torn.tail).hexdigest()[:32]}"


@dataclass(frozen=True)
class Opened:
    """A log ready to be written."""

    signer: Signer
    publisher: Publisher
    journal: Journal
    intents: dict[str, bytes]
    next_index: int


class Lock:
    """The exclusive right to write a folder; ends with the process. A forked child gives its copy up."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        given_up_at = time.monotonic() + LOCK_PATIENCE_SECONDS
        while not _try_lock(self._fd, fcntl.LOCK_EX):
            if time.monotonic() > given_up_at:
                os.close(self._fd)
                raise LedgerLocked(f"{folder.name} is being written by another process")
            time.sleep(LOCK_POLL_SECONDS)
        _held.add(self)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_written(folder: Path) -> bool:
    """Whether a writer holds the folder just now."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return not _try_lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _give_up_in_child() -> None:
    # A flock belongs to the open file, which a forked child shares: it would outlive its dead parent's claim.
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_give_up_in_child)


def open_folder(folder: Path, *, name: str, origin: str, keys: KeyRing, disk: Disk) -> Opened:
    """Recover (or create) the log; the lock is held by the caller."""
    try:
        return _open(folder, name, origin, keys, disk)
    except OSError as error:
        if error.errno in SPACE_ERRORS and not isinstance(error, SyncFailed):
            raise LedgerFull(f"{name}: cannot open: {error.strerror}") from error
        raise LedgerBroken(f"{name}: cannot open: {error}") from error


def _open(folder: Path, name: str, origin: str, keys: KeyRing, disk: Disk) -> Opened:
    if not (folder / CARD).exists():
        _create(folder, name, origin, keys, disk)
    keys.confirm_signer(name)
    signer = keys.signer(name, origin)
    if (folder / CARD).read_bytes() != card(name, origin, signer.verifier.vkey):
        raise LedgerDamaged(name, f"{CARD} does not name this log, this origin and this key")
    _make_parts(folder, disk)
    for stale in (folder / SCRATCH).iterdir():
        disk.remove(stale)
    head = load_head(folder, name, signer)
    found = read_journal(folder / JOURNAL, log=name, origin=origin, size=head.edge.size)
    if found.first_index > head.edge.size or found.next_index < head.edge.size:
        raise LedgerDamaged(name, "the journal does not reach the checkpoint", min(found.next_index, head.edge.size))
    segments = _cut_torn(folder, found, disk)
    publisher = Publisher(folder, log=name, signer=signer, disk=disk, head=head)
    for start in range(0, len(found.closes), PUBLISH_ENTRIES_MAX):
        publisher.publish(found.closes[start : start + PUBLISH_ENTRIES_MAX])
    journal = Journal(folder / JOURNAL, log=name, origin=origin, disk=disk)
    intents = [Intent(receipt_id, intent) for receipt_id, intent in found.intents.items()]
    journal.begin(found.next_sequence, found.next_index, intents, segments)
    journal.drop_covered(found.next_index)
    return Opened(signer, publisher, journal, found.intents, found.next_index)


def _make_parts(folder: Path, disk: Disk) -> None:
    for part in (JOURNAL, SCRATCH):
        make_folders(disk, folder / part)


def _create(folder: Path, name: str, origin: str, keys: KeyRing, disk: Disk) -> None:
    """A new log. log.json comes last: without it the folder holds no log yet, and creating starts over."""
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in (JOURNAL, SCRATCH, "checkpoint"))
    if strangers or any((folder / JOURNAL).glob("*")):
        raise LedgerDamaged(name, f"{CARD} is missing beside {', '.join(strangers) or JOURNAL}")
    signer = keys.new_signer(name, origin)
    _make_parts(folder, disk)
    create_head(folder, signer, disk)
    put_file(disk, folder / CARD, card(name, origin, signer.verifier.vkey), folder / SCRATCH / CARD)


def _cut_torn(folder: Path, found: Found, disk: Disk) -> list[Covered]:
    """Keep a torn tail aside, then cut it off, so that the segment reads clean from now on; durable on return."""
    torn = found.torn
    if torn is None:
        return list(found.segments)
    if torn.tail:
        make_folders(disk, folder / TORN)
        put_file(disk, folder / TORN / torn_name(torn), torn.tail, folder / SCRATCH / TORN)
    path = folder / JOURNAL / torn.segment
    if torn.offset == 0:
        disk.remove(path)
        sync_folder(disk, path.parent)
        return [segment for segment in found.segments if segment.path != path]
    fd = disk.extend(path)
    try:
        disk.truncate(fd, torn.offset)
        sync(disk, fd)
    finally:
        os.close(fd)
    return list(found.segments)
