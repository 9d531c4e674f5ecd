"""Verification of the home's ledger, with a memory: the last good checkpoint must be contained in the next."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tiffin.cli.show import FAILED, USAGE, Failure
from tiffin.config import Settings
from tiffin.kernel.receipt import check_payload
from tiffin.ledger.errors import LedgerError
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.publisher import CHECKPOINT
from tiffin.ledger.report import Note, Report
from tiffin.ledger.verify import verify

REMEMBERED = "verified"  # folder in the home: one checkpoint a log


def verified(
    where: Settings, saved: list[Path], keep: Path | None, *, quiet: bool, payloads: bool = True
) -> dict[str, Any]:
    """The report as a document. `saved` are files with checkpoints; `keep` is a folder to save the verified ones in."""
    if not where.ledger.is_dir():
        raise Failure(
            f"There is no ledger at {where.ledger}.",
            hint="Set TIFFIN_HOME to the home of a Tiffin that has run.",
            code=USAGE,
            kind="usage",
        )
    started = time.monotonic()
    memory = where.home / REMEMBERED
    against = [_text(path) for path in (*saved, *sorted(memory.glob("*.checkpoint")))]
    with _progress(quiet):
        try:
            report = verify(where.ledger, _keys(where), against=against, payloads=payloads, check_payload=check_payload)
        except (LedgerError, OSError) as error:
            raise Failure(f"The ledger cannot be read: {error}.", code=FAILED) from error
    if report.ok and payloads:
        current = {log.name: _text(where.ledger / log.name / CHECKPOINT) for log in report.logs}
        if keep:
            _remember(keep, current)
        try:
            _remember(memory, current)
        except OSError as error:  # an auditor may read this home and not write in it
            unremembered = f"the verified checkpoint could not be remembered in {memory}: {error.strerror}"
            report = replace(report, notes=(*report.notes, Note("home", unremembered)))
    return _document(report, time.monotonic() - started)


def _keys(where: Settings) -> KeyRing | None:
    """Without the keys of the home (a copy of the ledger alone), tree and signatures are still verified."""
    return KeyRing.open(where.keys) if where.keys.is_dir() else None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"The checkpoint {path} cannot be read.", code=USAGE, kind="usage") from error


def _progress(quiet: bool) -> Any:
    from rich.console import Console

    return Console(stderr=True, quiet=quiet).status("Verifying every entry, hash, signature and payload …")


def _remember(folder: Path, checkpoints: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in checkpoints.items():
        aside = folder / f".{name}.new"
        aside.write_text(text, "utf-8")
        aside.replace(folder / f"{name}.checkpoint")


def _document(report: Report, seconds: float) -> dict[str, Any]:
    logs = [
        {
            "name": log.name,
            "origin": log.origin,
            "vkey": log.vkey,
            "size": log.size,
            "entries": log.committed,
            "root": log.root,
            "payloads": log.payloads_opened,
            "erased": log.payloads_erased,
        }
        for log in report.logs
    ]
    problems = [{"log": p.log, "index": p.index, "what": p.what} for p in report.problems]
    notes = [f"{note.log}: {note.what}" for note in report.notes]
    return {"ok": report.ok, "logs": logs, "problems": problems, "notes": notes, "seconds": round(seconds, 3)}
