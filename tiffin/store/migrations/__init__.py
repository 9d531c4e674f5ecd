"""The numbered steps of the schema: `versions/NNNN_what.py`, without branches. A step that has shipped never changes.

The file names alone tell the newest revision, so that a start-up on a current database need not import Alembic.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def revisions() -> tuple[str, ...]:
    """Every revision this code knows, oldest first."""
    return tuple(sorted(file.name[:4] for file in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")))
