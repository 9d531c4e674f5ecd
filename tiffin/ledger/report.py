"""What `verify` answers: plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """Something that should not be: in which log, at which entry (None: not of one entry), and what."""

    log: str
    index: int | None
    what: str


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is no fault."""

    log: str
    what: str


@dataclass(frozen=True)
class LogReport:
    """One log as it was found. `root` is base64; the two times are seconds."""

    name: str
    origin: str
    vkey: str
    size: int
    committed: int
    root: str
    payloads_opened: int
    payloads_erased: int
    tree_seconds: float
    payload_seconds: float


@dataclass(frozen=True)
class Report:
    """The outcome for a whole ledger: `ok` when there is no problem."""

    ok: bool
    logs: tuple[LogReport, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Note, ...]
