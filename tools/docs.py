"""Write the generated documents, and check that they, and every link between documents, still hold.

`docs.py` writes; `docs.py --check` writes nothing and names what is out of date. A document is generated when a reader
could otherwise be told something that the code no longer does.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any  # typer carries its own click and does not export its types

import typer.main
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = ROOT / "docs" / "decisions"
NOTICE = "<!-- Written by `make docs`; do not edit. -->\n\n"

LINK = re.compile(r"\[[^\]]*\]\((?!\w+:|#)([^)\s#]+)[^)]*\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def decisions() -> str:
    """The index of the decision records, one line each: number, title, date and standing."""
    lines = []
    for path in sorted(DECISIONS.glob("[0-9]*.md")):
        title, standing = path.read_text("utf-8").split("\n", 3)[0:3:2]
        lines.append(f"- [{title.removeprefix('# ')}]({path.name}) · {standing}\n")
    return (
        f"# Decisions\n\n{NOTICE}Choices and dead ends, each with what was measured. A record is never rewritten: a"
        " later one replaces it\nand says so. The form is that of the first.\n\n" + "".join(lines)
    )


def command_line() -> str:
    """Every command with its options, as `tiffin COMMAND --help` would show them."""
    from tiffin.cli import app

    root = typer.main.get_command(app)
    sections = (_command(path, command) for path, command in _commands("tiffin", root) if path != "tiffin")
    return f"# The command line\n\n{NOTICE}{_plain(root.help)}\n\n{''.join(sections)}".rstrip() + "\n"


GENERATED: tuple[tuple[Path, Callable[[], str]], ...] = (
    (DECISIONS / "README.md", decisions),
    (ROOT / "docs" / "cli.md", command_line),
)


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(f"{path} {name}", child)


def _command(path: str, command: Any) -> str:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join((path, *command.collect_usage_pieces(context)))
    rows = []
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        option = parameter.param_type_name == "option"
        names = (*parameter.opts, *parameter.secondary_opts) if option else (parameter.name,)
        meaning = _plain(getattr(parameter, "help", "")).replace("|", r"\|")
        rows.append(f"| {', '.join(f'`{name}`' for name in names)} | {meaning} |\n")
    table = "| | |\n|---|---|\n" + "".join(rows) + "\n" if rows else ""
    ending = f"{_plain(command.epilog)}\n\n" if command.epilog else ""
    return f"## `{path}`\n\n```\n{usage}\n```\n\n{_plain(command.help)}\n\n{table}{ending}"


def _plain(markup: str | None) -> str:
    return Text.from_markup(markup or "").plain.strip()


def dead_links() -> Iterator[str]:
    """Relative links of any Markdown file that lead to no file."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        for target in LINK.findall(CODE.sub("", path.read_text("utf-8")) if path.is_file() else ""):
            if not (path.parent / target).exists():
                yield f"{name}: the link {target} leads nowhere"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated documents.")
    parser.add_argument("--check", action="store_true", help="write nothing; say what is out of date")
    check = parser.parse_args().check
    found: list[str] = []
    for path, render in GENERATED:
        text, name = render(), path.relative_to(ROOT)
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        if check:
            found.append(f"{name} is out of date: run `make docs`")
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    found.extend(dead_links())
    print("\n".join(found) if found else "documents hold")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
