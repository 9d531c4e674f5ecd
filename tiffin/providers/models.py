"""Executes Chat and Embed calls on the model that the router chose.

A local model is reached exactly like a remote one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from msgspec import structs

from tiffin.kernel import limits
from tiffin.kernel.calls import Chat, Embed
from tiffin.kernel.errors import ProviderError
from tiffin.kernel.parts import Event, Finish, UsageSeen
from tiffin.kernel.ports import Context
from tiffin.kernel.receipt import Target
from tiffin.providers.http import Address, Http
from tiffin.wire import openai_chat, openai_embeddings, sse

# A cached prefix changes the order of the model's sums, and so its words: without it a greedy answer can be replayed.
REPLAYABLE: dict[str, Any] = {"cache_prompt": False}
METERED: dict[str, Any] = {"timings_per_token": True}  # a stream that is left early has cost what it has cost
# The engine reads 32 bits of a seed, and takes all of them set for "choose one", which no replay can repeat.
SEED_BITS = 2**31 - 1


class Models:
    """`address` finds where a model listens, starting its engine if need be."""

    def __init__(self, http: Http, address: Callable[[str], Awaitable[Address]]) -> None:
        self._http = http
        self._address = address

    async def execute(self, target: Target, call: Chat | Embed, context: Context) -> AsyncGenerator[Event, None]:
        address = await self._address(target.upstream)
        answer = self._chat(target, call, address) if isinstance(call, Chat) else self._embed(target, call, address)
        async with aclosing(answer) as events:
            async for event in events:
                yield event

    async def _chat(self, target: Target, call: Chat, address: Address) -> AsyncGenerator[Event, None]:
        if call.sampling.max_tokens is None:
            sampling = structs.replace(call.sampling, max_tokens=limits.ANSWER_TOKENS_DEFAULT)
            call = structs.replace(call, sampling=sampling)
        if call.sampling.seed is not None:
            sampling = structs.replace(call.sampling, seed=call.sampling.seed & SEED_BITS)
            call = structs.replace(call, sampling=sampling)
        body = openai_chat.render_request(call, model=target.upstream, stream=True) | REPLAYABLE | METERED
        reader, parser = sse.Reader(), openai_chat.EventParser()
        async with aclosing(self._http.stream(address, "/v1/chat/completions", body)) as chunks:
            async for chunk in chunks:
                try:
                    received = list(reader.feed(chunk))
                except sse.TooLong as error:
                    raise ProviderError("The model's stream could not be read.") from error
                for _, data in received:
                    for event in parser.feed(data):
                        yield event

    async def _embed(self, target: Target, call: Embed, address: Address) -> AsyncGenerator[Event, None]:
        body = openai_embeddings.render_request(call, model=target.upstream)
        embedded, usage = openai_embeddings.parse_response(await self._http.post(address, "/v1/embeddings", body))
        if embedded.count != len(call.texts):
            raise ProviderError(f"The embedding model answered {embedded.count} vectors for {len(call.texts)} texts.")
        yield embedded
        yield UsageSeen(usage)
        yield Finish()
