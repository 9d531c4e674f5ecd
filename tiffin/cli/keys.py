"""`tiffin keys`: make, list and revoke API keys."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tiffin.cli.client import Client, quoted
from tiffin.cli.show import AsJson, document, escaped, failures, print_table, table

app = typer.Typer(
    help="API keys: shown once when made, only their hash is kept.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Role(StrEnum):
    admin = "admin"
    member = "member"
    reader = "reader"


@app.command()
def create(
    project: Annotated[str, typer.Option(help="The project whose collections the key sees.")] = "default",
    name: Annotated[str, typer.Option(help="Whose key it is.")] = "key",
    role: Annotated[Role, typer.Option(help="reader asks; member also ingests; admin also administers.")] = Role.member,
    tokens_max: Annotated[int | None, typer.Option(min=1, help="Token budget of its whole life.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once.

    \b
    Example: tiffin keys create --project trials --name 'Ada' --role member
    """
    with failures(as_json):
        body = {"name": name, "project": project, "role": role.value, "tokens_max": tokens_max}
        made = Client().post("/api/v1/keys", body)
        if as_json:
            document(made)
        else:
            typer.echo(made["key"])
            typer.echo(f"{made['id']} in project {made['project']}; this is the only time the key is shown.", err=True)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """List all keys, without their secrets.

    \b
    Example: tiffin keys list
    """
    with failures(as_json):
        answer = Client().get("/api/v1/keys")
        if as_json:
            document(answer)
            return

        shown = table("id", "name", "project", "role", "tokens", "state")
        for key in answer["keys"]:
            tokens = f"{key['tokens_used']} of {key['tokens_max']}" if key["tokens_max"] else "no limit"
            state = "[red]revoked[/]" if key["revoked"] else "[green]in force[/]"
            shown.add_row(key["id"], escaped(key["name"]), escaped(key["project"]), key["role"], tokens, state)
        print_table(shown)


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="The key's id.")], as_json: AsJson = False) -> None:
    """Revoke a key; it stops working at once.

    \b
    Example: tiffin keys revoke key_1f0c2d3e4a5b6c7d
    """
    with failures(as_json):
        answer = Client().delete(f"/api/v1/keys/{quoted(key)}")
        if as_json:
            document(answer)
        else:
            typer.echo(f"{key} is revoked.")
