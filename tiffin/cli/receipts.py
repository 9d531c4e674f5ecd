"""`tiffin receipts` and `tiffin verify`. Both work while the server is stopped: they need the home folder only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tiffin.cli.client import Client, quoted
from tiffin.cli.show import NO, USAGE, AsJson, Failure, document, escaped, failures, print_table, table
from tiffin.config import Settings, settings
from tiffin.kernel.errors import TiffinError

STYLES = {"completed": "green", "refused": "yellow", "abandoned": "yellow", "truncated": "yellow"}
ENTRY, PROOF, VKEY = "entry.json", "receipt.tlog-proof", "vkey.txt"


def receipts(
    receipt: Annotated[str | None, typer.Argument(help="Show this one; without it, the newest are listed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Also calls inside calls, and reads.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write entry, proof and log key into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """List receipts, show one, or save one for a stranger to verify.

    \b
    Example: tiffin receipts --limit 5
    Example: tiffin receipts 01932c7e-… --save audit/
    """
    with failures(as_json):
        if receipt is None:
            _list(limit, everything, as_json)
        elif save is not None:
            _save(receipt, save, as_json)
        else:
            _show(receipt, as_json)


def _list(limit: int, everything: bool, as_json: bool) -> None:
    from tiffin.cli import stopped
    from tiffin.ledger.reading import summary
    from tiffin.store.receipts import Wanted, listed

    with contextlib.suppress(Failure, TiffinError, OSError):  # then the list shows what the index holds
        stopped.index(settings())
    wanted = Wanted(limit=limit, roots_only=not everything, reads_too=everything)
    database = _database()
    try:
        with database.read() as connection:
            rows = [summary(row) for row in listed(connection, wanted)]
    finally:
        database.close()
    if as_json:
        document({"receipts": rows})
        return
    shown = table("receipt", "time", "operation", "model", "outcome", "ms", "tokens")
    for row in rows:
        outcome = str(row["outcome"])
        style = STYLES.get(outcome, "red")
        cells = (row["id"], str(row["time"])[:19], row["operation"], row["model"] or "", f"[{style}]{outcome}[/]")
        shown.add_row(*map(str, cells), f"{row['duration_ms']:.0f}", str(row["tokens"]))
    print_table(shown)


def _database() -> Any:
    from tiffin.kernel.errors import PlatformError
    from tiffin.store.database import Database

    where = settings()
    if not where.home.exists():
        hint = "Set TIFFIN_HOME to the home of a Tiffin that has run."
        raise Failure(f"There is no home at {where.home}.", hint=hint, code=USAGE, kind="usage")
    try:
        return Database.open(where.database, readonly=True)
    except PlatformError as error:
        raise Failure(error.message, hint=error.hint) from error


def _show(receipt: str, as_json: bool) -> None:
    try:
        shown = Client().get(f"/api/v1/receipts/{quoted(receipt)}")
    except Failure as failure:
        shown = _of_stopped(failure, receipt).shown
    if as_json:
        document(shown)
        return
    from rich.console import Console
    from rich.tree import Tree

    console = Console(highlight=False)
    entry = shown["entry"]
    console.print_json(data=entry)
    tree = Tree(f"[bold]{escaped(shown['operation'])}[/] {shown['outcome']} {shown['duration_ms']:.0f} ms")
    _grow(tree, shown["children"])
    console.print(tree)
    console.print(f"[dim]entry {shown['index']} of log {escaped(shown['log'])}[/]")


def _grow(tree: Any, children: list[dict[str, Any]]) -> None:
    for child in children:
        label = f"[bold]{escaped(child['operation'])}[/] {child['outcome']} {child['duration_ms']:.0f} ms"
        _grow(tree.add(f"{label} [dim]{child['id']}[/]"), child["children"])


def _of_stopped(failure: Failure, receipt: str) -> Any:
    """The receipt out of the home folder, where no server answers; else the failure."""
    if failure.kind != "server_unreachable" or os.environ.get("TIFFIN_URL"):
        raise failure
    from tiffin.cli import stopped

    return stopped.receipt(settings(), receipt.encode("utf-8", "replace").decode())


def _save(receipt: str, folder: Path, as_json: bool) -> None:
    try:
        client = Client()
        path = f"/api/v1/receipts/{quoted(receipt)}"
        shown = client.get(path)
        (vkey,) = (log["vkey"] for log in client.get("/api/v1/ledger")["logs"] if log["name"] == shown["log"])
        entry, proof = client.text(f"{path}/entry"), client.text(f"{path}/proof")
    except Failure as failure:
        saved = _of_stopped(failure, receipt)
        entry, proof, vkey = saved.entry, saved.proof, saved.vkey
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENTRY).write_text(entry)
    (folder / PROOF).write_text(proof)
    (folder / VKEY).write_text(vkey + "\n")
    if as_json:
        document({"receipt": receipt, "folder": str(folder), "files": [ENTRY, PROOF, VKEY], "vkey": vkey})
    else:
        typer.echo(f"Saved {ENTRY}, {PROOF} and {VKEY} in {folder}. Anybody can verify them:")
        typer.echo(f"  tiffin verify {folder}")
        typer.echo(f"  python docs/verify_receipt.py {folder / PROOF} {folder / ENTRY} '{vkey}'")


def verify(
    bundle: Annotated[
        Path | None, typer.Argument(help="A folder from `receipts --save`; without it, the whole ledger.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A checkpoint saved earlier: the ledger must contain all of it.")
    ] = None,
    save_checkpoint: Annotated[Path | None, typer.Option(help="Save the verified checkpoint in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the ledger: every entry, hash, signature and vault payload. Exit code 1 if anything does not hold.

    The last checkpoint verified here is remembered in the home folder, so that a ledger cut back later is noticed;
    whoever could change that too is noticed by a checkpoint that you keep elsewhere (--checkpoint).

    \b
    Example: tiffin verify
    Example: tiffin verify audit/ --json
    """
    with failures(as_json):
        if bundle is not None:
            _verify_bundle(bundle, as_json)
        else:
            _verify_ledger(settings(), checkpoint or [], save_checkpoint, as_json)


