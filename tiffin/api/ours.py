"""Tiffin's own API under /api/v1.

FastAPI makes the OpenAPI document from these routes and the bodies in wire/tiffin.py.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from tiffin.api.gateway import Gateway
from tiffin.api.http import EventStream, Json, begun, receipt_header, unless_gone
from tiffin.kernel.calls import Administer, Ask, Call, Read, Remove
from tiffin.kernel.errors import TiffinError
from tiffin.kernel.parts import Event, Finish, Found, Progress, Row
from tiffin.wire import sse, tiffin
from tiffin.wire.tiffin import AskAnswer, AskBody, ErrorAnswer, KeyBody, ModelBody, SearchAnswer, SearchBody

ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorAnswer}, "5XX": {"model": ErrorAnswer}}
Limit = Annotated[int, Query(ge=1, le=1000)]
Version = Annotated[int | None, Query(ge=1, le=tiffin.INTEGER_MAX)]


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", responses=ERRORS)
    _answers(routes, gateway)
    _collections(routes, gateway)
    _receipts(routes, gateway)
    _administration(routes, gateway)
    return routes


def _answers(routes: APIRouter, gateway: Gateway) -> None:
    @routes.post("/ask", response_model=AskAnswer, tags=["answers"])
    async def ask(body: AskBody, request: Request) -> Response:
        """A cited answer. With `stream: true`: server-sent events `sources`, `text`, `sentence`, `done`, `error`."""
        call = body.call()
        if body.stream:
            receipt, events = await unless_gone(request, begun(gateway.ask(call, request)))
            return EventStream(_answering(call, receipt, events), receipt_header(receipt))
        receipt, collected = await unless_gone(request, gateway.collect(call, request))
        answer = tiffin.Answer(receipt, call.model)
        for event in collected:
            answer.see(event)
        return Json(answer.body(), headers=receipt_header(receipt))

    @routes.post("/search", response_model=SearchAnswer, tags=["answers"])
    async def search(body: SearchBody, request: Request) -> Response:
        """The chunks of a collection that best match a query, best first."""
        receipt, events = await unless_gone(request, gateway.collect(body.call(), request))
        hits = [tiffin.hit(h) for e in events if isinstance(e, Found) for h in e.hits]
        return Json({"hits": hits, "receipt": receipt}, headers=receipt_header(receipt))


async def _answering(call: Ask, receipt: str, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    answer = tiffin.Answer(receipt, call.model)
    try:
        async with aclosing(events):
            async for event in events:
                answer.see(event)
                rendered = tiffin.render_event(event)
                if rendered is not None:
                    yield _sse(*rendered)
                elif isinstance(event, Finish):
                    yield _sse("done", answer.body())
    except TiffinError as error:
        yield _sse("error", tiffin.render_error(error))


def _collections(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get("/collections", tags=["collections"])
    async def collections(request: Request) -> Response:
        """The collections of the key's project."""
        return await _rows(gateway, Read("collections"), request, "collections")

    @routes.get("/collections/{collection}/documents", tags=["collections"])
    async def documents(collection: str, request: Request, limit: Limit = 1000, after: str | None = None) -> Response:
        """The documents of a collection by id; `after` continues behind one."""
        call = Read("documents", collection, limit=limit, before=after)
        return await _rows(gateway, call, request, "documents")

    @routes.get("/collections/{collection}/documents/{document:path}", tags=["collections"])
    async def document(collection: str, document: str, request: Request, version: Version = None) -> Response:
        """One document with its text and pages; offsets are Unicode code points in the text."""
        return await _row(gateway, Read("document", collection, document, version), request)

    @routes.delete("/collections/{collection}/documents/{document:path}", tags=["collections"])
    async def remove_document(collection: str, document: str, request: Request) -> Response:
        """Deletes a document with all its versions, everywhere."""
        return await _row(gateway, Remove(collection, document), request)

    @routes.delete("/collections/{collection}", tags=["collections"])
    async def remove_collection(collection: str, request: Request) -> Response:
        """Deletes a collection with everything in it."""
        return await _row(gateway, Remove(collection), request)


