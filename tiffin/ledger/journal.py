"""The journal: append-only segments of frames, one frame a group commit, each covered by checksums.

A segment is named by the sequence number of its first frame, which opens with a Head (the log's origin and the next
index) and the intents still open then. So a segment depends on no earlier one except for closes that no checkpoint
covers yet, and the older ones can go as soon as those are published.

A frame is a header (magic, sequence, body length, body CRC-32, header CRC-32) and a body of records. The header has
its own CRC so that a damaged length is told from a frame cut short by a crash: only a tail that ends too early, or
that is all zeros (blocks never written), counts as torn; anything else is damage.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger.disk import NO_DESCRIPTOR, SPACE_ERRORS, Disk, write_all
from tiffin.ledger.errors import LedgerBroken, LedgerDamaged, LedgerFull, TooLarge
from tiffin.ledger.tiles import ENTRY_BYTES_MAX

MAGIC = b"TFJ1"
SEGMENT_BYTES_MAX = (
    64 << 20
)  # bytes; a segment is at most this plus one frame: bounds reading at recovery to well under 1 s
ID_BYTES_MAX = 255  # bytes; a UUIDv7 has 36
INTENT_BYTES_MAX = 65_535  # bytes; an intent is a smaller receipt, and open ones are copied into each new segment
SEALED_BYTES_MAX = 160 << 20  # bytes; the largest payload (vault.PAYLOAD_BYTES_MAX) and its envelope
FRAME_BYTES_MAX = (1 << 32) - 1  # bytes; the body length is a uint32
SUFFIX = ".segment"

_HEADER = struct.Struct(">4sQII")
_CRC = struct.Struct(">I")
_HEAD = struct.Struct(">cQH")
_INTENT = struct.Struct(">cHI")
_CLOSE = struct.Struct(">cQHHI")
HEADER_BYTES = _HEADER.size + _CRC.size


@dataclass(frozen=True)
class Head:
    """First record of a segment: whose it is, and the index that the next close gets."""

    origin: str
    next_index: int


@dataclass(frozen=True)
class Intent:
    """A call is about to be made."""

    id: str
    intent: bytes


@dataclass(frozen=True)
class Close:
    """A call has ended: the entry that becomes leaf `index`, and its sealed payload."""

    index: int
    id: str
    entry: bytes
    sealed: bytes


Record = Head | Intent | Close


def encode_id(receipt_id: str) -> bytes:
    identity = receipt_id.encode()
    if not 0 < len(identity) <= ID_BYTES_MAX:
        raise TooLarge(f"a receipt id has 1 to {ID_BYTES_MAX} bytes, not {len(identity)}")
    return identity


def encode_record(record: Record) -> bytes:
    """The bytes of one record; TooLarge when a part is over its bound."""
    if isinstance(record, Close):
        identity = encode_id(record.id)
        if len(record.entry) > ENTRY_BYTES_MAX or len(record.sealed) > SEALED_BYTES_MAX:
            raise TooLarge(f"an entry has at most {ENTRY_BYTES_MAX} bytes, not {len(record.entry)}")
        fixed = _CLOSE.pack(b"C", record.index, len(identity), len(record.entry), len(record.sealed))
        return b"".join((fixed, identity, record.entry, record.sealed))
    if isinstance(record, Intent):
        identity = encode_id(record.id)
        if len(record.intent) > INTENT_BYTES_MAX:
            raise TooLarge(f"an intent has at most {INTENT_BYTES_MAX} bytes, not {len(record.intent)}")
        return _INTENT.pack(b"I", len(identity), len(record.intent)) + identity + record.intent
    origin = record.origin.encode()
    return _HEAD.pack(b"H", record.next_index, len(origin)) + origin


def decode_records(body: bytes) -> list[Record]:
    """Every record of a frame's body; ValueError when the bytes are anything else."""
    records: list[Record] = []
    position = 0
    while position < len(body):
        record, position = _decode_record(body, position)
        records.append(record)
    return records


