"""C2SP tlog-tiles: paths, widths, entry bundles, the growing right edge of the tree, and reading tiles from a folder.

A partial tile is a prefix of every wider one of the same number, so only the widest is kept on disk and a narrower
one, which the specification obliges us to serve, is cut from it.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger.errors import LedgerDamaged
from tiffin.ledger.tree import HASH_BYTES, HashReader, fold, root_of

TILE_WIDTH = 256
ENTRY_BYTES_MAX = 65_535  # bytes; the bundle's length prefix is a uint16
LEVEL_MAX = 63
READ_ATTEMPTS = 3  # tries; a partial tile can be superseded between listing and opening, but not three times running

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_LENGTH = struct.Struct(">H")


@dataclass(frozen=True)
class TileName:
    """Which tile: a level, or None for an entry bundle; a number; a width of 1 to 256."""

    level: int | None
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        kind = "entries" if self.level is None else str(self.level)
        suffix = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{kind}/{number_path(self.number)}{suffix}"

    @property
    def partial_folder(self) -> str:
        return f"{TileName(self.level, self.number).path}.p"


def number_path(number: int) -> str:
    """1234067 → x001/x234/067."""
    if number < 0:
        raise ValueError(f"a tile number is not negative: {number}")
    path = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        path = f"x{number % 1000:03d}/{path}"
    return path


def parse_number(path: str) -> int:
    """The inverse; ValueError for any spelling but the one."""
    number = int(path.replace("/", "").replace("x", ""))
    if number_path(number) != path:
        raise ValueError(f"not a tile number: {path!r}")
    return number


def parse_tile_path(path: str) -> TileName | None:
    """The tile that the path names, or None when it names none."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    kind, number, width = match.groups()
    level = None if kind == "entries" else int(kind)
    if level is not None and level > LEVEL_MAX:
        return None
    try:
        name = TileName(level, parse_number(number), TILE_WIDTH if width is None else int(width))
    except ValueError:
        return None
    return name if width is None or name.width < TILE_WIDTH else None


def width_at(name: TileName, size: int) -> int:
    """How wide a tree of `size` makes this tile (0 when it has none of it)."""
    units = size >> 8 * (name.level or 0)
    return max(0, min(TILE_WIDTH, units - name.number * TILE_WIDTH))


