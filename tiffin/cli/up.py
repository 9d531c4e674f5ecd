"""`tiffin up`: the whole stack in the foreground; an empty home gets the sample collection."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from tiffin.cli.show import FAILED, USAGE, Failure, escaped, failures
from tiffin.config import PACKAGE, BadSetting, Settings, settings

SAMPLE = "sample"
SAMPLE_FOLDER = PACKAGE / "sample"


def up(
    sample: Annotated[
        bool, typer.Option(help="Load the sample collection into an empty home, and ask it a question.")
    ] = True,
) -> None:
    """Start Tiffin in the foreground: API, console, engines. Ctrl-C stops it.

    \b
    Example: TIFFIN_PORT=9000 tiffin up
    """
    with failures(False):
        try:
            where = settings()
        except BadSetting as error:
            raise Failure(str(error), code=USAGE) from error
        from rich.console import Console

        console = Console(highlight=False)
        _serve(where, console, sample)


def _serve(where: Settings, console: Any, sample: bool) -> None:
    import uvloop

    from tiffin.app import serve
    from tiffin.kernel.errors import TiffinError
    from tiffin.ledger.errors import LedgerError

    greeting = threading.Thread(target=_greet, args=(where, console, sample), daemon=True, name="greeting")
    with console.status("Starting …") as status:

        def say(text: str) -> None:
            status.update(escaped(text))
            if not console.is_terminal:
                console.print(escaped(text), soft_wrap=True)

        def ready() -> None:
            status.stop()
            greeting.start()

        try:
            uvloop.run(serve(where, say, ready))
        except TiffinError as error:
            raise Failure(error.message, hint=error.hint) from error
        except LedgerError as error:
            raise Failure(f"The ledger cannot be opened: {error}.", hint="`tiffin verify` says more.") from error
        except PermissionError as error:
            hint = "`tiffin doctor` says more; TIFFIN_HOME names another home."
            raise Failure(f"No permission to write {error.filename}.", hint=hint) from error
        except OSError as error:
            raise Failure(
                f"Tiffin cannot start: {error.strerror or error}.", hint="`tiffin doctor` says more."
            ) from error


def _greet(where: Settings, console: Any, sample: bool) -> None:
    """What the user sees once the server is ready. A failure here is said and leaves the server running."""
    from tiffin.cli.client import Client

    client = Client(where)
    try:
        if sample and not client.get("/api/v1/collections")["collections"]:
            _load_sample(client, console)
        if sample:
            _first_answer(client, console)
    except Failure as failure:
        console.print(f"[yellow]![/] {escaped(failure.message)} [dim]{escaped(failure.hint)}[/]", soft_wrap=True)
    key = where.admin_key.read_text().strip() if where.admin_key.exists() else ""
    console.print()
    console.print("[bold green]Tiffin is ready.[/]")
    console.print(f"  console   {where.url}/" + (f"#key={key}" if key and console.is_terminal else ""), soft_wrap=True)
    console.print(f"  API       {where.url}/v1 (OpenAI) · {where.url}/api/v1", soft_wrap=True)
    console.print(f"  key       {escaped(str(where.admin_key))}", soft_wrap=True)
    console.print(f"  home      {escaped(str(where.home))}", soft_wrap=True)
    console.print("  [dim]Ctrl-C stops it.[/]")
    sys.stdout.flush()


def _load_sample(client: Any, console: Any) -> None:
    files = [file for file in sorted(SAMPLE_FOLDER.iterdir()) if file.suffix not in (".json", ".py")]
    with console.status("Loading the sample collection …"):
        for file in files:
            result = client.upload(SAMPLE, file, file.name)
            if result["status"] == "refused":
                raise Failure(f"The sample {file.name} was refused: {result['detail']}", code=FAILED)
    console.print(f"Loaded {len(files)} documents of a fictional clinical trial into the collection '{SAMPLE}'.")


def _first_answer(client: Any, console: Any) -> None:
    from tiffin.cli.ask import streamed

    names = [collection["name"] for collection in client.get("/api/v1/collections")["collections"]]
    if SAMPLE not in names:
        return
    question = first_question(SAMPLE_FOLDER)
    console.print(f"\n[bold]? {escaped(question)}[/]")
    streamed(client, {"collection": SAMPLE, "question": question})


def first_question(folder: Path) -> str:
    questions = json.loads((folder / "questions.json").read_bytes())
    return str(questions[0]["question"])
