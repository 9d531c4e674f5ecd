"""Integration: committed closes become vault records, entry bundles, tiles and, last, a signed checkpoint.

Everything that a checkpoint covers is on stable storage before the checkpoint is renamed into place. Every step can
be repeated: what an interrupted or refused attempt left behind is overwritten by the next one, which is also how
recovery works.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger import vault
from tiffin.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from tiffin.ledger.disk import SPACE_ERRORS, Disk, SyncFailed, make_folders, put_file, sync_all, sync_folder, write_all
from tiffin.ledger.errors import LedgerBroken, LedgerDamaged, LedgerFull, NotVerified
from tiffin.ledger.journal import Close
from tiffin.ledger.note import Signer
from tiffin.ledger.tiles import (
    TILE_WIDTH,
    Edge,
    TileName,
    grow,
    load_edge,
    pack_bundle,
    read_cut,
    unpack_bundle,
)
from tiffin.ledger.tree import leaf_hash

CHECKPOINT = "checkpoint"
SCRATCH = "unfinished"  # the folder of temporary files; its content means nothing and is removed at opening


@dataclass(frozen=True)
class Head:
    """What is published: the tree's edge, the last bundle's bytes, the vault's end, and the signed checkpoint."""

    edge: Edge
    bundle: bytes
    vault_end: int
    checkpoint: str


def load_head(folder: Path, log: str, signer: Signer) -> Head:
    """The published head, its edge checked against the signed root. LedgerDamaged where the files do not add up."""
    try:
        text = (folder / CHECKPOINT).read_text("utf-8")
        checkpoint = open_checkpoint(text, signer.verifier)
    except (FileNotFoundError, UnicodeDecodeError, NotVerified) as error:
        raise LedgerDamaged(log, f"the checkpoint is missing or not this log's: {error}") from error
    edge = load_edge(folder, checkpoint.size, log)
    if edge.root() != checkpoint.root:
        raise LedgerDamaged(log, "the tiles do not lead to the root of the checkpoint")
    number, count = divmod(checkpoint.size, TILE_WIDTH)
    bundle = b""
    if count:
        name = TileName(None, number, count)
        bundle = read_cut(folder, name) or b""
        if not bundle:
            raise LedgerDamaged(log, f"{name.path} is missing or too short", number * TILE_WIDTH)
        for offset, entry in enumerate(unpack_bundle(bundle)):
            if leaf_hash(entry) != edge.rows[0][offset]:
                raise LedgerDamaged(log, f"{name.path} does not hash to its tile", number * TILE_WIDTH + offset)
    try:
        vault_end = vault.end_of(folder, checkpoint.size)
    except NotVerified as error:
        raise LedgerDamaged(log, str(error), checkpoint.size - 1) from error
    return Head(edge, bundle, vault_end, text)