def _receipts(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get("/receipts", tags=["receipts"])
    async def receipts(
        request: Request, limit: Limit = 20, before: str | None = None, operation: str | None = None
    ) -> Response:
        """Receipts, newest first; without calls inside calls and without reads unless `operation` asks for them."""
        call = Read("receipts", limit=limit, before=before, operation=operation)
        return await _rows(gateway, call, request, "receipts")

    @routes.get("/receipts/{receipt}", tags=["receipts"])
    async def receipt(receipt: str, request: Request) -> Response:
        """A receipt, with the tree of the calls inside it."""
        return await _row(gateway, Read("receipt", receipt), request)

    @routes.get("/receipts/{receipt}/entry", tags=["receipts"])
    async def entry(receipt: str, request: Request) -> Response:
        """The exact bytes of the entry: the leaf of the tree."""
        return await _file(gateway, Read("receipt", receipt, "entry"), request, "application/json")

    @routes.get("/receipts/{receipt}/proof", tags=["receipts"])
    async def proof(receipt: str, request: Request) -> Response:
        """A `.tlog-proof` (C2SP) that anybody can verify without Tiffin."""
        return await _file(gateway, Read("receipt", receipt, "proof"), request, "text/plain; charset=utf-8")

    @routes.get("/receipts/{receipt}/payload", tags=["receipts"])
    async def payload(receipt: str, request: Request) -> Response:
        """What was asked and answered, out of the vault."""
        return await _file(gateway, Read("receipt", receipt, "payload"), request, "application/json")

    @routes.get("/ledger", tags=["receipts"])
    async def ledger(request: Request) -> Response:
        """The logs of this Tiffin. Public, like checkpoints and tiles: it names nobody."""
        logs = [
            {"name": log.name, "origin": log.origin, "vkey": log.vkey, "size": _size(log.checkpoint())}
            for log in gateway.logs
        ]
        return Json({"logs": logs})


def _administration(routes: APIRouter, gateway: Gateway) -> None:
    @routes.get("/keys", tags=["administration"])
    async def keys(request: Request) -> Response:
        """All API keys, without their secrets."""
        return await _rows(gateway, Read("keys"), request, "keys")

    @routes.post("/keys", status_code=201, tags=["administration"])
    async def create_key(body: KeyBody, request: Request) -> Response:
        """Makes a key. Its secret is in this answer and nowhere else."""
        return await _row(gateway, Administer("create_key", body.name, body.model_dump()), request, status=201)

    @routes.delete("/keys/{key}", tags=["administration"])
    async def revoke_key(key: str, request: Request) -> Response:
        """Revokes a key; it stops working at once."""
        return await _row(gateway, Administer("revoke_key", key), request)

    @routes.get("/models", tags=["administration"])
    async def models(request: Request) -> Response:
        """The models of this Tiffin, with source, digest and the state of their engine."""
        return await _rows(gateway, Read("models"), request, "models")

    @routes.post("/models", status_code=201, tags=["administration"])
    async def add_model(body: ModelBody, request: Request) -> Response:
        """Fetches and adds a model (GGUF). Server-sent events: `progress`, then `done` or `error`."""
        call = Administer("add_model", body.alias, body.model_dump())
        receipt, events = await unless_gone(request, begun(gateway.ask(call, request)))
        return EventStream(_progressing(receipt, events), receipt_header(receipt))

    @routes.delete("/models/{alias:path}", tags=["administration"])
    async def remove_model(alias: str, request: Request) -> Response:
        """Takes a model that was added off the list, and stops its engine."""
        return await _row(gateway, Administer("remove_model", alias), request)

    @routes.get("/status", tags=["administration"])
    async def status(request: Request) -> Response:
        """Engines and their state."""
        return await _row(gateway, Read("status"), request)


async def _progressing(receipt: str, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    result: dict[str, object] = {}
    try:
        async with aclosing(events):
            async for event in events:
                rendered = tiffin.render_event(event)
                if isinstance(event, Row):
                    result = event.value
                elif isinstance(event, Progress) and rendered is not None:
                    yield _sse(*rendered)
                elif isinstance(event, Finish):
                    yield _sse("done", result | {"receipt": receipt})
    except TiffinError as error:
        yield _sse("error", tiffin.render_error(error))


async def _rows(gateway: Gateway, call: Call, request: Request, name: str) -> Response:
    receipt, events = await gateway.collect(call, request)
    rows = [e.value for e in events if isinstance(e, Row)]
    return Json({name: rows}, headers=receipt_header(receipt))


async def _row(gateway: Gateway, call: Call, request: Request, *, status: int = 200) -> Response:
    receipt, events = await gateway.collect(call, request)
    value = next((e.value for e in events if isinstance(e, Row)), {})
    return Json(value, headers=receipt_header(receipt), status_code=status)


async def _file(gateway: Gateway, call: Call, request: Request, media_type: str) -> Response:
    receipt, events = await gateway.collect(call, request)
    content = next(str(e.value["content"]) for e in events if isinstance(e, Row))
    return Response(content.encode(), media_type=media_type, headers=receipt_header(receipt))


def _size(checkpoint: str) -> int:
    lines = checkpoint.split("\n", 2)
    return int(lines[1]) if len(lines) > 1 else 0


def _sse(name: str, data: dict[str, Any]) -> bytes:
    return sse.render(msgspec.json.encode(data).decode(), name)
