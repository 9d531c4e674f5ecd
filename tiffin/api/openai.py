"""The OpenAI-compatible API, at `/v1` and `/openai/v1`: models, chat completions, embeddings.

`rag:<collection>` is a model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tiffin.api.errors import headers_of, status_of
from tiffin.api.gateway import Gateway
from tiffin.api.http import EventStream, Json, begun, receipt_header, unless_gone
from tiffin.kernel import limits
from tiffin.kernel.calls import Ask, Call, Chat, Read
from tiffin.kernel.errors import CallerError, Invalid, NotFound, TiffinError, TooLarge
from tiffin.kernel.parts import Embedded, Event, Row, Usage, UsageSeen
from tiffin.wire import openai, openai_chat, openai_embeddings, sse
from tiffin.wire.openai_chat import ChunkRenderer, Envelope

PREFIXES = ("/v1", "/openai/v1")
RAG = "rag:"


def routes(gateway: Gateway) -> list[Route]:
    api = OpenAi(gateway)
    return [
        route
        for prefix in PREFIXES
        for route in (
            Route(f"{prefix}/models", api.models, methods=["GET"]),
            Route(f"{prefix}/models/{{model:path}}", api.model, methods=["GET"]),
            Route(f"{prefix}/chat/completions", api.chat, methods=["POST"]),
            Route(f"{prefix}/embeddings", api.embeddings, methods=["POST"]),
        )
    ]


class OpenAi:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def models(self, request: Request) -> Response:
        receipt, rows = await self._models(request)
        return Json(openai.render_models(rows), headers=receipt_header(receipt))

    async def model(self, request: Request) -> Response:
        receipt, rows = await self._models(request)
        wanted = request.path_params["model"]
        for row in openai.render_models(rows)["data"]:
            if row["id"] == wanted:
                return Json(row, headers=receipt_header(receipt))
        missing = NotFound(f"There is no model '{wanted}'.", hint="GET /v1/models lists them.", field="model")
        raise await self._gateway.refuse(missing, request)

    async def _models(self, request: Request) -> tuple[str, list[dict[str, Any]]]:
        receipt, events = await self._gateway.collect(Read("models"), request)
        rows = [{"id": e.value["id"], "created": e.value["created"]} for e in events if isinstance(e, Row)]
        return receipt, rows

    async def chat(self, request: Request) -> Response:
        try:
            wanted = openai_chat.parse_request(await request.body())
            call = _as_ask(wanted.call)
        except CallerError as error:
            raise await self._gateway.refuse(error, request) from error
        if not wanted.stream:
            receipt, events = await unless_gone(request, self._gateway.collect(call, request, wanted.about))
            body = openai_chat.render_answer(events, self._envelope(receipt, wanted.call.model))
            return Json(body, headers=receipt_header(receipt))
        receipt, stream = await unless_gone(request, begun(self._gateway.ask(call, request, wanted.about)))
        renderer = ChunkRenderer(self._envelope(receipt, wanted.call.model), include_usage=wanted.include_usage)
        return EventStream(_chunks(stream, renderer), receipt_header(receipt))

    async def embeddings(self, request: Request) -> Response:
        try:
            wanted = openai_embeddings.parse_request(await request.body())
        except CallerError as error:
            raise await self._gateway.refuse(error, request) from error
        receipt, events = await unless_gone(request, self._gateway.collect(wanted.call, request, wanted.about))
        embedded = next(e for e in events if isinstance(e, Embedded))
        if wanted.dimensions not in (None, embedded.dimensions):
            wrong = Invalid(
                f"The model '{wanted.call.model}' has {embedded.dimensions} dimensions, not {wanted.dimensions}.",
                hint="Leave 'dimensions' out.",
                field="dimensions",
            )
            wrong.receipt = receipt
            raise wrong
        usage = next((e.usage for e in events if isinstance(e, UsageSeen)), Usage())
        body = openai_embeddings.render_response(embedded, usage, model=wanted.call.model, as_floats=wanted.as_floats)
        return Json(body, headers=receipt_header(receipt))

    def _envelope(self, receipt: str, model: str) -> Envelope:
        return Envelope(f"chatcmpl-{receipt}", model, self._gateway.now_s())


def _as_ask(call: Chat) -> Call:
    """A chat with the model `rag:<collection>` is a question to that collection; what went before is its history."""
    if not call.model.startswith(RAG):
        return call
    if call.output is not None:
        raise Invalid("A 'rag:' model cannot answer in JSON.", hint="Leave it out.", field="response_format")
    turns = tuple(m for m in call.messages if m.role != "system")
    if not turns or turns[-1].role != "user" or not turns[-1].text.strip():
        raise Invalid("The last message must be the user's question.", field="messages")
    question = turns[-1].text
    if len(question) > limits.QUESTION_CHARS_MAX:
        raise TooLarge(f"The question is longer than {limits.QUESTION_CHARS_MAX} characters.", field="messages")
    return Ask(call.model.removeprefix(RAG), question, history=turns[:-1], sampling=call.sampling)


async def _chunks(events: AsyncGenerator[Event, None], renderer: ChunkRenderer) -> AsyncGenerator[bytes, None]:
    yield sse.render(renderer.start())
    try:
        async with aclosing(events):
            async for event in events:
                for data in renderer.render(event):
                    yield sse.render(data)
    except TiffinError as error:
        yield sse.render(Json(None).render(openai.render_error(error)).decode())


def error_response(error: TiffinError, *, status: int | None = None) -> Response:
    return Json(openai.render_error(error), status_code=status or status_of(error), headers=headers_of(error))
