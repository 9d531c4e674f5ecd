"""`python -m tiffin.cli`, where the script is not on the path."""

from __future__ import annotations

from tiffin.cli import main

main()
