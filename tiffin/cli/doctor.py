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

from tiffin.cli.show import NO, AsJson, Failure, document, escaped, failures
from tiffin.config import BadSetting, Settings, console_files, settings

DISK_FREE_MIN = 500 << 20  # bytes; under this an ingest of real documents may fill the disk
ANSWER_BYTES_MAX = 1 << 20  # bytes read of whatever program answers there
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
    checks: dict[str, Callable[[Settings], Iterator[Finding]]] = {
        "home": _home,
        "disk": _disk,
        "server": _server,
        "admin key": _key,
        "model": _models,
        "database": _database,
        "ledger": _ledger,
        "console": _console,
    }
    for name, check in checks.items():
        try:
            yield from check(where)
        except Failure as failure:
            yield Finding(name, "problem", failure.message, failure.hint)
        except OSError as error:  # a file that this user may not look at keeps no other check from its work
            yield Finding(name, "problem", f"cannot be examined: {error.filename or where.home}: {error.strerror}")


def _home(where: Settings) -> Iterator[Finding]:
    home = where.home
    nearest = _nearest(home)
    if not nearest.is_dir():
        yield Finding("home", "problem", f"{nearest} is not a folder", "Set TIFFIN_HOME to a folder.")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        hint = (
            f"Give this user the right to write there, or set TIFFIN_HOME. It belongs to uid {nearest.stat().st_uid}."
        )
        yield Finding("home", "problem", f"no permission to write in {nearest}", hint)
    elif nearest != home:
        yield Finding("home", "ok", f"{home} does not exist yet", "`tiffin up` makes it.")
    else:
        yield Finding("home", "ok", str(home))


def _nearest(home: Path) -> Path:
    """The home, or the folder above it that exists (as far as this user may see)."""
    return next(folder for folder in (home, *home.parents) if os.path.exists(folder))


def _disk(where: Settings) -> Iterator[Finding]:
    nearest = _nearest(where.home)
    free = shutil.disk_usage(nearest).free
    says = f"{free / (1 << 30):.1f} GiB free at {nearest}"
    if free < DISK_FREE_MIN:
        hint = "Free some space: when the disk is full, Tiffin refuses calls rather than answer without a receipt."
        yield Finding("disk", "problem", says, hint)
    else:
        yield Finding("disk", "ok", says)


def _server(where: Settings) -> Iterator[Finding]:
    try:
        socket.create_connection((where.host, where.port), timeout=1).close()
    except OSError:
        yield Finding("server", "ok", f"stopped; port {where.port} is free", "`tiffin up` starts it.")
        return
    status, ledger = _answer(where, "/readyz"), _answer(where, "/api/v1/ledger")
    hint = "Stop that program, or set TIFFIN_PORT to another port."
    if "ready" not in status or "logs" not in ledger:
        yield Finding("server", "problem", f"port {where.port} is taken by another program", hint)
        return
    if where.origin not in [log["origin"] for log in ledger["logs"]]:
        yield Finding("server", "problem", f"port {where.port} is taken by a Tiffin that has another home", hint)
        return
    says = f"running at {where.url}" + ("" if status["ready"] else ", but not ready")
    yield Finding("server", "ok" if status["ready"] else "problem", says)
    for name, engine in status.get("engines", {}).items():
        fine = engine["state"] == "ready"
        says = f"engine {name} is {engine['state']}"
        yield Finding("engine", "ok" if fine else "problem", says, "" if fine else str(engine.get("last_error") or ""))


def _answer(where: Settings, path: str) -> dict[str, Any]:
    """What our server says there; {} when it is another program."""
    import http.client

    connection = http.client.HTTPConnection(where.host, where.port, timeout=5)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read(ANSWER_BYTES_MAX))
        return answer if isinstance(answer, dict) else {}
    except (OSError, ValueError, http.client.HTTPException):
        return {}
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
    from tiffin.cli.examining import model_problem, models

    for model in models(where):
        problem = model_problem(model, where)
        if problem:
            hint = "`make up` installs it again." if model.built_in else "Put the right file back, or add it again."
            yield Finding("model", "problem", f"{model.alias}: {problem}", hint)
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
