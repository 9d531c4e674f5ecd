"""Wires everything together; nobody imports it but the command line."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiffin import __version__, home
from tiffin.api import server
from tiffin.api.application import application
from tiffin.api.gateway import Gateway
from tiffin.config import Settings, console_files
from tiffin.kernel.calls import Administer, Ask, Call, Chat, Embed, Ingest, Malformed, Read, Remove, Retrieve
from tiffin.kernel.errors import Invalid
from tiffin.kernel.parts import Event, Finish, Row
from tiffin.kernel.ports import Context, World
from tiffin.kernel.receipt import Target
from tiffin.knowledge.ask import ask
from tiffin.knowledge.chunk import Chunker
from tiffin.knowledge.index import ExactIndex
from tiffin.knowledge.ingest import ingest
from tiffin.knowledge.library import Library
from tiffin.knowledge.parse import Parser
from tiffin.knowledge.read import read as read_knowledge
from tiffin.knowledge.remove import remove
from tiffin.knowledge.search import retrieve
from tiffin.ledger.log import Log
from tiffin.ledger.reading import Receipts
from tiffin.ledger.recorder import Recorder
from tiffin.monitor.metrics import Counted
from tiffin.policy import access
from tiffin.policy.administration import Keys, first_administrator
from tiffin.policy.authentication import Keyring
from tiffin.policy.budgets import TokenBudgets
from tiffin.providers.administration import Shelf
from tiffin.providers.catalogue import Catalogue, Model
from tiffin.providers.engines.local import LocalModels
from tiffin.providers.http import Http
from tiffin.providers.models import Models
from tiffin.store import models
from tiffin.store.database import Database

THREADS_MAX = 32  # blocking works at once (SQL, files); the fetching of a model holds one for as long as it takes

Say = Callable[[str], None]


@dataclass(frozen=True)
class Executors:
    """Which part of the house executes which call."""

    models: Models
    library: Library
    receipts: Receipts
    keys: Keys
    shelf: Shelf
    status: Callable[[], dict[str, Any]]

    def execute(self, target: Target, call: Call, context: Context) -> AsyncGenerator[Event, None]:
        match call:
            case Chat() | Embed():
                return self.models.execute(target, call, context)
            case Ask():
                return ask(call, context, self.library)
            case Retrieve():
                return retrieve(call, context, self.library)
            case Ingest():
                return ingest(call, context, self.library)
            case Remove():
                return remove(call, context, self.library)
            case Read():
                return self._read(call, context)
            case Administer(action="create_key" | "revoke_key"):
                return self.keys.administer(call, context)
            case Administer():
                return self.shelf.administer(call, context)
            case Malformed():
                raise Invalid("This request could not be read.")

    def _read(self, call: Read, context: Context) -> AsyncGenerator[Event, None]:
        match call.what:
            case "receipts" | "receipt":
                return self.receipts.read(call, context)
            case "keys":
                return self.keys.read(call, context)
            case "models":
                return self._models(call, context)
            case "status":
                return _status(self.status)
            case _:
                return read_knowledge(call, context, self.library)

    async def _models(self, call: Read, context: Context) -> AsyncGenerator[Event, None]:
        """The models of the shelf, and each collection as a model that answers with citations."""
        async for event in self.shelf.read(call, context):
            if isinstance(event, Row):
                yield event
        async for event in read_knowledge(Read("collections"), context, self.library):
            if isinstance(event, Row):
                created = int(datetime.fromisoformat(str(event.value["created"])).timestamp())
                yield Row({"id": f"rag:{event.value['name']}", "kind": "rag", "created": created})
        yield Finish()


def _health(local: LocalModels, log: Log) -> Callable[[], dict[str, Any]]:
    """Ready is who can answer: the engines do, and the ledger takes records."""

    def status() -> dict[str, Any]:
        told = local.status()
        return told | {"ready": told["ready"] and not log.broken, "ledger": log.broken or "ok"}

    return status


async def _status(status: Callable[[], dict[str, Any]]) -> AsyncGenerator[Event, None]:
    yield Row(status())
    yield Finish()


@asynccontextmanager
async def running(where: Settings, say: Say) -> AsyncIterator[Gateway]:
    """Everything that a gateway needs, opened in order and closed in reverse."""
    home.make(where)
    async with AsyncExitStack() as stack:
        log = home.open_log(where)
        stack.push_async_callback(log.aclose)
        home.clean_spool(where)
        home.check_whole(where, log)
        database = Database.open(where.database)
        stack.callback(database.close)
        versions = {"tiffin": __version__, "policy": access.VERSION}
        recorder = await stack.enter_async_context(Recorder(log, database, versions, time.time_ns))
        first_administrator(database, where.admin_key, time.time_ns)
        catalogue = Catalogue(_added_models(database))
        local = await stack.enter_async_context(LocalModels(catalogue, where.models, where.logs, say))
        parser = await stack.enter_async_context(Parser())
        http = await stack.enter_async_context(Http())
        keyring = Keyring(database)
        embedding = local.embedding
        index = ExactIndex(embedding.dimensions)
        library = Library(database, index, Chunker(embedding.tokenizer), parser, embedding.sha256)
        status = _health(local, log)
        executors = Executors(
            Models(http, local.address),
            library,
            Receipts(log, recorder, database),
            Keys(database, keyring, time.time_ns),
            _shelf(database, catalogue, local),
            status,
        )
        world = World(
            authenticate=keyring.authenticate,
            authorise=access.authorise,
            guards=(),
            budget=TokenBudgets(database),
            route=catalogue.route,
            journal=Counted(recorder),
            execute=executors.execute,
            clock=time.time_ns,
        )
        await local.ready()
        yield Gateway(world, (log,), status, lambda: int(time.time()), where.spool, console_files())


async def serve(where: Settings, say: Say, ready: Callable[[], None]) -> None:
    """Serves until SIGINT or SIGTERM. `ready` is called once, when requests are answered."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS_MAX, "worker"))
    listener = home.listen(where)
    with listener:
        async with running(where, say) as gateway:
            await server.serve(application(gateway), listener, ready)


def _added_models(database: Database) -> list[Model]:
    with database.read() as connection:
        return [
            Model(m.alias, "chat", m.source, m.sha256, m.context_tokens, "openai_chat", m.created_ns)
            for m in models.listed(connection)
        ]


def _shelf(database: Database, catalogue: Catalogue, local: LocalModels) -> Shelf:
    def save(m: Model) -> bool:
        added = models.AddedModel(m.alias, m.kind, m.source, m.sha256, m.context_tokens, m.created_ns)
        return models.add(database, added)

    def forget(alias: str) -> None:
        models.remove(database, alias)

    return Shelf(catalogue, local, time.time_ns, save, forget)
