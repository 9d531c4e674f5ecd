"""The command line in this process: as many runs as one likes, at a hundredth of the price of a process each."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

from tests.server import Server
from tiffin.cli import main


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


def run(where: Server, *arguments: str, stdin: str = "") -> Ran:
    """What `tiffin …` prints and returns, on the home and port of `where`."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    given = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape")), "utf-8")
    environment = patch.dict("os.environ", where.variables, clear=True)
    with environment, patch.object(sys, "argv", ["tiffin", *arguments]), patch.object(sys, "stdin", given):
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Ran(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]
