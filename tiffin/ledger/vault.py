"""Payloads: compressed, sealed with AES-256-GCM, and stored 256 to a file beside the entry bundles.

A file vault/<N> holds the payloads of entries [256 N, 256 N + 256) in order, so an index addresses a payload without
a database. It only grows: rewriting it at every checkpoint, as the entry bundles are, would write each payload about
128 times.

A sealed payload is bound to its log, its index, its receipt id and the leaf hash of its entry: move it, or change the
entry beside it, and it no longer opens. That locates tampering even when someone rebuilt every tile around it.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tiffin.ledger.errors import NotVerified, TooLarge
from tiffin.ledger.keys import KEY_ID_BYTES, NONCE_BYTES, ContentKey, KeyRing, derive
from tiffin.ledger.tiles import TILE_WIDTH, number_path

PAYLOAD_BYTES_MAX = 128 << 20  # bytes; a request body and an answer at their own limits, with room
SALT_BYTES = 16
COMPRESS_LEVEL = (
    1  # zlib level; 10 µs for 1.3 kB of JSON to 42 %; higher levels gain little and cost several times that
)
COMPRESS_BYTES_MIN = 128  # bytes; below this the zlib header eats the gain

_VERSION = 1
_COMPRESSED = 1
_HEAD = struct.Struct(">BBHH")
_RECORD = struct.Struct(">II")
_BOUND = struct.Struct(">QH")
RECORD_HEAD_BYTES = _RECORD.size


@dataclass(frozen=True)
class Place:
    """Where a payload belongs."""

    origin: str
    index: int
    leaf: bytes


@dataclass(frozen=True)
class Packed:
    """A payload ready to be sealed: compressed when that made it smaller."""

    data: bytes
    flags: int


@dataclass(frozen=True)
class SealedHead:
    """The open part of a sealed payload."""

    receipt_id: str
    key_ids: tuple[bytes, ...]
    flags: int
    length: int


def pack(payload: bytes) -> Packed:
    """TooLarge when over the bound."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise TooLarge(f"a payload has at most {PAYLOAD_BYTES_MAX} bytes, not {len(payload)}")
    if len(payload) >= COMPRESS_BYTES_MIN:
        compressed = zlib.compress(payload, COMPRESS_LEVEL)
        if len(compressed) < len(payload):
            return Packed(compressed, _COMPRESSED)
    return Packed(payload, 0)


def _bound_to(place: Place, head: bytes) -> bytes:
    origin = place.origin.encode()
    return b"".join((b"tiffin payload 1\x00", _BOUND.pack(place.index, len(origin)), origin, place.leaf, head))


def seal(packed: Packed, key: ContentKey, place: Place, receipt_id: str) -> bytes:
    """The sealed payload; a fresh AES key and nonce each time."""
    identity = receipt_id.encode()
    fresh = os.urandom(SALT_BYTES + NONCE_BYTES)
    fixed = _HEAD.pack(_VERSION, packed.flags, len(key.ids), len(identity))
    head = b"".join((fixed, identity, *key.ids, fresh))
    cipher = AESGCM(derive(key, fresh[:SALT_BYTES]))
    return head + cipher.encrypt(fresh[SALT_BYTES:], packed.data, _bound_to(place, head))


def read_head(sealed: bytes) -> SealedHead:
    """NotVerified when the bytes are not a sealed payload's."""
    if len(sealed) < _HEAD.size:
        raise NotVerified("a sealed payload is too short")
    version, flags, keys, identity_bytes = _HEAD.unpack_from(sealed)
    ids_at = _HEAD.size + identity_bytes
    length = ids_at + keys * KEY_ID_BYTES + SALT_BYTES + NONCE_BYTES
    if version != _VERSION or flags & ~_COMPRESSED or keys == 0 or len(sealed) < length:
        raise NotVerified("a sealed payload has a head that no version of Tiffin wrote")
    ids = tuple(sealed[at : at + KEY_ID_BYTES] for at in range(ids_at, ids_at + keys * KEY_ID_BYTES, KEY_ID_BYTES))
    try:
        receipt_id = sealed[_HEAD.size : ids_at].decode()
    except UnicodeDecodeError as error:
        raise NotVerified("the receipt id of a sealed payload is not UTF-8") from error
    return SealedHead(receipt_id, ids, flags, length)


def unseal(sealed: bytes, keys: KeyRing, place: Place) -> bytes:
    """The payload. PayloadErased when a subject's key was destroyed; NotVerified when it was changed or moved."""
    head = read_head(sealed)
    opened = sealed[: head.length]
    key = keys.opening_key(head.key_ids)
    fresh = opened[-(SALT_BYTES + NONCE_BYTES) :]
    cipher = AESGCM(derive(key, fresh[:SALT_BYTES]))
    try:
        data = cipher.decrypt(fresh[SALT_BYTES:], sealed[head.length :], _bound_to(place, opened))
    except InvalidTag as error:
        raise NotVerified("the payload was changed, or does not belong to this entry") from error
    if not head.flags & _COMPRESSED:
        return data
    unpacking = zlib.decompressobj()
    payload = unpacking.decompress(data, PAYLOAD_BYTES_MAX)
    if not unpacking.eof or unpacking.unused_data:
        raise NotVerified("the payload does not unpack")
    return payload


def file_path(number: int) -> str:
    return f"vault/{number_path(number)}"


def frame(sealed: bytes) -> bytes:
    """One record of a vault file: length, CRC-32, sealed payload."""
    return _RECORD.pack(len(sealed), zlib.crc32(sealed)) + sealed


def read_frame(data: bytes, position: int = 0) -> bytes:
    """The sealed payload of the record at `position` of a vault file.

    NotVerified when it does not hold or is cut short.
    """
    if len(data) - position < _RECORD.size:
        raise NotVerified("a vault file ends too early")
    length, crc = _RECORD.unpack_from(data, position)
    start = position + _RECORD.size
    sealed = data[start : start + length]
    if len(sealed) != length:
        raise NotVerified("a vault file ends within a payload")
    if zlib.crc32(sealed) != crc:
        raise NotVerified("the checksum of a sealed payload does not hold")
    return sealed


def find_record(fd: int, count: int) -> tuple[int, int]:
    """Where record number `count` of an open vault file begins, and its length.

    NotVerified when the file ends before.
    """
    position = 0
    length = 0
    for remaining in range(count, -1, -1):
        head = os.pread(fd, _RECORD.size, position)
        if len(head) != _RECORD.size:
            raise NotVerified("a vault file ends too early")
        length = _RECORD.unpack(head)[0]
        if remaining:
            position += _RECORD.size + length
    return position, length


def read_payload(folder: Path, index: int) -> bytes:
    """The sealed payload of a published entry. NotVerified when it is missing or damaged."""
    number, offset = divmod(index, TILE_WIDTH)
    try:
        fd = os.open(folder / file_path(number), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotVerified(f"{file_path(number)} is missing") from error
    try:
        position, length = find_record(fd, offset)
        return read_frame(os.pread(fd, _RECORD.size + length, position))
    finally:
        os.close(fd)


def end_of(folder: Path, size: int) -> int:
    """The byte at which the last vault file ends for a tree of `size`: what lies behind was never published."""
    number, count = divmod(size, TILE_WIDTH)
    if count == 0:
        return 0
    try:
        fd = os.open(folder / file_path(number), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotVerified(f"{file_path(number)} is missing") from error
    try:
        position, length = find_record(fd, count - 1)
        end = position + _RECORD.size + length
        if os.fstat(fd).st_size < end:
            raise NotVerified(f"{file_path(number)} ends too early")
        return end
    finally:
        os.close(fd)
