"""What every test shares: no setting of the developer's own Tiffin, and no deadline that a busy machine would miss."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("tiffin", deadline=None, print_blob=True)
settings.load_profile("tiffin")


@pytest.fixture(autouse=True)
def _no_tiffin_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIFFIN_")]:
        monkeypatch.delenv(name)
