"""The command line: a client of the API, and what works on the home folder while the server is stopped.

Exit codes: 0 it went well · 1 the answer is no (refused, not found, not verified) · 2 wrong usage · 3 the system
failed. Modules here import what is heavy inside their functions, so that `tiffin --help` is quick.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import typer

from tiffin.cli import ask, doctor, ingest, keys, models, receipts, up

app = typer.Typer(
    name="tiffin",
    help="The whole generative-AI stack in one carrier, with a receipt for every call that a stranger can verify.",
    epilog="Example: tiffin ask 'What is the maximum daily dose?' --collection sample",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up", short_help="Start everything in the foreground.")(up.up)
app.command("ingest", short_help="Take files and folders into a collection.")(ingest.ingest)
app.command("ask")(ask.ask)
app.command("search")(ask.search)
app.command("chat")(ask.chat)
app.command("receipts")(receipts.receipts)
app.command("verify", short_help="Verify the ledger, or one saved receipt.")(receipts.verify)
app.add_typer(keys.app, name="keys", short_help="Make, list and revoke API keys.")
app.add_typer(models.app, name="models", short_help="List, add and remove models.")
app.command("doctor", short_help="Say what is wrong with this machine or home.")(doctor.doctor)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Show the version and exit.", is_eager=True)) -> None:
    if version:
        from tiffin import __version__

        typer.echo(f"tiffin {__version__}")
        raise typer.Exit


def main() -> None:
    """Runs the command line. Wrong usage is said as the rest is: with --json in one JSON document."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows "?" instead of failing
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):  # click's, wherever typer keeps it
            raise
        code = _misused(error)
    finally:
        _flush()
    sys.exit(code if isinstance(code, int) else 0)


def _misused(error: Any) -> int:
    if "--json" in sys.argv:
        from tiffin.cli.show import document

        hint = "`tiffin COMMAND --help` shows how it is used."
        document({"error": {"type": "usage", "message": error.format_message(), "hint": hint}, "receipt": None})
    else:
        error.show()
    return int(error.exit_code)


def _flush() -> None:
    """A reader that has left early (`| head`) is no failure."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
