"""What can go wrong in a ledger, one tree.

LedgerError
├── LedgerLocked     another process writes this log
├── LedgerFull       no space (or too much waits): refused, nothing acknowledged, may be tried again later
├── LedgerBroken     a sync failed or state is uncertain: this writer accepts nothing more until reopened
├── LedgerDamaged    the files contradict each other; says where
├── TooLarge         the record is over a named bound: the caller's fault
├── NoSuchEntry      the index was never assigned
├── NotPublished     no checkpoint covers the index yet: wait for `publish`
├── PayloadErased    a subject's key was destroyed on purpose: the payload is gone for good
├── KeysUnusable     the master key is wrong, or a key file is missing or damaged
└── NotVerified      a note, checkpoint, proof or sealed payload does not hold
"""

from __future__ import annotations


class LedgerError(Exception):
    """Any failure of the ledger."""


class LedgerLocked(LedgerError):
    """Another process (or another `Log` in this one) holds the folder."""


class LedgerFull(LedgerError):
    """The append was refused for want of space; nothing of it was acknowledged; it can be tried again later."""


class LedgerBroken(LedgerError):
    """This writer's state is uncertain (a sync failed): it accepts nothing more until the log is reopened."""


class LedgerDamaged(LedgerError):
    """The files of a log contradict each other or their checksums."""

    def __init__(self, log: str, what: str, index: int | None = None) -> None:
        super().__init__(f"{log}: {what}" if index is None else f"{log}: {what} (index {index})")
        self.log = log
        self.what = what
        self.index = index


class TooLarge(LedgerError):
    """A record is larger than the format or a named bound allows."""


class NoSuchEntry(LedgerError):
    """No entry has this index."""


class NotPublished(LedgerError):
    """No published checkpoint covers this index yet."""


class PayloadErased(LedgerError):
    """The key of a subject of this payload was destroyed."""


class KeysUnusable(LedgerError):
    """The key ring cannot be used: wrong master key, or a key file is missing or damaged."""


class NotVerified(LedgerError):
    """A signature, proof, checkpoint or sealed payload is malformed or does not hold."""
