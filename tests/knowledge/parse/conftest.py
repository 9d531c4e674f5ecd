"""One parsing process for a whole module: starting one takes most of a second on a busy machine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tiffin.knowledge.parse import Parser


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def parser() -> AsyncIterator[Parser]:
    async with Parser() as running:
        yield running