def pack_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries, each after its big-endian uint16 length."""
    return b"".join([part for entry in entries for part in (_LENGTH.pack(len(entry)), entry)])


def read_bundle(data: bytes, count: int | None = None) -> tuple[list[bytes], str]:
    """The first `count` entries (all, without a count) as far as they can be read, and what stopped the reading."""
    entries: list[bytes] = []
    position, end = 0, len(data)
    while position < end and len(entries) != count:
        start = position + 2
        if start > end:
            return entries, f"it ends within the length of entry {len(entries)}"
        position = start + (data[start - 2] << 8 | data[start - 1])
        if position > end:
            return entries, f"it ends within entry {len(entries)}"
        entries.append(data[start:position])
    if count is not None and len(entries) != count:
        return entries, f"it holds {len(entries)} entries, not {count}"
    return entries, ""


def unpack_bundle(data: bytes, count: int | None = None) -> list[bytes]:
    """The first `count` entries (all, without a count); ValueError when the bytes do not hold them exactly."""
    entries, fault = read_bundle(data, count)
    if fault:
        raise ValueError(f"a bundle cannot be read: {fault}")
    return entries


@dataclass(frozen=True)
class Tile:
    """A tile to be written: its name and its hashes."""

    name: TileName
    hashes: bytes


@dataclass(frozen=True)
class Edge:
    """The right edge of a tree: for each tile level, the hashes of the partial tile there."""

    size: int = 0
    rows: tuple[tuple[bytes, ...], ...] = ()

    def root(self) -> bytes:
        subtrees: list[bytes] = []
        for row in reversed(self.rows):
            start = 0
            while start < len(row):
                span = 1 << (len(row) - start).bit_length() - 1
                subtrees.append(root_of(row[start : start + span]))
                start += span
        return fold(subtrees)


def grow(edge: Edge, leaves: Sequence[bytes]) -> tuple[Edge, list[Tile]]:
    """The edge after these leaf hashes, and every tile that changed.

    The full ones, and each touched level's partial one.
    """
    rows = [list(row) for row in edge.rows]
    tiles: list[Tile] = []
    carry, level = list(leaves), 0
    while carry:
        if level == len(rows):
            rows.append([])
        row, carry = rows[level] + carry, []
        number = edge.size >> 8 * (level + 1)
        for start in range(0, len(row) - TILE_WIDTH + 1, TILE_WIDTH):
            full = row[start : start + TILE_WIDTH]
            tiles.append(Tile(TileName(level, number), b"".join(full)))
            carry.append(root_of(full))
            number += 1
        rows[level] = row[len(row) - len(row) % TILE_WIDTH :]
        if rows[level]:
            tiles.append(Tile(TileName(level, number, len(rows[level])), b"".join(rows[level])))
        level += 1
    return Edge(edge.size + len(leaves), tuple(tuple(row) for row in rows)), tiles


def split_hashes(data: bytes) -> list[bytes]:
    return [data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES)]


def read_wide(folder: Path, name: TileName) -> bytes | None:
    """The stored bytes of this tile or bundle at this width or wider, whichever is there; None when neither is."""
    for _ in range(READ_ATTEMPTS):
        for path in (name.path, TileName(name.level, name.number).path):
            try:
                return (folder / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
        try:
            widths = [
                int(width) for width in os.listdir(folder / name.partial_folder) if width.isascii() and width.isdigit()
            ]
        except (FileNotFoundError, NotADirectoryError):
            continue
        for width in sorted(width for width in widths if width > name.width):
            try:
                return (folder / TileName(name.level, name.number, width).path).read_bytes()
            except FileNotFoundError:
                continue
    return None


def read_cut(folder: Path, name: TileName) -> bytes | None:
    """Exactly the bytes of this tile or bundle, cut from a wider one if need be; None when absent or too short."""
    data = read_wide(folder, name)
    if data is None:
        return None
    if name.level is not None:
        end = name.width * HASH_BYTES
        return data[:end] if len(data) >= end else None
    try:
        return pack_bundle(unpack_bundle(data, name.width))
    except ValueError:
        return None


def load_edge(folder: Path, size: int, log: str) -> Edge:
    """The edge of a tree of `size` from its partial tiles; LedgerDamaged when one is missing."""
    rows: list[tuple[bytes, ...]] = []
    level = 0
    while size >> 8 * level:
        units = size >> 8 * level
        width = units % TILE_WIDTH
        row: list[bytes] = []
        if width:
            name = TileName(level, units // TILE_WIDTH, width)
            data = read_cut(folder, name)
            if data is None:
                raise LedgerDamaged(log, f"{name.path} is missing or too short", name.number * TILE_WIDTH << 8 * level)
            row = split_hashes(data)
        rows.append(tuple(row))
        level += 1
    return Edge(size, tuple(rows))


def hash_reader(read_tile: Callable[[TileName], bytes | None], size: int) -> HashReader:
    """A hash reader over the tiles of a tree of `size`; raises LookupError naming the tile that is missing."""
    rows: dict[tuple[int, int], list[bytes]] = {}

    def read(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, 8)
        first = index << height
        number, offset = divmod(first, TILE_WIDTH)
        row = rows.get((tile_level, number))
        if row is None:
            whole = TileName(tile_level, number)
            name = TileName(tile_level, number, width_at(whole, size))
            data = read_tile(name)
            if data is None:
                raise LookupError(f"{name.path} is missing or too short")
            row = rows[tile_level, number] = split_hashes(data)
        return root_of(row[offset : offset + (1 << height)])

    return read