def _decode_record(body: bytes, start: int) -> tuple[Record, int]:
    kind = body[start : start + 1]
    try:
        if kind == b"C":
            _, index, id_bytes, entry_bytes, sealed_bytes = _CLOSE.unpack_from(body, start)
            (identity, entry, sealed), end = _take(body, start + _CLOSE.size, (id_bytes, entry_bytes, sealed_bytes))
            return Close(index, identity.decode(), entry, sealed), end
        if kind == b"I":
            _, id_bytes, intent_bytes = _INTENT.unpack_from(body, start)
            (identity, intent), end = _take(body, start + _INTENT.size, (id_bytes, intent_bytes))
            return Intent(identity.decode(), intent), end
        if kind == b"H":
            _, next_index, origin_bytes = _HEAD.unpack_from(body, start)
            (origin,), end = _take(body, start + _HEAD.size, (origin_bytes,))
            return Head(origin.decode(), next_index), end
    except (UnicodeDecodeError, struct.error) as error:
        raise ValueError("a record is malformed") from error
    raise ValueError(f"no record has the kind {kind!r}")


def _take(body: bytes, start: int, lengths: Sequence[int]) -> tuple[list[bytes], int]:
    """Consecutive parts of these lengths, and where they end."""
    parts: list[bytes] = []
    for length in lengths:
        parts.append(body[start : start + length])
        start += length
    if start > len(body):
        raise ValueError("a record is longer than its frame")
    return parts, start


def encode_frame(sequence: int, body: bytes) -> bytes:
    header = _HEADER.pack(MAGIC, sequence, len(body), zlib.crc32(body))
    return b"".join((header, _CRC.pack(zlib.crc32(header)), body))


@dataclass(frozen=True)
class Frame:
    """A frame read back: where it began, and its records."""

    sequence: int
    offset: int
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Torn:
    """The tail of the last segment was cut short by a crash."""

    segment: str
    offset: int
    tail: bytes


@dataclass(frozen=True)
class Bad:
    """A frame that cannot be what was written."""

    segment: str
    offset: int
    what: str


def segment_name(sequence: int) -> str:
    return f"{sequence:020d}{SUFFIX}"


def segment_names(folder: Path) -> list[str]:
    """The names of the segments in the journal's folder, oldest first."""
    return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))


def read_segment(name: str, data: bytes) -> Iterator[Frame | Torn | Bad]:
    """The frames of one segment; ends with a Torn or a Bad when the bytes stop making sense.

    Whether a Torn is tolerable is the caller's to say: it is in the last segment only.
    """
    position, end = 0, len(data)
    sequence = int(name.removesuffix(SUFFIX))
    while position < end:
        header_end = position + HEADER_BYTES
        if header_end > end or data[position : position + len(MAGIC)] == bytes(len(MAGIC)):
            tail = data[position:]
            begun = not any(tail) or (header_end > end and MAGIC.startswith(tail[: len(MAGIC)]))
            yield Torn(name, position, tail) if begun else Bad(name, position, "the last bytes begin no frame")
            return
        magic, number, length, body_crc = _HEADER.unpack_from(data, position)
        if zlib.crc32(data[position : position + _HEADER.size]) != _CRC.unpack_from(data, position + _HEADER.size)[0]:
            yield Bad(name, position, "the checksum of a frame's header does not hold")
            return
        if magic != MAGIC or number != sequence:
            yield Bad(name, position, f"frame {sequence} was expected")
            return
        if end - header_end < length:
            yield Torn(name, position, data[position:])
            return
        body = data[header_end : header_end + length]
        if zlib.crc32(body) != body_crc:
            yield Bad(name, position, "the checksum of a frame does not hold")
            return
        try:
            yield Frame(number, position, tuple(decode_records(body)))
        except ValueError as error:
            yield Bad(name, position, str(error))
            return
        position = header_end + length
        sequence += 1


@dataclass(frozen=True)
class Covered:
    """A finished segment: it may go once the tree is published up to `end_index`."""

    path: Path
    end_index: int


