"""The tree of one log, derived again from its entries, and every file compared with what it must then hold.

Entries are read bundle by bundle and hashed; tiles of every level are rebuilt and compared; the root at each size
that a signed checkpoint names is compared; payloads are opened. Memory is bounded by the journal's tail and one
bundle.

Where an entry and its tile disagree, the hash above them tells which of the two was changed.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tiffin.ledger import vault
from tiffin.ledger.checkpoint import Checkpoint
from tiffin.ledger.errors import KeysUnusable, NotVerified, PayloadErased
from tiffin.ledger.inventory import Inventory
from tiffin.ledger.journal import Close
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.report import Problem
from tiffin.ledger.tiles import (
    TILE_WIDTH,
    Edge,
    TileName,
    pack_bundle,
    read_bundle,
    read_cut,
    read_wide,
    split_hashes,
    width_at,
)
from tiffin.ledger.tree import HASH_BYTES, leaf_hash, root_of

PROBLEMS_MAX = 1_000  # problems told of one log; a log that was replaced as a whole has one an entry

CheckPayload = Callable[[bytes, bytes], str | None]
"""(entry, payload) → what is wrong between them, or None."""


def digests(close: Close) -> tuple[bytes, bytes]:
    """What is remembered of a close that is in the tree already: its leaf hash, and a digest of its sealed payload."""
    return leaf_hash(close.entry), hashlib.sha256(close.sealed).digest()


class Audit:
    """Built for one log, run once; then `problems`, `opened`, `erased` and `payload_seconds` hold the outcome."""

    def __init__(
        self,
        folder: Path,
        checkpoint: Checkpoint,
        inventory: Inventory,
        *,
        closes: Sequence[Close],
        covered: Mapping[int, tuple[bytes, bytes]],
        keys: KeyRing | None,
    ) -> None:
        self._folder = folder
        self._log = folder.name
        self._checkpoint = checkpoint
        self._size = checkpoint.size
        self._tiles = dict(inventory.tiles)
        self._vault = dict(inventory.vault)
        self._pending = [close for close in closes if close.index >= checkpoint.size]
        self._covered = {
            **covered,
            **{close.index: digests(close) for close in closes if close.index < checkpoint.size},
        }
        self._known = checkpoint.size + len(self._pending)
        self._keys = keys
        self._rows: list[list[bytes]] = [[]]
        self.problems: list[Problem] = []
        self.opened = 0
        self.erased = 0
        self.payload_seconds = 0.0

    def run(self, kept: Mapping[int, Checkpoint], check_payload: CheckPayload | None) -> None:
        """Check everything; `kept` are the signed checkpoints, by size, that the tree must contain."""
        kept = {**kept, self._size: self._checkpoint}
        for number in range(self._known // TILE_WIDTH + 1):
            waiting = self._waiting(number)
            entries, leaves = self._check_leaves(number, waiting)
            started = time.perf_counter()
            self._check_vault(number, entries, waiting, check_payload)
            self.payload_seconds += time.perf_counter() - started
            self._check_roots(number, leaves, kept)
            self._push(0, number, leaves)
        for level, row in enumerate(self._rows[1:], start=1):
            number = self._known >> 8 * (level + 1)
            self._check_tile(level, number, row, self._load(level, number))
        self._check_rest()

    def _problem(self, what: str, index: int | None = None) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(self._log, index, what))

    def _waiting(self, number: int) -> list[Close]:
        """The committed, unpublished closes of this bundle."""
        first = max(0, number * TILE_WIDTH - self._size)
        return self._pending[first : max(0, (number + 1) * TILE_WIDTH - self._size)]

    # -- entries and tiles

    def _load(self, level: int | None, number: int) -> dict[int, bytes]:
        """The listed files of a tile or bundle that are still there, by width."""
        files = {name.width: self._read(name.path) for name in self._tiles.pop((level, number), ())}
        return {width: data for width, data in sorted(files.items()) if data is not None}

    def _pick(self, files: Mapping[int, bytes], name: TileName) -> bytes | None:
        """The bytes that serve this width: the exact file, a wider one, or one that came since the listing."""
        for width, data in files.items():
            if width >= name.width:
                return data
        return read_wide(self._folder, name)

    def _check_leaves(self, number: int, waiting: Sequence[Close]) -> tuple[list[bytes], list[bytes]]:
        """The published entries that could be read, and all leaf hashes to go on with.

        Those are the entries' own, or the tile's where the tree above says that an entry was changed.
        """
        width = width_at(TileName(None, number), self._size)
        tile_files, bundle_files = self._load(0, number), self._load(None, number)
        hashes = self._tile_hashes(number, width, tile_files)
        entries, fault = self._entries(number, width, bundle_files)
        leaves = [leaf_hash(entry) for entry in entries]
        if fault:
            at = next(
                (at for at, pair in enumerate(zip(leaves, hashes, strict=False)) if pair[0] != pair[1]), len(leaves)
            )
            self._problem(fault, number * TILE_WIDTH + at)
            leaves = hashes
        elif hashes and leaves != hashes:
            leaves = self._blame(number, leaves, hashes)
        self._compare_journal(number, leaves)
        leaves += [leaf_hash(close.entry) for close in waiting]
        self._check_tile(0, number, leaves, tile_files)
        if not fault:
            self._check_bundles(number, [*entries, *(close.entry for close in waiting)], bundle_files)
        return entries, leaves

    def _tile_hashes(self, number: int, width: int, files: Mapping[int, bytes]) -> list[bytes]:
        """The published hashes of a tile of level 0; none, with a problem, where they are missing."""
        name = TileName(0, number, width)
        data = self._pick(files, name) if width else b""
        if data is not None and len(data) >= width * HASH_BYTES:
            return split_hashes(data[: width * HASH_BYTES])
        self._problem(f"{name.path} is missing or too short", number * TILE_WIDTH)
        return []

    def _entries(self, number: int, width: int, files: dict[int, bytes]) -> tuple[list[bytes], str]:
        """The published entries of a bundle, or as many as can be read and what is wrong.

        What was checked leaves `files`.
        """
        if width == 0:
            return [], ""
        name = TileName(None, number, width)
        data = self._pick(files, name)
        if data is None:
            return [], f"{name.path} is missing"
        is_exact = data is files.get(width)
        entries, fault = read_bundle(data, None if is_exact else width)
        if not fault and len(entries) != width:
            fault = f"it holds {len(entries)} entries"
        if is_exact:
            del files[width]
        return entries, fault and f"{name.path}: {fault}"

    def _blame(self, number: int, leaves: list[bytes], tile: list[bytes]) -> list[bytes]:
        """Entries and tile disagree: say where, and which of them the tree above does not know; answers the other."""
        trusts_tile, trusts_entries = self._leads_up(number, tile), self._leads_up(number, leaves)
        if trusts_entries and not trusts_tile:
            return leaves  # the tile was changed: comparing its file says so
        what = "the entry was changed" if trusts_tile and not trusts_entries else "the entry does not hash to its tile"
        for offset, (leaf, hashed) in enumerate(zip(leaves, tile, strict=True)):
            if leaf != hashed:
                self._problem(what, number * TILE_WIDTH + offset)
        return tile if trusts_tile else leaves

    def _leads_up(self, number: int, leaves: list[bytes]) -> bool:
        """Whether the published tree above this tile agrees with these leaves."""
        if len(leaves) < TILE_WIDTH:
            rows = (tuple(leaves), *(tuple(row) for row in self._rows[1:]))
            return Edge(self._size, rows).root() == self._checkpoint.root
        above = TileName(1, number // TILE_WIDTH)
        data = read_cut(self._folder, TileName(1, above.number, width_at(above, self._size)))
        start = number % TILE_WIDTH * HASH_BYTES
        return data is not None and data[start : start + HASH_BYTES] == root_of(leaves)

    def _push(self, level: int, number: int, hashes: list[bytes]) -> None:
        """Hand a full tile's root to the level above, which may fill a tile there."""
        if len(hashes) < TILE_WIDTH:
            return
        if level + 1 == len(self._rows):
            self._rows.append([])
        row = self._rows[level + 1]
        row.append(root_of(hashes))
        if len(row) == TILE_WIDTH:
            above = number // TILE_WIDTH
            self._check_tile(level + 1, above, row, self._load(level + 1, above))
            self._rows[level + 1] = []
            self._push(level + 1, above, row)

    def _check_tile(self, level: int, number: int, hashes: Sequence[bytes], files: Mapping[int, bytes]) -> None:
        """Every file of this tile against the hashes that it must begin with.

        The one that the checkpoint needs must be there.
        """
        whole = TileName(level, number)
        needed = TileName(level, number, width_at(whole, self._size))
        first = number * TILE_WIDTH << 8 * level
        if level and needed.width and self._pick(files, needed) is None:
            self._problem(f"{needed.path} is missing", first)
        for width, data in files.items():
            if data == b"".join(hashes[:width]) and len(hashes) >= width:
                continue
            theirs = split_hashes(data)
            at = next(
                (at for at, pair in enumerate(zip(theirs, hashes, strict=False)) if pair[0] != pair[1]), len(hashes)
            )
            path = TileName(level, number, width).path
            self._problem(f"{path} is not what its entries hash to", first + (at << 8 * level))

    def _check_bundles(self, number: int, entries: Sequence[bytes], files: Mapping[int, bytes]) -> None:
        for width, data in files.items():
            if data != pack_bundle(entries[:width]) or len(entries) < width:
                path = TileName(None, number, width).path
                self._problem(f"{path} holds something else than the first entries of its bundle", number * TILE_WIDTH)

    def _check_roots(self, number: int, leaves: Sequence[bytes], kept: Mapping[int, Checkpoint]) -> None:
        """The root at each kept size that ends within this bundle."""
        for size in range(number * TILE_WIDTH, number * TILE_WIDTH + TILE_WIDTH):
            checkpoint = kept.get(size)
            if checkpoint is None:
                continue
            rows = (tuple(leaves[: size % TILE_WIDTH]), *(tuple(row) for row in self._rows[1:]))
            if Edge(size, rows).root() == checkpoint.root:
                continue
            whose = "the signed checkpoint" if checkpoint is self._checkpoint else "a saved checkpoint"
            self._problem(f"the first {size} entries do not lead to the root that {whose} of them states")

    def _compare_journal(self, number: int, leaves: Sequence[bytes]) -> None:
        if not self._covered:
            return
        for index in range(number * TILE_WIDTH, number * TILE_WIDTH + len(leaves)):
            copy = self._covered.get(index)
            if copy is not None and copy[0] != leaves[index % TILE_WIDTH]:
                self._problem("the entry in the journal is not the published one", index)

    # -- payloads

    def _check_vault(
        self, number: int, entries: Sequence[bytes], waiting: Sequence[Close], check_payload: CheckPayload | None
    ) -> None:
        listed = self._vault.pop(number, None)
        base = number * TILE_WIDTH
        width = width_at(TileName(None, number), self._size)
        data = self._read(vault.file_path(number))
        if data is None and width:
            self._problem(f"{vault.file_path(number)} is missing", base)
        if listed is not None and not width and not waiting:
            self._problem(f"{vault.file_path(number)} is of entries that are nowhere", base)
        position, offset = 0, 0
        try:
            for offset in range(width if data is not None else 0):
                sealed = vault.read_frame(data or b"", position)
                position += vault.RECORD_HEAD_BYTES + len(sealed)
                self._check_payload(
                    base + offset, entries[offset] if offset < len(entries) else None, sealed, check_payload
                )
        except NotVerified as error:
            self._problem(str(error), base + offset)
            return
        for close in waiting:
            self._check_payload(close.index, close.entry, close.sealed, check_payload)
        # Behind the published payloads may lie those that an interrupted integration began to copy from the journal.
        rest = (data or b"")[position : max(listed or 0, position)]
        copies = b"".join([vault.frame(close.sealed) for close in waiting])
        if not copies.startswith(rest):
            self._problem(
                f"{vault.file_path(number)} goes on with something that the journal does not hold", base + width
            )

    def _check_payload(
        self, index: int, entry: bytes | None, sealed: bytes, check_payload: CheckPayload | None
    ) -> None:
        copy = self._covered.get(index)
        if copy is not None and copy[1] != hashlib.sha256(sealed).digest():
            self._problem("the payload in the journal is not the one in the vault", index)
        if entry is None:
            return
        try:
            if self._keys is None:
                vault.read_head(sealed)
                return
            payload = vault.unseal(sealed, self._keys, vault.Place(self._checkpoint.origin, index, leaf_hash(entry)))
        except PayloadErased:
            self.erased += 1
        except (NotVerified, KeysUnusable) as error:
            self._problem(str(error), index)
        else:
            self.opened += 1
            what = _apply(check_payload, entry, payload)
            if what is not None:
                self._problem(what, index)

    # -- the rest

    def _check_rest(self) -> None:
        """Files of entries that neither the checkpoint nor the journal knows."""
        for names in self._tiles.values():
            for name in names:
                first = name.number * TILE_WIDTH << 8 * (name.level or 0)
                self._problem(f"{name.path} is of entries that are in no checkpoint and no journal", first)
        for number in self._vault:
            self._problem(f"{vault.file_path(number)} is of entries that are nowhere", number * TILE_WIDTH)

    def _read(self, path: str) -> bytes | None:
        """The file's bytes; None when it is gone, as a superseded one may be."""
        try:
            return (self._folder / path).read_bytes()
        except FileNotFoundError:
            return None


def _apply(check_payload: CheckPayload | None, entry: bytes, payload: bytes) -> str | None:
    if check_payload is None:
        return None
    try:
        return check_payload(entry, payload)
    except Exception as error:  # a rule that fails on one strange receipt must not hide what is wrong with the others
        return f"the receipt's own rules cannot be applied: {error!r}"