def _verify_bundle(folder: Path, as_json: bool) -> None:
    from tiffin.ledger.errors import LedgerError
    from tiffin.ledger.proof import parse_proof, verify_proof

    try:
        entry, proof, vkey = ((folder / name).read_bytes() for name in (ENTRY, PROOF, VKEY))
    except OSError as error:
        raise Failure(f"'{folder}' is not a saved receipt: {error.strerror}.", code=USAGE, kind="usage") from error
    try:
        size = verify_proof(proof.decode(), entry, vkey.decode().strip()).size
        index = parse_proof(proof.decode()).index
    except (LedgerError, ValueError) as error:
        raise Failure(f"The receipt does not verify: {error}.", code=NO, kind="not_verified") from error
    if as_json:
        document({"ok": True, "index": index, "size": size})
    else:
        typer.echo(f"✓ This receipt is entry {index} of the {size} that the log's key has signed.")


def _verify_ledger(where: Settings, saved: list[Path], keep: Path | None, as_json: bool) -> None:
    from tiffin.cli.verifying import verified

    report = verified(where, saved, keep, quiet=as_json)
    if as_json:
        document(report)
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for log in report["logs"]:
            console.print(
                f"log {escaped(log['name'])}: {log['entries']} entries, {log['payloads']} payloads", soft_wrap=True
            )
        for note in report["notes"]:
            console.print(f"[yellow]·[/] {escaped(note)}", soft_wrap=True)
        for problem in report["problems"]:
            where_at = "" if problem["index"] is None else f" entry {problem['index']}"
            console.print(f"[red]✗[/] {escaped(problem['log'])}{where_at}: {escaped(problem['what'])}", soft_wrap=True)
        if report["ok"]:
            console.print(f"[green]✓[/] The ledger verifies ({report['seconds']:.1f} s).")
    if not report["ok"]:
        raise typer.Exit(NO)
