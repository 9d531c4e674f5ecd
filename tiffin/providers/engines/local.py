"""The local models of one gateway: weights fetched and checked, one supervised engine a model, its address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin.kernel.errors import Invalid, PlatformError, ProviderUnavailable
from tiffin.providers.catalogue import DEFAULTS, Catalogue, Model
from tiffin.providers.engines import minilm
from tiffin.providers.engines.sources import DigestMismatch, ModelSource, SourceError, fetch
from tiffin.providers.engines.specs import chat_engine, embed_engine
from tiffin.providers.engines.supervisor import EngineDown, EngineSpec, Supervisor
from tiffin.providers.http import Address

TOKENIZER = "tokenizer.json"
Progress = Callable[[int, int], None]


class ModelUnusable(PlatformError):
    """Weights that are missing, damaged, or not those that were pinned."""

    kind = "internal_error"


@dataclass(frozen=True)
class Embedding:
    """The default embedding model on disk: its tokenizer cuts documents, its digest names the maker of vectors."""

    tokenizer: Path
    sha256: str
    dimensions: int


class LocalModels:
    """Use as an async context manager: entering prepares the default models and starts their engines."""

    def __init__(self, catalogue: Catalogue, store: Path, logs: Path, say: Callable[[str], None]) -> None:
        self._catalogue = catalogue
        self._store = store
        self._say = say
        self._supervisor = Supervisor((), logs)
        self._starting = asyncio.Lock()
        self._started: set[str] = set()
        self._is_ready = False
        self._embedding: Embedding | None = None

    async def __aenter__(self) -> LocalModels:
        await self._supervisor.start()
        try:
            for alias in DEFAULTS.values():
                self._say(f"Preparing the model {alias} …")
                await self._start(alias)
        except BaseException:
            await self._supervisor.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_ready = False
        await self._supervisor.aclose()

    @property
    def embedding(self) -> Embedding:
        if self._embedding is None:
            raise RuntimeError("LocalModels is used outside its context")
        return self._embedding

    async def ready(self) -> None:
        """Both default engines answer."""
        self._say("Waiting for the engines …")
        await asyncio.gather(*(self.address(alias) for alias in DEFAULTS.values()))
        self._is_ready = True

    async def address(self, alias: str) -> Address:
        """Where a model listens; its engine is started if need be."""
        if alias not in self._started:
            await self._start(alias)
        try:
            endpoint = await self._supervisor.endpoint(alias)
        except EngineDown as error:
            raise ProviderUnavailable(
                f"The model '{alias}' is not available: {error}.",
                hint="It is being restarted; `tiffin doctor` says more.",
            ) from error
        return Address(endpoint.url, endpoint.api_key)

    async def fetch(self, model: Model, progress: Progress) -> tuple[Path, str]:
        """The weights and their digest; Invalid when they cannot be had."""
        try:
            source = ModelSource.parse(model.source)
            return await asyncio.to_thread(
                fetch, source, sha256=model.sha256 or None, store=self._store, progress=progress
            )
        except (SourceError, DigestMismatch) as error:
            raise Invalid(f"The model '{model.alias}' cannot be used: {error}") from error

    async def stop(self, alias: str) -> None:
        async with self._starting:
            self._started.discard(alias)
            await self._supervisor.remove(alias)

    def status(self) -> dict[str, Any]:
        engines = self._supervisor.status()
        ready = self._is_ready and all(engines[alias]["state"] == "ready" for alias in DEFAULTS.values())
        return {"ready": ready, "engines": engines}

    async def _start(self, alias: str) -> None:
        async with self._starting:
            if alias in self._started:
                return
            model = self._catalogue.get(alias)
            if model is None:
                raise ProviderUnavailable(f"The model '{alias}' was removed.")
            try:
                weights, _ = await self.fetch(model, lambda done, total: None)
            except Invalid as error:
                raise ModelUnusable(error.message, hint="`make up` installs the built-in models again.") from error
            await self._supervisor.add(await self._spec(model, weights))
            self._started.add(alias)

    async def _spec(self, model: Model, weights: Path) -> EngineSpec:
        if model.kind == "chat":
            return chat_engine(model.alias, weights, context_tokens=model.context_tokens)
        try:
            converted = await asyncio.to_thread(minilm.convert, weights, weights.with_name(TOKENIZER), self._store)
        except minilm.ConversionError as error:
            raise ModelUnusable(f"The model '{model.alias}' cannot be prepared: {error}.") from error
        self._embedding = Embedding(converted.folder / TOKENIZER, converted.sha256, converted.dimensions)
        return embed_engine(model.alias, converted.folder)
