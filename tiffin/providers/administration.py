"""Executes the listing, adding and removing of models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable

from msgspec import structs

from tiffin.kernel.calls import Administer, Read
from tiffin.kernel.errors import Conflict, Invalid, NotFound
from tiffin.kernel.parts import Event, Finish, Progress, Row
from tiffin.kernel.ports import Context
from tiffin.kernel.receipt import Clock
from tiffin.providers.catalogue import DEFAULT, DEFAULTS, Catalogue, Model
from tiffin.providers.engines.local import LocalModels
from tiffin.providers.engines.sources import SourceError

PROGRESS_STEP_BYTES = 1 << 20  # bytes between two progress events
GGUF = b"GGUF"  # what such a file begins with


class Shelf:
    """The models of a gateway. `save` and `forget` make a change durable before it takes effect.

    `save` says False when another call was faster to take the alias.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        local: LocalModels,
        clock: Clock,
        save: Callable[[Model], bool],
        forget: Callable[[str], None],
    ) -> None:
        self._catalogue = catalogue
        self._local = local
        self._clock = clock
        self._save = save
        self._forget = forget

    async def read(self, call: Read, context: Context) -> AsyncGenerator[Event, None]:
        engines = self._local.status()["engines"]
        for alias, model in [
            (DEFAULT, self._catalogue.find(DEFAULT, "chat")),
            *((m.alias, m) for m in self._catalogue.all()),
        ]:
            yield Row(
                {
                    "id": alias,
                    "kind": model.kind,
                    "created": model.created_ns // 10**9,
                    "source": model.source,
                    "sha256": model.sha256,
                    "context_tokens": model.context_tokens,
                    "engine": engines.get(model.alias, {}).get("state", "not started"),
                    "default": model.alias in DEFAULTS.values(),
                }
            )
        yield Finish()

    async def administer(self, call: Administer, context: Context) -> AsyncGenerator[Event, None]:
        if call.action == "add_model":
            adding = self._add(call)
            async for event in adding:
                yield event
        else:
            await self._remove(call.target)
            yield Row({"model": call.target, "removed": True})
        yield Finish()

    async def _add(self, call: Administer) -> AsyncGenerator[Event, None]:
        alias, wanted = call.target, call.settings
        if alias == DEFAULT or self._catalogue.get(alias) is not None:
            raise _taken(alias)
        model = Model(
            alias,
            "chat",
            str(wanted["source"]),
            str(wanted.get("sha256") or ""),
            int(wanted.get("context_tokens") or 4_096),
            "openai_chat",
            self._clock(),
        )
        steps: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        left = threading.Event()

        def step(done: int, total: int) -> None:
            if left.is_set():  # raising is how a fetch is stopped; else it would go on for nobody, perhaps for hours
                raise SourceError("nobody waits for it any more")
            loop.call_soon_threadsafe(steps.put_nowait, (done, total))

        fetching = asyncio.create_task(self._local.fetch(model, step))
        try:
            async for event in _progress(steps, fetching):
                yield event
            path, digest = await fetching
        finally:
            left.set()
            fetching.cancel()
        with path.open("rb") as weights:
            if weights.read(len(GGUF)) != GGUF:
                raise Invalid(f"'{path.name}' is not a GGUF file.", hint="Tiffin runs chat models in the GGUF format.")
        model = structs.replace(model, sha256=digest)
        if not await asyncio.to_thread(self._save, model):
            raise _taken(alias)
        self._catalogue.add(model)
        yield Row({"model": alias, "sha256": digest, "source": model.source, "context_tokens": model.context_tokens})

    async def _remove(self, alias: str) -> None:
        model = self._catalogue.get(alias)
        if model is None:
            raise NotFound(f"There is no model '{alias}'.", hint="`tiffin models list` shows them.")
        if model.built_in:
            raise Conflict(f"'{alias}' comes with Tiffin and stays.")
        await asyncio.to_thread(self._forget, alias)
        self._catalogue.remove(alias)
        await self._local.stop(alias)


def _taken(alias: str) -> Conflict:
    return Conflict(f"There is a model '{alias}' already.", hint="Choose another alias, or remove it first.")


async def _progress(
    steps: asyncio.Queue[tuple[int, int]], fetching: asyncio.Task[object]
) -> AsyncGenerator[Event, None]:
    """Progress events until the fetching ends, at most one a step of bytes."""
    shown = -PROGRESS_STEP_BYTES
    while not fetching.done():
        waiting = asyncio.ensure_future(steps.get())
        await asyncio.wait({waiting, fetching}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            continue
        done, total = waiting.result()
        if done - shown >= PROGRESS_STEP_BYTES or done == total:
            shown = done
            yield Progress("download", done, total)