class Journal:
    """The writer's end. One thread appends and rotates; another may call `drop_covered`."""

    def __init__(self, folder: Path, *, log: str, origin: str, disk: Disk) -> None:
        self._folder = folder
        self._log = log
        self._origin = origin
        self._disk = disk
        self._fd = -1
        self._path = folder
        self._end = 0
        self._sequence = 0
        self._finished: list[Covered] = []
        self._finished_lock = threading.Lock()
        self.broken = ""

    def begin(self, sequence: int, next_index: int, intents: Sequence[Intent], finished: list[Covered]) -> None:
        """Start the first segment of this writer; durable on return. `finished` are the older ones still on disk."""
        self._sequence = sequence
        self._finished = finished
        self._start_segment(next_index, intents)

    @property
    def is_long(self) -> bool:
        return self._end >= SEGMENT_BYTES_MAX

    def append(self, body: bytes) -> None:
        """Add one frame; durable on return. LedgerFull: nothing was added. LedgerBroken: nobody knows; reopen."""
        if self.broken:
            raise LedgerBroken(self.broken)
        if len(body) > FRAME_BYTES_MAX:
            raise TooLarge("a frame holds at most 4 GiB")
        self._add_frame(self._fd, self._end, encode_frame(self._sequence, body))
        self._end += HEADER_BYTES + len(body)
        self._sequence += 1

    def rotate(self, next_index: int, intents: Sequence[Intent]) -> None:
        """Go on in a new segment that carries the open intents; on LedgerFull the old one simply goes on."""
        old_fd, old_path = self._fd, self._path
        self._start_segment(next_index, intents)
        os.close(old_fd)
        with self._finished_lock:
            self._finished.append(Covered(old_path, next_index))

    def drop_covered(self, size: int) -> None:
        """Remove finished segments, oldest first, all of whose closes are below the published `size`."""
        with self._finished_lock:
            while self._finished and self._finished[0].end_index <= size:
                self._disk.remove(self._finished[0].path)
                self._finished.pop(0)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _start_segment(self, next_index: int, intents: Sequence[Intent]) -> None:
        records: list[Record] = [Head(self._origin, next_index), *intents]
        frame = encode_frame(self._sequence, b"".join(encode_record(record) for record in records))
        path = self._folder / segment_name(self._sequence)
        try:
            fd = self._disk.create(path)
        except OSError as error:
            raise self._refusal(error, "create a segment of the journal") from error
        try:
            self._add_frame(fd, 0, frame)
            self._disk.sync_folder(self._folder)
        except (OSError, LedgerFull, LedgerBroken) as error:
            os.close(fd)
            self._abandon(path, error)
        self._fd, self._path, self._end = fd, path, len(frame)
        self._sequence += 1

    def _abandon(self, path: Path, error: Exception) -> None:
        """A new segment failed. Without it the old one goes on, which is sound only if the new one is gone again."""
        if isinstance(error, OSError) and error.errno not in NO_DESCRIPTOR:
            raise self._break(error, "sync the journal's folder") from error
        try:
            self._disk.remove(path)
        except OSError as second:
            raise self._break(second, "remove an unfinished segment") from second
        if isinstance(error, OSError):
            raise self._refusal(error, "sync the journal's folder") from error
        raise error

    def _add_frame(self, fd: int, start: int, frame: bytes) -> None:
        try:
            write_all(self._disk, fd, frame)
        except OSError as error:
            try:
                self._disk.truncate(fd, start)
            except OSError as second:
                raise self._break(second, "cut a half-written frame off the journal") from error
            raise self._refusal(error, "write to the journal") from error
        try:
            self._disk.sync(fd)
        except OSError as error:
            # After a failed sync the kernel may have dropped the dirty pages: a second sync would report a lie.
            raise self._break(error, "sync the journal") from error

    def _refusal(self, error: OSError, action: str) -> LedgerFull | LedgerBroken:
        if error.errno in SPACE_ERRORS:
            return LedgerFull(f"{self._log}: cannot {action}: {error.strerror}")
        return self._break(error, action)

    def _break(self, error: OSError, action: str) -> LedgerBroken:
        self.broken = f"{self._log}: could not {action}: {error.strerror}; reopen the log"
        return LedgerBroken(self.broken)


