"""How the command line speaks: one JSON document on stdout with --json, else words; errors in words with a hint;
exit codes.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

OK, NO, USAGE, FAILED = 0, 1, 2, 3
WIDE = 240  # columns of a table where nobody looks at a terminal

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]


class Failure(Exception):
    """Something to say to the user, and the exit code to leave with."""

    def __init__(self, message: str, *, hint: str = "", code: int = FAILED, kind: str = "failed") -> None:
        super().__init__(message)
        self.message, self.hint, self.code, self.kind = message, hint, code, kind
        self.receipt: str | None = None


def document(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


@contextlib.contextmanager
def failures(as_json: bool) -> Iterator[None]:
    """Every failure inside leaves in the same form."""
    try:
        yield
    except Failure as failure:
        if as_json:
            error = {"type": failure.kind, "message": failure.message, "hint": failure.hint}
            document({"error": error, "receipt": failure.receipt})
        else:
            complain(failure)
        raise typer.Exit(failure.code) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            sys.stdout.close()
        raise typer.Exit(OK) from None


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
