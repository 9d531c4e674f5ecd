"""OpenAI chat completions: `POST /chat/completions`, plain and streamed, as clients send it and as servers answer it.

A field that the kernel does not carry is refused by name; the extras that official clients send by habit, and that
change nothing in the answer, are listed in HARMLESS.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tiffin.kernel import limits
from tiffin.kernel.calls import Chat, JsonOutput, Sampling
from tiffin.kernel.errors import Invalid, ProviderError
from tiffin.kernel.parts import (
    Citation,
    Event,
    Finish,
    FinishReason,
    Message,
    Role,
    SentenceDone,
    TextDelta,
    Usage,
    UsageSeen,
    UsedInside,
    message,
)
from tiffin.wire.openai import answer_error, check_model, read_object, subject

HARMLESS = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "verbosity"}
)
DONE = "[DONE]"

# Values that mean "nothing asked for": the field may then be ignored.
_NOTHING: dict[str, tuple[object, ...]] = {
    "n": (None, 1),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "parallel_tool_calls": (None, True, False),
    "modalities": (None, ["text"]),
    "reasoning_effort": (None, "none"),
}


class _TextPart(Struct, tag="text", tag_field="type"):
    text: str


class _InputMessage(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Any] | None = None


class _StreamOptions(Struct):
    include_usage: bool = False


class _JsonSchema(Struct):
    name: str = "answer"
    schema: dict[str, Any] | None = None


class _ResponseFormat(Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _Request(Struct):
    model: str
    messages: list[_InputMessage]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: _ResponseFormat | None = None


_KNOWN = frozenset(_Request.__struct_fields__)


@dataclass(frozen=True)
class ChatRequest:
    call: Chat
    stream: bool
    include_usage: bool
    about: tuple[str, ...] = ()  # whom the body names


def parse_request(body: bytes) -> ChatRequest:
    """The call that a client's body asks for; Invalid names the field that is wrong or not carried."""
    try:
        raw = read_object(body)
        request = msgspec.convert(raw, _Request)
    except (msgspec.ValidationError, OverflowError) as error:
        raise Invalid(f"The request is not valid: {error}.", hint="Send one JSON object.") from error
    for name in sorted(raw.keys() - _KNOWN - HARMLESS):
        if name not in _NOTHING or raw[name] not in _NOTHING[name]:
            raise Invalid(f"The field '{name}' is not supported here.", hint="Leave it out.", field=name)
    stream_options = request.stream_options or _StreamOptions()
    return ChatRequest(_call(request), bool(request.stream), stream_options.include_usage, subject(raw))


def _call(request: _Request) -> Chat:
    if not request.messages:
        raise Invalid("'messages' is empty.", hint="Send at least one message.", field="messages")
    if len(request.messages) > limits.MESSAGES_MAX:
        raise Invalid(f"More than {limits.MESSAGES_MAX} messages.", field="messages")
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    sampling = Sampling(
        max_tokens=_within("max_tokens", limit, 1, limits.TOKENS_MAX),
        temperature=_within("temperature", request.temperature, 0, 2),
        top_p=_within("top_p", request.top_p, 0, 1),
        seed=_within("seed", request.seed, -(2**63), 2**63 - 1),
        stop=_stop((request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())),
        presence_penalty=_within("presence_penalty", request.presence_penalty, -2, 2),
        frequency_penalty=_within("frequency_penalty", request.frequency_penalty, -2, 2),
    )
    check_model(request.model)
    messages = tuple(_message(m, i) for i, m in enumerate(request.messages))
    return Chat(request.model, messages, sampling, _output(request.response_format))


def _within(name: str, value: Any, low: float, high: float) -> Any:
    if value is not None and not low <= value <= high:
        raise Invalid(f"'{name}' must be between {low} and {high}.", field=name)
    return value


def _stop(texts: tuple[str, ...]) -> tuple[str, ...]:
    if len(texts) > limits.STOPS_MAX or not all(0 < len(text) <= limits.STOP_CHARS_MAX for text in texts):
        raise Invalid(
            f"'stop' holds at most {limits.STOPS_MAX} texts, of 1 to {limits.STOP_CHARS_MAX} characters each.",
            field="stop",
        )
    return texts


def _message(raw: _InputMessage, index: int) -> Message:
    where = f"messages[{index}]"
    if raw.role in ("tool", "function") or raw.tool_calls:
        raise Invalid(
            "Tool calls are not supported here.", hint="Send system, user and assistant messages.", field=where
        )
    role: Role = "system" if raw.role in ("system", "developer") else raw.role  # type: ignore[assignment]
    if isinstance(raw.content, str):
        return message(role, raw.content)
    try:
        parts = msgspec.convert(raw.content or [], list[_TextPart])
    except msgspec.ValidationError as error:
        raise Invalid("Only text parts are supported here.", hint=f"{error}.", field=f"{where}.content") from error
    return message(role, "".join(part.text for part in parts))


def _output(wanted: _ResponseFormat | None) -> JsonOutput | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonOutput()
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        raise Invalid("'response_format.json_schema.schema' is missing.", field="response_format")
    if _depth(wanted.json_schema.schema) > limits.SCHEMA_DEPTH_MAX:
        raise Invalid(f"The schema has more than {limits.SCHEMA_DEPTH_MAX} levels.", field="response_format")
    schema = msgspec.json.encode(wanted.json_schema.schema).decode()  # in the order of its author: models follow it
    if len(schema) > limits.SCHEMA_CHARS_MAX:
        raise Invalid(f"The schema has more than {limits.SCHEMA_CHARS_MAX} characters.", field="response_format")
    return JsonOutput(wanted.json_schema.name, schema)


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [child for children in inside for child in children]
    return depth