@dataclass(frozen=True)
class Found:
    """What the segments hold: open intents, the closes from `size` on, and where numbering goes on."""

    intents: dict[str, bytes]
    closes: tuple[Close, ...]
    first_index: int
    next_index: int
    next_sequence: int
    segments: tuple[Covered, ...]
    torn: Torn | None


def read_journal(
    folder: Path, *, log: str, origin: str, size: int, covered: Callable[[Close], None] | None = None
) -> Found:
    """Read every segment. LedgerDamaged for anything but a torn tail of the last one.

    Closes below `size` are not kept, only shown to `covered`.
    """
    reading = _Reading(log, origin, size, covered)
    names = segment_names(folder)
    segments: list[Covered] = []
    for name in names:
        reading.segment(name, (folder / name).read_bytes(), last=name == names[-1])
        segments.append(Covered(folder / name, reading.next_index or 0))
    next_index = reading.next_index
    if next_index is None:
        next_index = reading.first_index = 0
    return Found(
        reading.intents, tuple(reading.closes), reading.first_index, next_index, reading.sequence or 0,
        tuple(segments), reading.torn,
    )  # fmt: skip


class _Reading:
    """The state of reading a journal from its first frame to its last."""

    def __init__(self, log: str, origin: str, size: int, covered: Callable[[Close], None] | None) -> None:
        self.log, self.origin, self.size, self.covered = log, origin, size, covered
        self.intents: dict[str, bytes] = {}
        self.closes: list[Close] = []
        self.first_index = 0
        self.next_index: int | None = None
        self.sequence: int | None = None
        self.torn: Torn | None = None

    def segment(self, name: str, data: bytes, *, last: bool) -> None:
        number = int(name.removesuffix(SUFFIX)) if name.removesuffix(SUFFIX).isdigit() else -1
        if number < 0 or (self.sequence is not None and number != self.sequence):
            raise LedgerDamaged(self.log, f"journal/{name} does not follow the segment before it", self.next_index)
        self.sequence = number
        if not data:
            self._torn(name, Torn(name, 0, b""), last=last)
        for item in read_segment(name, data):
            match item:
                case Frame():
                    self.frame(name, item)
                case Torn():
                    self._torn(name, item, last=last)
                case Bad():
                    raise self._damage(name, item.offset, item.what)

    def _torn(self, name: str, torn: Torn, *, last: bool) -> None:
        if not last:
            raise self._damage(name, torn.offset, "the segment is cut short, and it is not the last")
        self.torn = torn

    def frame(self, name: str, frame: Frame) -> None:
        if frame.offset == 0 and not (frame.records and isinstance(frame.records[0], Head)):
            raise self._damage(name, 0, "the segment has no head")
        for position, record in enumerate(frame.records):
            match record:
                case Head():
                    if frame.offset or position or record.origin != self.origin:
                        raise self._damage(name, frame.offset, "a segment's head is not its first, or another log's")
                    if self.next_index is None:
                        self.first_index = self.next_index = record.next_index
                    elif self.next_index != record.next_index:
                        raise self._damage(name, frame.offset, "the segment does not go on where the last one ended")
                    self.intents = {}  # carried over, right behind this head
                case Intent():
                    self.intents[record.id] = record.intent
                case Close():
                    if record.index != self.next_index:
                        raise self._damage(name, frame.offset, f"index {record.index} is out of order")
                    self.next_index = record.index + 1
                    self.intents.pop(record.id, None)
                    if record.index >= self.size:
                        self.closes.append(record)
                    elif self.covered is not None:
                        self.covered(record)
        self.sequence = frame.sequence + 1

    def _damage(self, name: str, offset: int, what: str) -> LedgerDamaged:
        return LedgerDamaged(self.log, f"journal/{name} at byte {offset}: {what}", self.next_index)
