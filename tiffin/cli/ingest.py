"""`tiffin ingest`: files and folders into a collection, with a report of every file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tiffin.cli.client import Client
from tiffin.cli.show import NO, USAGE, AsJson, Failure, document, escaped, failures
from tiffin.kernel import limits

IN_FLIGHT = 2  # files sent at once: one is parsed while the other is embedded
STYLES = {"ingested": "green", "unchanged": "dim", "refused": "yellow"}
MARKS = {"ingested": "✓", "unchanged": "=", "refused": "✗"}


@dataclass(frozen=True)
class Candidate:
    path: Path
    document: str  # its id: the path below the folder that was named


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are searched through.")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="The collection; made by its first document.")],
    as_json: AsJson = False,
) -> None:
    """Take files into a collection: PDF, DOCX, PPTX, XLSX, CSV, HTML, Markdown, text, e-mail.

    Files that did not change are left alone, changed ones supersede their old version; a run that was killed is
    simply run again. Every file is reported: ingested, unchanged, or refused with one plain reason.

    \b
    Example: tiffin ingest protocols/ notes.md --collection trials
    """
    with failures(as_json):
        files = list(_candidates(paths))
        _check_distinct(files)
        if not files:
            raise Failure("There is no file to ingest.", code=USAGE, kind="usage")
        results = _all(Client(), collection, files, as_json)
        if as_json:
            document({"collection": collection, "documents": results, "summary": _counted(results)})
        else:
            _report(collection, results)
        if all(result["status"] == "refused" for result in results):
            raise typer.Exit(NO)


def _candidates(paths: list[Path]) -> Iterator[Candidate]:
    """Sorted, so that two runs do the same in the same order. Hidden files are passed over."""
    for path in paths:
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                inner = found.relative_to(path)
                if found.is_file() and not any(part.startswith(".") for part in inner.parts):
                    yield Candidate(found, readable(inner.as_posix()))
        elif path.exists():
            yield Candidate(path, readable(path.name))
        else:
            raise Failure(
                f"There is no file or folder '{path}'.",
                hint="Nothing was ingested. Check the path.",
                code=USAGE,
                kind="usage",
            )


def readable(name: str) -> str:
    """A file's name as text: bytes in it that are no UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", "replace")


def _check_distinct(files: list[Candidate]) -> None:
    """Two files with one id would be two versions of one document, and only the second be found."""
    first: dict[str, Path] = {}
    for file in files:
        other = first.setdefault(file.document, file.path)
        if other is not file.path:
            raise Failure(
                f"'{other}' and '{file.path}' would both be the document '{file.document}'.",
                hint="Name the folder above them: then their ids are the paths below it.",
                code=USAGE,
                kind="usage",
            )


def _all(client: Client, collection: str, files: list[Candidate], quiet: bool) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task("", total=len(files))
        results: list[dict[str, Any]] = []
        with ThreadPoolExecutor(IN_FLIGHT) as pool:
            try:
                for result in pool.map(lambda file: _one(client, collection, file), files):
                    results.append(result)
                    progress.update(task, advance=1, description=escaped(result["id"][-48:]))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return results


def _one(client: Client, collection: str, file: Candidate) -> dict[str, Any]:
    """One file's row. Only a server that fails stops the run: the next run goes on where this one stopped."""
    try:
        status = file.path.stat()
        if not stat.S_ISREG(status.st_mode):
            return _refused(file, "unreadable", "This is a device or a pipe, not a file.")
        if status.st_size > limits.UPLOAD_BYTES_MAX:
            return _refused(file, "too_large", f"The file is larger than {limits.UPLOAD_BYTES_MAX >> 20} MiB.")
        if not os.access(file.path, os.R_OK):
            return _refused(file, "unreadable", "The file cannot be read: check its permissions.")
        return client.upload(collection, file.path, file.document)
    except OSError as error:
        return _refused(file, "unreadable", f"The file cannot be read: {error.strerror or error}.")
    except Failure as failure:
        if failure.code == USAGE and failure.receipt:
            return _refused(file, failure.kind, failure.message)
        raise


def _refused(file: Candidate, reason: str, detail: str) -> dict[str, Any]:
    return {"id": file.document, "status": "refused", "reason": reason, "detail": detail, "chunks": 0, "notes": []}


def _counted(results: list[dict[str, Any]]) -> dict[str, int]:
    return {status: sum(r["status"] == status for r in results) for status in STYLES}


def _report(collection: str, results: list[dict[str, Any]]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for result in results:
        status = result["status"]
        said = result["detail"] or result["reason"] if status == "refused" else f"{result['chunks']} chunks"
        notes = "".join(f" [dim]({escaped(note)})[/]" for note in result["notes"])
        mark = f"[{STYLES[status]}]{MARKS[status]} {status:<9}[/]"
        console.print(f"{mark} {escaped(result['id'])} [dim]—[/] {escaped(said)}{notes}", soft_wrap=True)
    counted = _counted(results)
    console.print(
        f"\n{len(results)} files in '{escaped(collection)}': {counted['ingested']} ingested, "
        f"{counted['unchanged']} unchanged, {counted['refused']} refused.",
        soft_wrap=True,
    )
