"""`Log`: one append-only log and its one writer.

Two threads: the *writer* drains the queue into one journal frame a batch (write, sync, then answer), and the
*integrator* publishes what was committed, at most every `PUBLISH_SECONDS`, or at once when somebody waits. Coroutines
only queue and wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger import vault
from tiffin.ledger.disk import SPACE_ERRORS, Disk, make_folders
from tiffin.ledger.errors import (
    KeysUnusable,
    LedgerBroken,
    LedgerDamaged,
    LedgerError,
    LedgerFull,
    NoSuchEntry,
    NotPublished,
    NotVerified,
)
from tiffin.ledger.journal import Close, Intent, encode_record
from tiffin.ledger.keys import LOG_NAME, ContentKey, KeyRing
from tiffin.ledger.proof import Proof
from tiffin.ledger.recover import PUBLISH_ENTRIES_MAX, Lock, Opened, open_folder
from tiffin.ledger.tiles import (
    TILE_WIDTH,
    TileName,
    hash_reader,
    parse_tile_path,
    read_cut,
    split_hashes,
    unpack_bundle,
    width_at,
)
from tiffin.ledger.tree import inclusion_proof, leaf_hash, verify_inclusion

PUBLISH_SECONDS = 0.2  # seconds between checkpoints while nobody waits: a handful of syncs each
RETRY_SECONDS = 1.0  # seconds until publishing is tried again after the disk was full
BATCH_RECORDS_MAX = 4_096  # records a group commit; a sync's worth at 20,000/s and more
BATCH_BYTES_MAX = 8 << 20  # bytes a group commit (plus one record): bounds the wait of the others in it
BACKLOG_BYTES_MAX = 256 << 20  # bytes queued or committed and not yet published; memory that a full disk can cost
INTENT_BACKLOG_BYTES_MAX = (
    BACKLOG_BYTES_MAX // 2
)  # bytes; intents are refused first, so that what began can still be closed
PACK_INLINE_BYTES_MAX = 16 << 10  # bytes; compressing more than this (> 0.1 ms) leaves the event loop for a thread

Entry = bytes | Callable[[int], bytes]
_Answer = tuple["asyncio.Future[int]", int | BaseException]


@dataclass(frozen=True, slots=True)
class _Sealing:
    """What a close needs besides its id."""

    entry: Entry
    packed: vault.Packed
    key: ContentKey


@dataclass(frozen=True, slots=True)
class _Request:
    """One record waiting for the writer: an intent's bytes, or a close."""

    id: str
    content: bytes | _Sealing
    weight: int
    future: asyncio.Future[int]

    def record(self, index: int, origin: str) -> Intent | Close:
        if isinstance(self.content, bytes):
            return Intent(self.id, self.content)
        entry = self.content.entry if isinstance(self.content.entry, bytes) else self.content.entry(index)
        place = vault.Place(origin, index, leaf_hash(entry))
        return Close(index, self.id, entry, vault.seal(self.content.packed, self.content.key, place, self.id))