def render_request(call: Chat, *, model: str, stream: bool) -> dict[str, Any]:
    """The body for an upstream that knows the model as `model`."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.text} for m in call.messages],
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    for name, value in msgspec.structs.asdict(call.sampling).items():
        if value is not None and value != ():
            body[name] = list(value) if isinstance(value, tuple) else value
    if call.output is not None:
        body["response_format"] = _render_output(call.output)
    return body


def _render_output(output: JsonOutput) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    schema = msgspec.json.decode(output.schema)
    return {"type": "json_schema", "json_schema": {"name": output.name, "strict": True, "schema": schema}}


# --- answers, inward


class _Delta(Struct):
    content: str | None = None


class _ChunkChoice(Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _PromptDetails(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None


class _Timings(Struct):
    """llama.cpp's own: tokens so far, in every chunk if asked, so that a stream that is left early is metered too."""

    prompt_n: int = 0
    cache_n: int = 0
    predicted_n: int = 0


class _Chunk(Struct):
    choices: list[_ChunkChoice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: dict[str, Any] | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


class EventParser:
    """Reads an upstream's stream, one `data:` at a time. Finish is held until the end, since usage comes after it."""

    def __init__(self) -> None:
        self._finish: FinishReason | None = None

    def feed(self, data: str) -> tuple[Event, ...]:
        if data == DONE:
            return (Finish(self._finish),) if self._finish else ()
        try:
            chunk = _decode_chunk(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProviderError("The model's stream could not be read.") from error
        if chunk.error is not None:
            raise answer_error(500, chunk.error)
        events: list[Event] = []
        if chunk.timings is not None and chunk.usage is None:
            read = max(0, chunk.timings.prompt_n) + max(0, chunk.timings.cache_n)
            events.append(UsageSeen(Usage(read, max(0, chunk.timings.predicted_n), max(0, chunk.timings.cache_n))))
        for choice in chunk.choices:
            if choice.delta.content:
                events.append(TextDelta(choice.delta.content))
            if choice.finish_reason:
                self._finish = "length" if choice.finish_reason == "length" else "stop"
        if chunk.usage is not None:
            events.append(UsageSeen(_usage(chunk.usage)))
        return tuple(events)


def _usage(raw: _Usage) -> Usage:
    cached = (raw.prompt_tokens_details.cached_tokens or 0) if raw.prompt_tokens_details else 0
    return Usage(max(0, raw.prompt_tokens), max(0, raw.completion_tokens), max(0, cached))


# --- answers, outward


@dataclass(frozen=True)
class Envelope:
    """What every chunk of one answer repeats. `created` is in seconds since the epoch."""

    id: str
    model: str
    created: int


class ChunkRenderer:
    """Renders events as the `data:` payloads of a streamed answer."""

    def __init__(self, envelope: Envelope, *, include_usage: bool) -> None:
        self._envelope = envelope
        self._include_usage = include_usage
        self._usage = Usage()
        self._annotations: list[dict[str, Any]] = []

    def start(self) -> str:
        return self._chunk({"role": "assistant", "content": ""})

    def render(self, event: Event) -> tuple[str, ...]:
        match event:
            case TextDelta(text):
                return (self._chunk({"content": text}),)
            case SentenceDone(_, _, citations):
                self._annotations.extend(annotation(c) for c in citations)
                return ()
            case UsageSeen(usage) | UsedInside(usage):
                self._usage = usage
                return ()
            case Finish(reason):
                return self._end(reason)
            case _:
                return ()

    def _end(self, reason: FinishReason) -> tuple[str, ...]:
        delta = {"annotations": self._annotations} if self._annotations else {}
        chunks = [self._chunk(delta, finish=_finish_reason(reason))]
        if self._include_usage:
            chunks.append(_json(self._head() | {"choices": [], "usage": _render_usage(self._usage)}))
        return (*chunks, DONE)

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None) -> str:
        return _json(self._head() | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def _head(self) -> dict[str, Any]:
        e = self._envelope
        return {"id": e.id, "object": "chat.completion.chunk", "created": e.created, "model": e.model}


def render_answer(events: Iterable[Event], envelope: Envelope) -> dict[str, Any]:
    """The body of a plain answer."""
    text: list[str] = []
    annotations: list[dict[str, Any]] = []
    usage, finish = Usage(), "stop"
    for event in events:
        match event:
            case TextDelta(piece):
                text.append(piece)
            case SentenceDone(_, _, citations):
                annotations.extend(annotation(c) for c in citations)
            case UsageSeen(seen) | UsedInside(seen):
                usage = seen
            case Finish(reason):
                finish = _finish_reason(reason)
            case _:
                pass
    content: dict[str, Any] = {"role": "assistant", "content": "".join(text)}
    if annotations:
        content["annotations"] = annotations
    return {
        "id": envelope.id,
        "object": "chat.completion",
        "created": envelope.created,
        "model": envelope.model,
        "choices": [{"index": 0, "message": content, "finish_reason": finish, "logprobs": None}],
        "usage": _render_usage(usage),
    }


def annotation(citation: Citation) -> dict[str, Any]:
    """A citation as an annotation of the message.

    OpenAI has no shape for page and span, so the whole value rides along.
    """
    return {"type": "file_citation", "file_citation": msgspec.to_builtins(citation)}


def _finish_reason(reason: FinishReason) -> str:
    return "length" if reason == "length" else "stop"


def _render_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
