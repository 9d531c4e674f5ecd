"""The home folder and the port: taken by one server at a time, or a clear error before anything is loaded."""

from __future__ import annotations

import errno
import shutil
import socket
import time
from pathlib import Path

from tiffin.config import Settings
from tiffin.kernel.errors import Conflict
from tiffin.ledger.disk import Disk, put_file
from tiffin.ledger.errors import LedgerLocked
from tiffin.ledger.keys import KeyRing
from tiffin.ledger.log import Log
from tiffin.ledger.recover import CARD, read_card

LOG = "main"  # a gateway is the one writer of its log
BACKLOG = 512  # connections waiting to be accepted


def make(where: Settings) -> None:
    """The folders, private to their owner."""
    where.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in (where.models, where.logs):
        folder.mkdir(mode=0o700, exist_ok=True)


def clean_spool(where: Settings) -> None:
    """What a killed server left in the spool goes. Only for who holds the log: another server has uploads there."""
    shutil.rmtree(where.spool, ignore_errors=True)
    where.spool.mkdir(mode=0o700, exist_ok=True)


def open_log(where: Settings) -> Log:
    """The ledger of this home; Conflict when another server has it."""
    try:
        keys = KeyRing.open(where.keys)
        return Log.open(where.ledger / LOG, name=LOG, origin=_origin(where), keys=keys)
    except LedgerLocked as error:
        raise Conflict(
            f"Another Tiffin is running on the home {where.home}.",
            hint="Stop it first, or set TIFFIN_HOME to another folder.",
        ) from error


def check_whole(where: Settings, log: Log) -> None:
    """Conflict for a ledger whose database is gone: with an empty one the home would look as if it were new."""
    if log.committed and isinstance(where.database, Path) and not where.database.exists():
        raise Conflict(
            f"The database {where.database} is missing, and the ledger beside it holds {log.committed} records.",
            hint="Put the database back. To go on without its documents and keys, make an empty file in its place.",
        )


def listen(where: Settings) -> socket.socket:
    """The port is taken first, so that a second start fails at once and not after it has loaded."""
    listener = socket.socket(socket.AF_INET6 if ":" in where.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((where.host, where.port))
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise Conflict(
                f"Tiffin cannot listen on {where.host}, port {where.port}: {error.strerror}.",
                hint="TIFFIN_HOST must be an address of this machine, and ports below 1024 may need more rights.",
            ) from error
        raise Conflict(
            f"Port {where.port} is taken, perhaps by a Tiffin that runs already.",
            hint="Set TIFFIN_PORT to another port, or stop that program. `tiffin doctor` says more.",
        ) from error
    listener.listen(BACKLOG)
    return listener


def _origin(where: Settings) -> str:
    """The log's name in its checkpoints: unique to this home, and kept with it. Lost, it is taken from the log."""
    file = where.home / "origin"
    if not where.origin:
        about = where.ledger / LOG / CARD
        origin = read_card(about.read_bytes())[1] if about.exists() else f"tiffin/{time.time_ns():x}/{LOG}"
        put_file(Disk(), file, f"{origin}\n".encode(), file.with_suffix(".new"))
    return where.origin