class Log:
    """Made by `Log.open`. Its coroutines may be used from any event loop, its plain methods from any thread."""

    def __init__(self, folder: Path, *, name: str, origin: str, keys: KeyRing, lock: Lock, opened: Opened) -> None:
        self.name = name
        self.origin = origin
        self.vkey = opened.signer.verifier.vkey
        self._folder = folder
        self._keys = keys
        self._lock = lock
        self._publisher = opened.publisher
        self._journal = opened.journal
        self._found = dict(opened.intents)
        self._open = dict(opened.intents)
        self._next_index = opened.next_index
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._last_bundle: tuple[TileName, list[bytes], list[bytes]] | None = None
        self._changed = threading.Condition()  # guards everything below
        self._pending: dict[int, Close] = {}
        self._indices: dict[str, int] = {}
        self._waiters: deque[tuple[int, asyncio.Future[int]]] = deque()
        self._backlog_bytes = 0
        self._closed = False
        self._stopping = False
        self._broken = ""
        self._unpublished: LedgerError | None = None
        self._writer = threading.Thread(target=self._write, name=f"ledger-{name}-writer", daemon=True)
        self._integrator = threading.Thread(target=self._integrate, name=f"ledger-{name}-integrator", daemon=True)
        self._writer.start()
        self._integrator.start()

    @classmethod
    def open(cls, folder: Path, *, name: str, origin: str, keys: KeyRing, disk: Disk | None = None) -> Log:
        """The log in `folder` (its own, named as the log is), made if missing, recovered if need be.

        LedgerLocked when another writer has it; LedgerDamaged when its files contradict each other; LedgerFull for
        want of room.
        """
        if folder.name != name or not LOG_NAME.fullmatch(name):
            raise ValueError(f"a log's folder is named as the log is: {folder.name!r} is not {name!r}")
        disk = disk or Disk()
        make_folders(disk, folder)
        lock = Lock(folder)
        try:
            opened = open_folder(folder, name=name, origin=origin, keys=keys, disk=disk)
        except BaseException:
            lock.release()
            raise
        return cls(folder, name=name, origin=origin, keys=keys, lock=lock, opened=opened)

    @property
    def size(self) -> int:
        """Entries under the published checkpoint."""
        return self._publisher.head.edge.size

    @property
    def committed(self) -> int:
        """The index that the next close gets."""
        return self._next_index

    @property
    def broken(self) -> str:
        """Why this writer accepts nothing more; empty while it does."""
        return self._broken or self._journal.broken

    def open_intents(self) -> dict[str, bytes]:
        """Intents found without a close at opening, and not closed since."""
        return {receipt_id: intent for receipt_id, intent in self._found.items() if receipt_id in self._open}

    async def intend(self, receipt_id: str, intent: bytes) -> None:
        """Record that a call is about to be made. Durable on return. LedgerFull: refused, try again later."""
        await self._submit(receipt_id, intent, len(intent), INTENT_BACKLOG_BYTES_MAX)

    async def close(self, receipt_id: str, entry: Entry, payload: bytes, subjects: tuple[str, ...] = ()) -> int:
        """Record how a call ended. Durable on return; answers the entry's index in the tree.

        `entry` is the leaf's bytes (≤ 65,535), or a quick pure function from the index to them, called in the
        writer's thread; what it raises is raised here, and the index is not used. `payload` can be read back until a
        key of one of `subjects` is destroyed. One close a receipt is the caller's duty.
        """
        key = self._keys.cached_content_key(subjects)
        if key is None:
            key = await asyncio.to_thread(self._content_key, subjects)
        if len(payload) <= PACK_INLINE_BYTES_MAX:
            packed = vault.pack(payload)
        else:
            packed = await asyncio.to_thread(vault.pack, payload)
        weight = len(packed.data) + (len(entry) if isinstance(entry, bytes) else 0)
        return await self._submit(receipt_id, _Sealing(entry, packed, key), weight, BACKLOG_BYTES_MAX)

    async def publish(self, index: int) -> None:
        """Returns when a checkpoint covers the entry.

        LedgerFull when it could not be published now; it is tried again anyway.
        """
        with self._changed:
            if self.size > index >= 0:
                return
            if not 0 <= index < self._next_index:
                raise NoSuchEntry(f"{self.name} has no entry {index}")
            self._refuse_when_broken()
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._waiters.append((index, future))
            self._changed.notify_all()
        await future

    def entry(self, index: int) -> bytes:
        """The leaf's bytes, as committed; checked against the tree where published."""
        return self._entry_and_leaf(index)[0]

    def payload(self, index: int) -> bytes:
        """The payload. PayloadErased when a key was destroyed; LedgerDamaged when it does not open."""
        close = self._pending.get(index)
        _, leaf = self._entry_and_leaf(index)
        try:
            sealed = vault.read_payload(self._folder, index) if close is None else close.sealed
            return vault.unseal(sealed, self._keys, vault.Place(self.origin, index, leaf))
        except NotVerified as error:
            raise LedgerDamaged(self.name, str(error), index) from error

    def proof(self, index: int) -> str:
        """The `.tlog-proof` of a published entry. NotPublished before a checkpoint covers it."""
        head = self._publisher.head
        size = head.edge.size
        if not 0 <= index < size:
            self._known(index)
            raise NotPublished(f"no checkpoint of {self.name} covers entry {index} yet")
        reader = hash_reader(self._read_cut, size)
        try:
            hashes = inclusion_proof(index, size, reader)
            verify_inclusion(index, size, reader(0, index), hashes, head.edge.root())
        except (LookupError, NotVerified) as error:
            raise LedgerDamaged(self.name, f"the tiles prove nothing: {error}", index) from error
        return Proof(index, hashes, head.checkpoint).render()

    def find(self, receipt_id: str) -> int | None:
        """The index of a committed entry that is not published yet; None for others."""
        return self._indices.get(receipt_id)

    def checkpoint(self) -> str:
        """The published checkpoint, a signed note."""
        return self._publisher.head.checkpoint

    def read_tile(self, path: str) -> bytes | None:
        """The resource tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>] of the published tree.

        None when there is none.
        """
        name = parse_tile_path(path)
        if name is None or width_at(name, self.size) < name.width:
            return None
        return self._read_cut(name)

    async def aclose(self) -> None:
        """Commit what is queued, publish everything, stop.

        Raises what prevented publishing; the journal keeps it all the same.
        """
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        with self._changed:
            already, self._closed = self._closed, True
        if already:
            return
        self._queue.put(None)
        self._writer.join()
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._integrator.join()
        self._journal.close()
        self._lock.release()
        if self._unpublished is not None:
            raise self._unpublished

    def _content_key(self, subjects: tuple[str, ...]) -> ContentKey:
        """The key of new people is made in files: LedgerFull when there is no room for them."""
        try:
            return self._keys.content_key(subjects)
        except OSError as error:
            if error.errno in SPACE_ERRORS:
                raise LedgerFull(f"{self.name}: cannot make a subject's key: {error.strerror}") from error
            raise KeysUnusable(f"{self.name}: cannot make a subject's key: {error.strerror}") from error

    # -- reading

    def _read_cut(self, name: TileName) -> bytes | None:
        return read_cut(self._folder, name)

    def _known(self, index: int) -> None:
        if not 0 <= index < self._next_index:
            raise NoSuchEntry(f"{self.name} has no entry {index}")

    def _entry_and_leaf(self, index: int) -> tuple[bytes, bytes]:
        close = self._pending.get(index)
        if close is not None:
            return close.entry, leaf_hash(close.entry)
        self._known(index)
        number, offset = divmod(index, TILE_WIDTH)
        name = TileName(None, number, width_at(TileName(None, number), self.size))
        entries, leaves = self._bundle(name)
        if leaf_hash(entries[offset]) != leaves[offset]:
            raise LedgerDamaged(self.name, "the entry does not hash to its tile", index)
        return entries[offset], leaves[offset]

    def _bundle(self, name: TileName) -> tuple[list[bytes], list[bytes]]:
        """Entries and leaf hashes of a published bundle. The last one is kept, for those who read one after another."""
        kept = self._last_bundle
        if kept is not None and kept[0] == name:
            return kept[1], kept[2]
        bundle, tile = self._read_cut(name), self._read_cut(TileName(0, name.number, name.width))
        if bundle is None or tile is None:
            what = f"{name.path} or its tile is missing or too short"
            raise LedgerDamaged(self.name, what, name.number * TILE_WIDTH)
        entries, leaves = unpack_bundle(bundle), split_hashes(tile)
        self._last_bundle = (name, entries, leaves)
        return entries, leaves

    # -- committing

    def _refuse_when_broken(self) -> None:
        if self._closed:
            raise LedgerBroken(f"{self.name} is closed")
        if self.broken:
            raise LedgerBroken(self.broken)

    def _submit(self, receipt_id: str, content: bytes | _Sealing, weight: int, limit: int) -> Awaitable[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._refuse_when_broken()
            if self._backlog_bytes and self._backlog_bytes + weight > limit:
                raise LedgerFull(f"{self.name}: {self._backlog_bytes >> 20} MiB wait to be published already")
            self._backlog_bytes += weight
        self._queue.put(_Request(receipt_id, content, weight, future))
        return future

    def _write(self) -> None:
        """The writer's thread: one batch after another until told to stop."""
        running = True
        while running:
            batch: list[_Request] = []
            weight = 0
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                weight += item.weight
                if len(batch) >= BATCH_RECORDS_MAX or weight >= BATCH_BYTES_MAX:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            running = item is not None
            if batch:
                _answer(self._commit_or_break(batch))

    def _commit_or_break(self, batch: Sequence[_Request]) -> list[_Answer]:
        try:
            return self._commit(batch)
        except Exception as error:
            self._broken = f"{self.name}: the writer failed: {error!r}; reopen the log"
            return [(request.future, LedgerBroken(self._broken)) for request in batch]

    def _commit(self, batch: Sequence[_Request]) -> list[_Answer]:
        """Append the batch as one frame; answers what to tell whom."""
        answers: list[_Answer] = []
        accepted: list[tuple[_Request, Intent | Close]] = []
        body: list[bytes] = []
        index = self._next_index
        for request in batch:
            try:
                record = request.record(index, self.origin)
                body.append(encode_record(record))
            except Exception as error:
                answers.append((request.future, error))
                self._lighten(request.weight)
                continue
            accepted.append((request, record))
            index += isinstance(record, Close)
        try:
            self._refuse_to_write()
            self._append(b"".join(body), accepted)
        except LedgerError as error:
            for request, _ in accepted:
                answers.append((request.future, error))
                self._lighten(request.weight)
            return answers
        self._remember(accepted, index)
        for request, record in accepted:
            answers.append((request.future, record.index if isinstance(record, Close) else -1))
        return answers

    def _refuse_to_write(self) -> None:
        if self.broken:
            raise LedgerBroken(self.broken)

    def _append(self, body: bytes, accepted: Sequence[tuple[_Request, Intent | Close]]) -> None:
        if not accepted:
            return
        if self._journal.is_long:
            intents = [Intent(receipt_id, intent) for receipt_id, intent in self._open.items()]
            with contextlib.suppress(LedgerFull):  # then the old segment goes on; the append says whether there is room
                self._journal.rotate(self._next_index, intents)
        self._journal.append(body)

    def _remember(self, accepted: Sequence[tuple[_Request, Intent | Close]], next_index: int) -> None:
        with self._changed:
            for request, record in accepted:
                if isinstance(record, Close):
                    self._pending[record.index] = record
                    self._indices[record.id] = record.index
                    self._open.pop(record.id, None)
                    self._backlog_bytes += len(record.sealed) + len(record.entry) - request.weight
                else:
                    self._open[record.id] = record.intent
                    self._backlog_bytes -= request.weight
            self._next_index = next_index
            self._changed.notify_all()

    def _lighten(self, weight: int) -> None:
        with self._changed:
            self._backlog_bytes -= weight

    # -- publishing

    def _integrate(self) -> None:
        """The integrator's thread: publish, wait, repeat; stops when told to and nothing is left, or when broken."""
        published_at = -PUBLISH_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or bool(self._pending))
                due = published_at + PUBLISH_SECONDS - time.monotonic()
                self._changed.wait_for(lambda: self._stopping or bool(self._waiters), timeout=max(0.0, due))
                closes = list(itertools.islice(self._pending.values(), PUBLISH_ENTRIES_MAX))
            if not closes:
                return
            try:
                self._publisher.publish(closes)
            except LedgerError as error:
                if not self._go_on_after(error):
                    return
                continue
            except Exception as error:
                self._go_on_after(LedgerBroken(f"{self.name}: publishing failed: {error!r}; reopen the log"))
                return
            published_at = time.monotonic()
            self._settle(closes)

    def _go_on_after(self, error: LedgerError) -> bool:
        """Tell the waiters.

        After a full disk wait a while and go on, unless stopping; after anything else stop for good.
        """
        with self._changed:
            waiters, self._waiters = self._waiters, deque()
            self._unpublished = error
            is_full = isinstance(error, LedgerFull)
            if not is_full:
                self._broken = str(error)
            _answer([(future, error) for _, future in waiters])
            if is_full and not self._stopping:
                self._changed.wait_for(lambda: self._stopping, timeout=RETRY_SECONDS)
                return True
            return False

    def _settle(self, closes: Sequence[Close]) -> None:
        size = self.size
        with self._changed:
            self._unpublished = None
            for close in closes:
                del self._pending[close.index]
                self._indices.pop(close.id, None)
                self._backlog_bytes -= len(close.sealed) + len(close.entry)
            reached = [(future, index) for index, future in self._waiters if index < size]
            self._waiters = deque(waiter for waiter in self._waiters if waiter[0] >= size)
        _answer(reached)
        with contextlib.suppress(OSError):  # a covered segment that stays is litter, and is tried again next time
            self._journal.drop_covered(size)


def _answer(answers: Sequence[tuple[asyncio.Future[int], int | BaseException]]) -> None:
    """Resolve futures in their event loops: one wake-up a loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Answer]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, its in by_loop.items():
        try:
            loop.call_soon_threadsafe(_resolve, its)
        except RuntimeError:
            continue  # the loop was closed: nobody waits there any more


def _resolve(answers: Sequence[_Answer]) -> None:
    for future, answer in answers:
        if future.done():  # the caller was cancelled; what was committed stays committed
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
