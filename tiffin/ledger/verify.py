"""`verify`: read a whole ledger and say what in it is not as it was written, and where.

It takes no lock, changes nothing, and may run while writers write. There is no false alarm, because of the order of
reading: first the list of files, then the journal, then the checkpoint, then what they account for. Whatever was
listed belongs to entries that were committed by then, so the journal or the later checkpoint accounts for it; what
came afterwards is not looked at.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.ledger.audit import Audit, CheckPayload, digests
from tiffin.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from tiffin.ledger.errors import KeysUnusable, LedgerDamaged, NotVerified
from tiffin.ledger.inventory import Inventory, take_inventory
from tiffin.ledger.journal import Close, Found, read_journal
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.note import Verifier, encode_base64, parse_note, parse_vkey
from tiffin.ledger.publisher import CHECKPOINT
from tiffin.ledger.recover import CARD, JOURNAL, card, is_written, read_card
from tiffin.ledger.report import LogReport, Note, Problem, Report

JOURNAL_ATTEMPTS = 5  # readings; a writer that retries after a full disk can show a reader two halves of two frames
JOURNAL_PAUSE_SECONDS = 0.05  # seconds between them; longer than a writer takes to rewrite a frame
"""Both matter only where a first reading found damage."""


@dataclass(frozen=True)
class _Options:
    keys: KeyRing | None
    payloads: bool
    check_payload: CheckPayload | None
    vkeys: Mapping[str, str]


def verify(
    ledger: Path,
    keys: KeyRing | None,
    *,
    against: Sequence[str] = (),
    payloads: bool = True,
    check_payload: CheckPayload | None = None,
    vkeys: Mapping[str, str] | None = None,
) -> Report:
    """Check every log below the folder `ledger`: every byte of every file.

    `keys` opens payloads and says which key signs which log; without it, `vkeys` (log name → vkey) does, and where
    that is silent the log's own word is taken. `against` are checkpoints kept from earlier (signed notes): each must
    be a prefix of its log. `check_payload` is given an entry and its payload and answers what is wrong between them,
    or None.
    """
    saved, problems = _sort_saved(against)
    notes: list[Note] = []
    logs: list[LogReport] = []
    options = _Options(keys, payloads and keys is not None, check_payload, vkeys or {})
    names: set[str] = set()
    for entry in sorted(os.scandir(ledger), key=lambda entry: entry.name) if ledger.is_dir() else ():
        if not entry.is_dir(follow_symlinks=False):
            problems.append(Problem(entry.name, None, "this is not a log's folder"))
            continue
        names.add(entry.name)
        check = _Check(Path(entry.path), entry.name, options, saved)
        report = check.run()
        problems += check.problems
        notes += check.notes
        if report is not None:
            logs.append(report)
    origins = {log.origin for log in logs}
    for name in keys.logs() if keys is not None else ():
        if name not in names:
            problems.append(
                Problem(name, None, "the whole log is gone: the key ring has its key, the ledger has no folder")
            )
    for origin in saved:
        if origin not in origins:
            problems.append(Problem(origin, None, "a saved checkpoint is of a log that is not here, or cannot be read"))
    return Report(not problems, tuple(logs), tuple(problems), tuple(notes))


def _sort_saved(against: Sequence[str]) -> tuple[dict[str, list[str]], list[Problem]]:
    saved: dict[str, list[str]] = {}
    problems: list[Problem] = []
    for text in against:
        try:
            saved.setdefault(parse_checkpoint(parse_note(text).text).origin, []).append(text)
        except NotVerified as error:
            problems.append(Problem("", None, f"a saved checkpoint cannot be read: {error}"))
    return saved, problems


class _Check:
    """The check of one log."""

    def __init__(self, folder: Path, name: str, options: _Options, saved: Mapping[str, Sequence[str]]) -> None:
        self._folder = folder
        self._name = name
        self._options = options
        self._saved = saved
        self.problems: list[Problem] = []
        self.notes: list[Note] = []

    def run(self) -> LogReport | None:
        started = time.perf_counter()
        inventory = take_inventory(self._folder)
        self._look_at(inventory)
        verifier = self._read_card(inventory)
        early = self._read_checkpoint(verifier) if verifier else None
        if verifier is None or early is None:
            return None
        covered: dict[int, tuple[bytes, bytes]] = {}
        found = self._read_journal(verifier.name, early, covered)
        checkpoint = self._read_checkpoint(verifier) or early
        if found is not None and found.next_index < checkpoint.size:  # a writer went on since
            found = self._read_journal(verifier.name, checkpoint, covered)
        closes = self._pending(found, checkpoint)
        audit = Audit(
            self._folder, checkpoint, inventory,
            closes=closes, covered=covered, keys=self._options.keys if self._options.payloads else None,
        )  # fmt: skip
        audit.run({early.size: early, **self._kept(verifier, checkpoint)}, self._options.check_payload)
        self.problems += audit.problems
        committed = found.next_index if found is not None else checkpoint.size
        return LogReport(
            self._name, verifier.name, verifier.vkey, checkpoint.size, committed, encode_base64(checkpoint.root),
            audit.opened, audit.erased, time.perf_counter() - started - audit.payload_seconds, audit.payload_seconds,
        )  # fmt: skip

    def _problem(self, what: str, index: int | None = None) -> None:
        self.problems.append(Problem(self._name, index, what))

    def _look_at(self, inventory: Inventory) -> None:
        for path in inventory.strangers:
            self._problem(f"{path} does not belong here")
        for path in inventory.unfinished:
            self.notes.append(Note(self._name, f"{path} is left of an interrupted write; the next opening removes it"))
        for path in inventory.torn:
            self._look_at_torn(path)

    def _look_at_torn(self, path: str) -> None:
        try:
            data = (self._folder / path).read_bytes()
        except FileNotFoundError:
            return
        if hashlib.sha256(data).hexdigest()[:32] != path.rpartition("-")[2]:
            self._problem(f"{path} was changed since it was put aside")
        else:
            self.notes.append(Note(self._name, f"{path}: {len(data)} bytes that a crash cut short, never acknowledged"))

    def _read_card(self, inventory: Inventory) -> Verifier | None:
        """The log's verifier, when log.json is exactly what was written for it."""
        keys, given = self._options.keys, self._options.vkeys.get(self._name)
        is_known = given is not None or (keys is not None and keys.has_signer(self._name))
        if not inventory.has_card:
            if is_known or inventory.tiles or inventory.vault or inventory.has_segments:
                self._problem(f"{CARD} is missing")
            else:
                self.notes.append(Note(self._name, "this log was never quite created; opening it finishes that"))
            return None
        data = (self._folder / CARD).read_bytes()
        try:
            name, origin, vkey = read_card(data)
            verifier = parse_vkey(vkey)
        except NotVerified as error:
            self._problem(f"{CARD} was changed: {error}")
            return None
        expected = given
        if expected is None and keys is not None:
            try:
                expected = keys.signer(self._name, origin).verifier.vkey
            except (KeysUnusable, ValueError) as error:
                self._problem(f"{CARD} was changed: {error}")
                return None
        if name != self._name or data != card(self._name, verifier.name, expected or vkey):
            self._problem(f"{CARD} was changed: it does not name this log and its key")
            return None
        return verifier

    def _read_checkpoint(self, verifier: Verifier) -> Checkpoint | None:
        try:
            text = (self._folder / CHECKPOINT).read_bytes().decode()
            checkpoint = open_checkpoint(text, verifier)
            if len(parse_note(text).signatures) != 1 or checkpoint.extensions:
                raise NotVerified("something was added to it")
        except FileNotFoundError:
            self._problem("the checkpoint is missing")
        except (UnicodeDecodeError, NotVerified) as error:
            self._problem(f"the checkpoint was changed: {error}")
        else:
            return checkpoint
        return None

    def _read_journal(
        self, origin: str, checkpoint: Checkpoint, covered: dict[int, tuple[bytes, bytes]]
    ) -> Found | None:
        """The journal, read again where a writer at work may have been the reason that it made no sense."""

        def keep(close: Close) -> None:
            covered[close.index] = digests(close)

        for attempt in range(JOURNAL_ATTEMPTS):
            try:
                return read_journal(
                    self._folder / JOURNAL, log=self._name, origin=origin, size=checkpoint.size, covered=keep
                )
            except FileNotFoundError as error:  # a covered segment went away; or all of them are gone
                failure, index = f"the journal is missing: {error.filename}", None
            except LedgerDamaged as error:
                failure, index = error.what, error.index
            if attempt + 1 == JOURNAL_ATTEMPTS or not is_written(self._folder):
                break
            time.sleep(JOURNAL_PAUSE_SECONDS)
        self._problem(failure, index)
        return None

    def _pending(self, found: Found | None, checkpoint: Checkpoint) -> tuple[Close, ...]:
        """The closes that the checkpoint does not cover yet; says what is wrong with the journal's extent."""
        if found is None:
            return ()
        if found.torn is not None and found.torn.tail:
            torn = found.torn
            note = f"journal/{torn.segment} ends within a frame at byte {torn.offset}: in flight, or cut by a crash"
            self.notes.append(Note(self._name, note))
        if not found.segments and checkpoint.size:
            self._problem("the journal is missing")
        elif found.next_index < checkpoint.size:
            self._problem("the journal ends before the checkpoint: its tail was cut", found.next_index)
        elif found.first_index > checkpoint.size:
            self._problem("the journal begins after the checkpoint: closes between them are gone", checkpoint.size)
            return ()
        return found.closes

    def _kept(self, verifier: Verifier, checkpoint: Checkpoint) -> dict[int, Checkpoint]:
        """The saved checkpoints of this log that the tree must contain; the rest are problems at once."""
        kept: dict[int, Checkpoint] = {}
        for text in self._saved.get(verifier.name, ()):
            try:
                older = open_checkpoint(text, verifier)
            except NotVerified as error:
                self._problem(f"a saved checkpoint is not this log's: {error}")
                continue
            if older.size > checkpoint.size:
                self._problem(
                    f"the tail was cut: a saved checkpoint covers {older.size} entries, the log has {checkpoint.size}",
                    checkpoint.size,
                )
            elif kept.setdefault(older.size, older).root != older.root:
                self._problem(f"two saved checkpoints of {older.size} entries differ")
        return kept
