"""Put the built console into the wheel, as tiffin/console; a wheel built without it serves the API alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Console(BuildHookInterface[Any]):
    """Runs for every build; an editable one serves the checkout's own console/dist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard" and (Path(self.root) / "console" / "dist" / "index.html").is_file():
            build_data["force_include"]["console/dist"] = "tiffin/console"
