"""Settings, read once from the environment. What the program can work out for itself is not a setting."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
PORT = 8420
HOST = "127.0.0.1"


class BadSetting(ValueError):
    """An environment variable with a value that makes no sense; the message names it."""


@dataclass(frozen=True)
class Settings:
    """`home` holds everything that Tiffin keeps; deleting it deletes all of it."""

    home: Path
    port: int = PORT
    host: str = HOST
    database_url: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def admin_key(self) -> Path:
        return self.home / "admin.key"

    @property
    def database(self) -> Path | str:
        return self.database_url or self.home / "tiffin.db"

    @property
    def origin(self) -> str:
        """The name of this home's log in its checkpoints; empty before the first start."""
        file = self.home / "origin"
        return file.read_text().strip() if file.exists() else ""

    @property
    def ledger(self) -> Path:
        return self.home / "ledger"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def spool(self) -> Path:
        return self.home / "spool"


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    home = environment.get("TIFFIN_HOME")
    port = environment.get("TIFFIN_PORT") or str(PORT)
    if not (port.isascii() and port.isdigit() and len(port) <= 5) or not 1 <= int(port) <= 65535:
        raise BadSetting(f"TIFFIN_PORT is '{port}'; it must be a port number from 1 to 65535.")
    return Settings(
        home=Path(home).expanduser().absolute() if home else default_home(),
        port=int(port),
        host=environment.get("TIFFIN_HOST") or HOST,
        database_url=environment.get("TIFFIN_DATABASE_URL", ""),
    )


def default_home() -> Path:
    """`.tiffin` beside the Makefile of a checkout, else `~/.tiffin`."""
    checkout = PACKAGE.parent
    return checkout / ".tiffin" if (checkout / "Makefile").is_file() else Path.home() / ".tiffin"


def console_files() -> Path | None:
    """The built console: in a checkout, or packed into the wheel."""
    for folder in (PACKAGE.parent / "console" / "dist", PACKAGE / "console"):
        if (folder / "index.html").is_file():
            return folder
    return None
