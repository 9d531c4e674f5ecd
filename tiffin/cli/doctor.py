"""`tiffin doctor`: what is wrong with this machine or this home, in words, with what to do about it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typer

from tiffin.cli.show import NO, AsJson, document, escaped, failures
from tiffin.config import BadSetting, Settings, console_files, settings

DISK_FREE_MIN = 500 << 20  # bytes; under this an ingest of real documents may fill the disk
MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "problem": "[red]✗[/]"}


@dataclass(frozen=True)
class Finding:
    check: str
    state: Literal["ok", "warning", "problem"]
    says: str
    hint: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Examine this machine and this home: works while the server runs and while it is stopped.

    \b
    Example: tiffin doctor
    """
    with failures(as_json):
        findings = list(_examine())
        healthy = not any(finding.state == "problem" for finding in findings)
        if as_json:
            document({"ok": healthy, "findings": [asdict(finding) for finding in findings]})
        else:
            from rich.console import Console

            console = Console(highlight=False)
            for finding in findings:
                console.print(
                    f"{MARKS[finding.state]} [bold]{finding.check}[/]  {escaped(finding.says)}", soft_wrap=True
                )
                if finding.hint:
                    console.print(f"    [dim]{escaped(finding.hint)}[/]", soft_wrap=True)
        if not healthy:
            raise typer.Exit(NO)


def _examine() -> Iterator[Finding]:
    yield Finding("python", "ok", sys.version.split()[0])
    try:
        where = settings()
    except BadSetting as error:
        yield Finding("settings", "problem", str(error))
        return
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _home,
        _disk,
        _server,
        _key,
        _models,
        _database,
        _ledger,
        _console,
    )
    for check in checks:
        yield from check(where)


def _home(where: Settings) -> Iterator[Finding]:
    home = where.home
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        hint = (
            f"Give this user the right to write there, or set TIFFIN_HOME. It belongs to uid {nearest.stat().st_uid}."
        )
        yield Finding("home", "problem", f"no permission to write in {nearest}", hint)
    elif not home.exists():
        yield Finding("home", "ok", f"{home} does not exist yet", "`tiffin up` makes it.")
    else:
        yield Finding("home", "ok", str(home))


def _disk(where: Settings) -> Iterator[Finding]:
    nearest = next(folder for folder in (where.home, *where.home.parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    says = f"{free / (1 << 30):.1f} GiB free at {nearest}"
    if free < DISK_FREE_MIN:
        hint = "Free some space: when the disk is full, Tiffin refuses calls rather than answer without a receipt."
        yield Finding("disk", "problem", says, hint)
    else:
        yield Finding("disk", "ok", says)


def _server(where: Settings) -> Iterator[Finding]:
    with socket.socket() as probe:
        probe.settimeout(1)
        listening = probe.connect_ex((where.host, where.port)) == 0
    if not listening:
        yield Finding("server", "ok", f"stopped; port {where.port} is free", "`tiffin up` starts it.")
        return
    status = _ready(where)
    if status is None:
        hint = "Stop that program, or set TIFFIN_PORT to another port."
        yield Finding("server", "problem", f"port {where.port} is taken by another program", hint)
        return
    yield Finding("server", "ok" if status["ready"] else "problem", f"running at {where.url}")
    for name, engine in status.get("engines", {}).items():
        fine = engine["state"] == "ready"
        says = f"engine {name} is {engine['state']}"
        yield Finding("engine", "ok" if fine else "problem", says, "" if fine else str(engine.get("last_error") or ""))


def _ready(where: Settings) -> dict[str, Any] | None:
    import http.client

    connection = http.client.HTTPConnection(where.host, where.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        status = json.loads(connection.getresponse().read())
        return status if isinstance(status, dict) and "ready" in status else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _key(where: Settings) -> Iterator[Finding]:
    file = where.admin_key
    if not file.exists():
        if where.home.exists() and any(where.home.iterdir()):
            hint = (
                "Set TIFFIN_API_KEY; another administrator can make a new key with `tiffin keys create --role admin`."
            )
            yield Finding("admin key", "warning", f"{file} is missing", hint)
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        yield Finding("admin key", "problem", f"others may read {file} (mode {mode:o})", f"chmod 600 {file}")
    else:
        yield Finding("admin key", "ok", str(file))


def _models(where: Settings) -> Iterator[Finding]:
    from tiffin.cli.examining import model_problem
    from tiffin.providers.catalogue import BUILT_IN

    for model in BUILT_IN:
        problem = model_problem(model, where)
        if problem:
            yield Finding("model", "problem", f"{model.alias}: {problem}", "Install the weights again: `make up`.")
        else:
            yield Finding("model", "ok", f"{model.alias} has its pinned digest {model.sha256[:12]}…")


def _database(where: Settings) -> Iterator[Finding]:
    path = where.database
    if isinstance(path, Path) and not path.exists():
        return
    from tiffin.cli.examining import database_problems

    problems = database_problems(where)
    for problem in problems:
        yield Finding("database", "problem", problem, "Stop the server and restore a backup, or ask for help.")
    if not problems:
        yield Finding("database", "ok", f"{path} is consistent")


def _ledger(where: Settings) -> Iterator[Finding]:
    if not where.ledger.exists():
        return
    from tiffin.cli.verifying import verified

    report = verified(where, [], None, quiet=True, payloads=False)
    for problem in report["problems"]:
        yield Finding("ledger", "problem", f"{problem['log']} {problem['index']}: {problem['what']}", "tiffin verify")
    if report["ok"]:
        entries = sum(log["entries"] for log in report["logs"])
        yield Finding("ledger", "ok", f"{entries} entries verify", "`tiffin verify` also checks the vault.")


def _console(where: Settings) -> Iterator[Finding]:
    if console_files() is None:
        yield Finding("console", "warning", "the console is not built", "`make up` builds it; everything else works.")
    else:
        yield Finding("console", "ok", "built")
