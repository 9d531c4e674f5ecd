"""How the command line speaks: one JSON document with --json, else words; errors with a hint; exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Annotated, Any

import typer

OK, NO, USAGE, FAILED = 0, 1, 2, 3
INTERRUPTED = 130  # as shells count Ctrl-C
WIDE = 240  # columns of a table where nobody looks at a terminal

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


class Failure(Exception):
    """Something to say to the user, and the exit code to leave with."""

    def __init__(self, message: str, *, hint: str = "", code: int = FAILED, kind: str = "failed") -> None:
        super().__init__(message)
        self.message, self.hint, self.code, self.kind = message, hint, code, kind
        self.receipt: str | None = None


def document(value: Any) -> None:
    is_unicode = "utf" in (sys.stdout.encoding or "utf-8").lower()
    text = json.dumps(value, ensure_ascii=not is_unicode, indent=2) + "\n"
    sys.stdout.write(text.encode("utf-8", "replace").decode())  # a file's name may hold what is no text


@contextlib.contextmanager
def failures(as_json: bool) -> Iterator[None]:
    """Every failure inside leaves in the same form."""
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # a reader that has left early, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(OK) from None
    except Exception as error:  # in the form that was asked for, even where the fault is ours
        if isinstance(error, typer.Exit):
            raise
        failure = _as_failure(error)
        if as_json:
            said = {"type": failure.kind, "message": failure.message, "hint": failure.hint}
            document({"error": said, "receipt": failure.receipt})
        else:
            complain(failure)
        raise typer.Exit(failure.code) from None


def _as_failure(error: Exception) -> Failure:
    from tiffin.config import BadSetting
    from tiffin.kernel.errors import CallerError, TiffinError

    match error:
        case Failure():
            return error
        case BadSetting():
            return Failure(str(error), hint="Set it to another value, or unset it.", code=USAGE, kind="usage")
        case TiffinError():
            code = NO if isinstance(error, CallerError) else FAILED
            return Failure(error.message, hint=error.hint, code=code, kind=error.kind)
        case OSError(filename=name) if name:
            return Failure(f"'{name}': {error.strerror}.", hint="`tiffin doctor` examines this machine.")
        case _:
            traceback.print_exception(error)
            return Failure("Tiffin failed; the fault is not yours. What is above says where.", kind="internal_error")


def complain(failure: Failure) -> None:
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]✗[/] {escaped(failure.message)}", soft_wrap=True)
    if failure.hint:
        console.print(f"  [dim]{escaped(failure.hint)}[/]", soft_wrap=True)
    if failure.receipt:
        console.print(f"  [dim]receipt {failure.receipt}[/]", soft_wrap=True)


def table(*columns: str) -> Any:
    """A table without a frame, whose cells stay whole where a program reads them."""
    from rich.table import Table

    shown = Table(box=None, header_style="dim")
    for column in columns:
        shown.add_column(column, no_wrap=True, overflow="ignore" if column in ("receipt", "id") else "ellipsis")
    return shown


def print_table(shown: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    console.print(shown)


def escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
