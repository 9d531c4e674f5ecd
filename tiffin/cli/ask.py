"""`tiffin ask`, `tiffin search` and `tiffin chat`."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer

from tiffin.cli.client import Client
from tiffin.cli.show import NO, USAGE, AsJson, Failure, document, escaped, failures

Collection = Annotated[str, typer.Option("--collection", "-c", help="The collection to look in.")]
AsOf = Annotated[str | None, typer.Option(help="The collection as it was at this time (RFC 3339).")]


def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    collection: Collection = "sample",
    model: Annotated[str, typer.Option(help="The model that words the answer.")] = "default",
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Ask your documents: a cited answer with a receipt. Exit code 1 when the collection does not hold the answer.

    \b
    Example: tiffin ask 'What is the maximum daily dose?' --collection sample
    """
    body = {"collection": collection, "question": question, "model": model, "as_of": as_of}
    with failures(as_json):
        if as_json:
            answer = Client().post("/api/v1/ask", body)
            document(answer)
        else:
            answer = streamed(Client(), body)
        if answer["refused"]:
            raise typer.Exit(NO)


def streamed(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Prints an answer as it comes, then its sources and its receipt."""
    from rich.console import Console

    console = Console(highlight=False)
    answer: dict[str, Any] = {}
    for name, value in client.events("/api/v1/ask", body | {"stream": True}):
        if name == "text":
            console.print(escaped(value["text"]), end="", soft_wrap=True)
        elif name == "done":
            answer = value
    console.print()
    if not answer:
        raise Failure("The answer stopped before its end.", hint="Ask again.")
    for number, citation in enumerate(answer["citations"], 1):
        span = f"page {citation['page']}, characters {citation['start']}–{citation['end']}"
        where = f"{escaped(citation['document'])}, {span}"
        console.print(
            f"  [cyan]\\[{number}][/] {where}\n      [dim]“{escaped(shortened(citation['quote']))}”[/]", soft_wrap=True
        )
    console.print(f"  [dim]receipt {answer['receipt']}[/]", soft_wrap=True)
    return answer


def shortened(text: str, chars_max: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def search(
    query: Annotated[str, typer.Argument(help="Words or a question.")],
    collection: Collection = "sample",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many hits.")] = 5,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Search a collection by words and by meaning.

    \b
    Example: tiffin search 'temperature excursion' --collection sample --limit 3
    """
    with failures(as_json):
        body = {"collection": collection, "query": query, "limit": limit, "as_of": as_of}
        found = Client().post("/api/v1/search", body)
        if as_json:
            document(found)
            return
        from rich.console import Console

        console = Console(highlight=False)
        for number, hit in enumerate(found["hits"], 1):
            where = f"[bold]{escaped(hit['document'])}[/] page {hit['page']} [dim]score {hit['score']:.4f}[/]"
            console.print(f"[cyan]{number}[/] {where}", soft_wrap=True)
            console.print(f"  {escaped(shortened(hit['text'], 300))}", soft_wrap=True)
        if not found["hits"]:
            console.print("Nothing found.")
        console.print(f"[dim]receipt {found['receipt']}[/]", soft_wrap=True)


def chat(
    prompt: Annotated[str | None, typer.Argument(help="What to say; without it, a conversation.")] = None,
    model: Annotated[str, typer.Option(help="The model to talk to; 'rag:NAME' talks to a collection.")] = "default",
    system: Annotated[str | None, typer.Option(help="Instructions for the model.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Output tokens at most.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Talk to a model. Without a prompt it reads one line after the other.

    \b
    Example: tiffin chat 'Say hello in French.'
    """
    with failures(as_json):
        client = Client()
        messages = [{"role": "system", "content": system}] if system else []
        if prompt is None and as_json:
            raise Failure("--json needs a prompt.", code=USAGE, kind="usage")
        if prompt is not None:
            messages.append({"role": "user", "content": prompt})
            body = {"model": model, "messages": messages, "max_tokens": max_tokens}
            if as_json:
                document(client.post("/v1/chat/completions", body))
            else:
                _say(client, body)
            return
        for line in _lines():
            messages.append({"role": "user", "content": line})
            reply = _say(client, {"model": model, "messages": messages, "max_tokens": max_tokens})
            messages.append({"role": "assistant", "content": reply})


def _lines() -> Any:
    interactive = sys.stdin.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a pipe may hold anything
    if interactive:
        typer.echo("Ctrl-D ends the conversation.", err=True)
    while True:
        try:
            line = input("› " if interactive else "")
        except EOFError:
            return
        if line.strip():
            yield line


def _say(client: Client, body: dict[str, Any]) -> str:
    reply: list[str] = []
    ended = False
    for _, chunk in client.events("/v1/chat/completions", body | {"stream": True}):
        for choice in chunk["choices"]:
            ended = ended or choice["finish_reason"] is not None
            piece = choice["delta"].get("content") or ""
            reply.append(piece)
            sys.stdout.write(piece)
            sys.stdout.flush()
    sys.stdout.write("\n")
    if not ended:
        raise Failure("The answer stopped before its end.", hint="Ask again.")
    return "".join(reply)
