"""What lies in a log's folder: every file is known for what it is, or is a stranger."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tiffin.ledger.journal import SUFFIX
from tiffin.ledger.publisher import CHECKPOINT, SCRATCH
from tiffin.ledger.recover import CARD, JOURNAL, TORN
from tiffin.ledger.tiles import TileName, parse_number, parse_tile_path

_SEGMENT = re.compile(rf"{JOURNAL}/[0-9]{{20}}{re.escape(SUFFIX)}")
_TORN = re.compile(rf"{TORN}/[0-9]{{20}}-[0-9]+-[0-9a-f]{{32}}")
_VAULT = re.compile(r"vault/((?:x[0-9]{3}/)*[0-9]{3})")


@dataclass
class Inventory:
    """The files of one log at one moment, sorted by what they are. `vault` gives sizes in bytes."""

    tiles: dict[tuple[int | None, int], list[TileName]] = field(default_factory=dict)
    vault: dict[int, int] = field(default_factory=dict)
    torn: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    has_segments: bool = False
    has_card: bool = False

    def add(self, path: str, size: int) -> None:
        name = parse_tile_path(path)
        vault = _VAULT.fullmatch(path)
        if name is not None:
            self.tiles.setdefault((name.level, name.number), []).append(name)
        elif vault is not None and _is_number(vault[1]):
            self.vault[parse_number(vault[1])] = size
        elif _SEGMENT.fullmatch(path):
            self.has_segments = True
        elif path == CARD:
            self.has_card = True
        elif _TORN.fullmatch(path):
            self.torn.append(path)
        elif path.startswith(f"{SCRATCH}/"):
            self.unfinished.append(path)
        elif path != CHECKPOINT:
            self.strangers.append(path)


def take_inventory(folder: Path) -> Inventory:
    """Every file below the folder.

    A writer may be at work: what comes and goes meanwhile is seen or not, as luck has it.
    """
    inventory = Inventory()
    for path, size in _files(folder, ""):
        if size is None:
            inventory.strangers.append(path)
        else:
            inventory.add(path, size)
    return inventory


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, int | None]]:
    """(path below the folder, size); the size is None for what is neither a file nor a folder."""
    try:
        entries = sorted(os.scandir(folder / prefix), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{prefix}{entry.name}"
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(status.st_mode):
            yield from _files(folder, f"{path}/")
        else:
            yield path, status.st_size if stat.S_ISREG(status.st_mode) else None


def _is_number(path: str) -> bool:
    try:
        parse_number(path)
    except ValueError:
        return False
    return True