class Publisher:
    """Grows the published tree. One thread calls `publish`; `head` may be read by any."""

    def __init__(self, folder: Path, *, log: str, signer: Signer, disk: Disk, head: Head) -> None:
        self._folder = folder
        self._log = log
        self._signer = signer
        self._disk = disk
        self.head = head

    def publish(self, closes: Sequence[Close]) -> None:
        """Integrate these closes, the first of which has index `head.edge.size`, and publish a checkpoint over them.

        Durable on return.
        LedgerFull: no room, the old head stands, the call can be repeated. LedgerBroken: reopen the log.
        """
        head = self.head
        if not closes:
            return
        if closes[0].index != head.edge.size:
            raise LedgerBroken(f"{self._log}: index {closes[0].index} cannot follow a tree of {head.edge.size}")
        syncing: list[int] = []
        try:
            vault_end, folders = self._grow_vault(closes, syncing)
            edge, files, bundle = self._grow_tree(closes)
            self._put_files(files, syncing, folders)
            checkpoint = sign_checkpoint(Checkpoint(self._signer.name, edge.size, edge.root()), self._signer)
            put_file(self._disk, self._folder / CHECKPOINT, checkpoint.encode(), self._folder / SCRATCH / CHECKPOINT)
        except OSError as error:
            if error.errno in SPACE_ERRORS and not isinstance(error, SyncFailed):
                raise LedgerFull(f"{self._log}: cannot publish: {error.strerror}") from error
            raise LedgerBroken(f"{self._log}: could not publish: {error.strerror}; reopen the log") from error
        finally:
            for fd in syncing:
                os.close(fd)
        self.head = Head(edge, bundle, vault_end, checkpoint)
        self._remove_superseded(head.edge, edge)

    def _grow_vault(self, closes: Sequence[Close], syncing: list[int]) -> tuple[int, set[Path]]:
        """Append the payloads; what an earlier attempt left behind the published end is cut off first.

        Answers where the last file ends now (0 when it is full), and the folders that got a new file.
        """
        position, end = 0, self.head.vault_end
        folders: set[Path] = set()
        while position < len(closes):
            number, offset = divmod(closes[position].index, TILE_WIDTH)
            count = min(TILE_WIDTH - offset, len(closes) - position)
            data = b"".join([vault.frame(close.sealed) for close in closes[position : position + count]])
            path = self._folder / vault.file_path(number)
            make_folders(self._disk, path.parent)
            if offset == 0:
                end = 0
                folders.add(path.parent)
            fd = self._disk.extend(path)
            syncing.append(fd)
            if os.fstat(fd).st_size < end:
                raise LedgerBroken(f"{self._log}: {vault.file_path(number)} has lost published payloads")
            self._disk.truncate(fd, end)
            write_all(self._disk, fd, data)
            end += len(data)
            position += count
        return end if (closes[-1].index + 1) % TILE_WIDTH else 0, folders

    def _grow_tree(self, closes: Sequence[Close]) -> tuple[Edge, list[tuple[TileName, bytes]], bytes]:
        """The new edge, the tiles and bundles to write, and the bytes of the last, partial bundle."""
        head = self.head
        edge, tiles = grow(head.edge, [leaf_hash(close.entry) for close in closes])
        files = [(tile.name, tile.hashes) for tile in tiles]
        bundle, position = head.bundle, 0
        while position < len(closes):
            number, offset = divmod(closes[position].index, TILE_WIDTH)
            count = min(TILE_WIDTH - offset, len(closes) - position)
            bundle += pack_bundle([close.entry for close in closes[position : position + count]])
            files.append((TileName(None, number, offset + count), bundle))
            if offset + count == TILE_WIDTH:
                bundle = b""
            position += count
        return edge, files, bundle

    def _put_files(self, files: Sequence[tuple[TileName, bytes]], syncing: list[int], folders: set[Path]) -> None:
        """Write all, sync all (with what else is in `syncing`), rename all, then sync the folders."""
        staged: list[tuple[Path, Path]] = []
        try:
            for position, (name, data) in enumerate(files):
                path = self._folder / name.path
                scratch = self._folder / SCRATCH / str(position)
                self._disk.remove(scratch)
                fd = self._disk.create(scratch)
                syncing.append(fd)
                staged.append((scratch, path))
                write_all(self._disk, fd, data)
            sync_all(self._disk, syncing)
            for scratch, path in staged:
                make_folders(self._disk, path.parent)
                self._disk.rename(scratch, path)
        except OSError:
            for scratch, _ in staged:
                scratch.unlink(missing_ok=True)
            raise
        for folder in sorted(folders.union(path.parent for _, path in staged)):
            sync_folder(self._disk, folder)

    def _remove_superseded(self, old: Edge, new: Edge) -> None:
        """Drop partial tiles and bundles that a wider one has replaced.

        They are only litter: a failure waits for the next time.
        """
        for level in (None, *range(len(new.rows))):
            shift = 8 * (level or 0)
            name = TileName(level, (old.size >> shift) // TILE_WIDTH)
            partials = self._folder / name.partial_folder
            is_full = new.size >> shift + 8 > name.number
            kept = "" if is_full else str((new.size >> shift) % TILE_WIDTH)
            try:
                for stale in os.listdir(partials):
                    if stale != kept:
                        self._disk.remove(partials / stale)
                if is_full:
                    os.rmdir(partials)
            except OSError:
                continue


def create_head(folder: Path, signer: Signer, disk: Disk) -> None:
    """Publish the checkpoint of the empty tree."""
    empty = Edge()
    text = sign_checkpoint(Checkpoint(signer.name, 0, empty.root()), signer)
    put_file(disk, folder / CHECKPOINT, text.encode(), folder / SCRATCH / CHECKPOINT)
