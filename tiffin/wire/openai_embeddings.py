"""OpenAI embeddings: `POST /embeddings`, both ways.

Vectors travel as base64 of little-endian float32, or as floats if asked.
"""

from __future__ import annotations

import base64
import math
import struct
from array import array
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tiffin.kernel import limits
from tiffin.kernel.calls import Embed
from tiffin.kernel.errors import Invalid, ProviderError
from tiffin.kernel.parts import Embedded, Usage
from tiffin.wire.openai import check_model, read_object, subject

HARMLESS = frozenset({"user"})


class _Request(Struct):
    model: str
    input: str | list[Any]
    encoding_format: Literal["base64", "float"] | None = None
    dimensions: int | None = None


_KNOWN = frozenset(_Request.__struct_fields__)


@dataclass(frozen=True)
class EmbedRequest:
    call: Embed
    as_floats: bool
    dimensions: int | None  # what the caller expects; the api checks it against the model
    about: tuple[str, ...] = ()  # whom the body names


def parse_request(body: bytes) -> EmbedRequest:
    """Without `encoding_format` OpenAI's API answers floats; its client asks for base64 by itself."""
    try:
        raw = read_object(body)
        request = msgspec.convert(raw, _Request)
    except (msgspec.ValidationError, OverflowError) as error:
        raise Invalid(f"The request is not valid: {error}.", hint="Send one JSON object.") from error
    for name in sorted(raw.keys() - _KNOWN - HARMLESS):
        raise Invalid(f"The field '{name}' is not supported here.", hint="Leave it out.", field=name)
    check_model(request.model)
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not texts or not all(isinstance(text, str) for text in texts):
        raise Invalid("'input' must be a text or a list of texts.", hint="Token ids are not supported.", field="input")
    if any(not text for text in texts):
        raise Invalid("'input' holds an empty text.", field="input")
    if len(texts) > limits.EMBED_TEXTS_MAX:
        raise Invalid(
            f"'input' holds more than {limits.EMBED_TEXTS_MAX} texts.", hint="Send several requests.", field="input"
        )
    call = Embed(request.model, tuple(texts))
    return EmbedRequest(call, request.encoding_format != "base64", request.dimensions, subject(raw))


def render_request(call: Embed, *, model: str) -> dict[str, Any]:
    return {"model": model, "input": list(call.texts), "encoding_format": "base64"}


class _Row(Struct):
    embedding: str | list[float]
    index: int = 0


class _Usage(Struct):
    prompt_tokens: int = 0


class _Response(Struct):
    data: list[_Row]
    usage: _Usage = msgspec.field(default_factory=_Usage)
    truncated: list[int] = []


def parse_response(body: bytes) -> tuple[Embedded, Usage]:
    try:
        response = msgspec.json.decode(body, type=_Response)
        rows = [_vector(row) for row in sorted(response.data, key=lambda row: row.index)]
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError, struct.error) as error:
        raise ProviderError("The embedding model's answer could not be read.") from error
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0] or len(rows[0]) % 4:
        raise ProviderError("The embedding model answered with no vectors, or vectors of different lengths.")
    if not all(math.isfinite(sum(array("f", row))) for row in rows):  # what is not finite stays so in a sum
        raise ProviderError("The embedding model answered with numbers that are none.")
    embedded = Embedded(b"".join(rows), len(rows[0]) // 4, len(rows), tuple(response.truncated))
    return embedded, Usage(input_tokens=max(0, response.usage.prompt_tokens))


def _vector(row: _Row) -> bytes:
    if isinstance(row.embedding, str):
        return base64.b64decode(row.embedding, validate=True)
    return struct.pack(f"<{len(row.embedding)}f", *row.embedding)


def render_response(embedded: Embedded, usage: Usage, *, model: str, as_floats: bool) -> dict[str, Any]:
    width = embedded.dimensions * 4
    rows = [embedded.data[i * width : (i + 1) * width] for i in range(embedded.count)]
    data = [
        {
            "object": "embedding",
            "index": i,
            "embedding": list(struct.unpack(f"<{embedded.dimensions}f", row))
            if as_floats
            else base64.b64encode(row).decode(),
        }
        for i, row in enumerate(rows)
    ]
    tokens = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return {"object": "list", "data": data, "model": model, "usage": tokens}
