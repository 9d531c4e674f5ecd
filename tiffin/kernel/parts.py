"""What travels inside calls and answers: messages, stream events, usage.

Pure, frozen values; unions are closed and tagged.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "refused"]


class Text(Struct, frozen=True, tag="text"):
    text: str


class Message(Struct, frozen=True):
    role: Role
    parts: tuple[Text, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


def message(role: Role, text: str) -> Message:
    return Message(role, (Text(text),))


class Usage(Struct, frozen=True):
    """Tokens. `cached_tokens` are those of `input_tokens` that the model read from its cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
        )


class Citation(Struct, frozen=True):
    """A verified span of a source: `quote == text[start:end]` of that document version, in Unicode code points."""

    collection: str
    document: str
    title: str
    version: int
    page: int
    start: int
    end: int
    quote: str
    score: float
    chunk: str = ""


class Hit(Struct, frozen=True):
    """A chunk found by a search. `start` and `end` are code points in the text of that document version."""

    collection: str
    document: str
    title: str
    version: int
    chunk: str
    score: float
    text: str
    page: int
    start: int
    end: int
    similarity: float = 0.0  # cosine of question and chunk, -1..1


# --- stream events


class Opened(Struct, frozen=True, tag="opened"):
    """The first event of every call that got past authentication."""

    receipt: str


class TextDelta(Struct, frozen=True, tag="text"):
    text: str


class Found(Struct, frozen=True, tag="found"):
    hits: tuple[Hit, ...]


class SentenceDone(Struct, frozen=True, tag="sentence"):
    """One finished sentence of an answer with the spans that support it. `text` has been sent as TextDelta before."""

    text: str
    supported: bool
    citations: tuple[Citation, ...] = ()


class Embedded(Struct, frozen=True, tag="embedded"):
    """Vectors of one Embed call: `data` is count * dimensions little-endian float32, row by row."""

    data: bytes
    dimensions: int
    count: int
    truncated: tuple[int, ...] = ()  # indexes of texts longer than the model reads


class DocumentResult(Struct, frozen=True, tag="document"):
    """What became of one document of an Ingest call."""

    document: str
    status: Literal["ingested", "unchanged", "refused"]
    version: int = 0
    chunks: int = 0
    digest: str = ""
    reason: str = ""
    detail: str = ""
    notes: tuple[str, ...] = ()


class Row(Struct, frozen=True, tag="row"):
    """One JSON object answered by a Read or Administer call."""

    value: dict[str, object]


class Progress(Struct, frozen=True, tag="progress"):
    stage: str
    done: int
    total: int


class Decided(Struct, frozen=True, tag="decided"):
    """A decision worth a line in the receipt.

    `by` names the rule, guard or template; no text of callers or documents.
    """

    stage: str
    verdict: str
    by: str = ""
    reason: str = ""


class UsageSeen(Struct, frozen=True, tag="usage"):
    """Usage so far of this call alone; the last one counts, children meter themselves."""

    usage: Usage


class UsedInside(Struct, frozen=True, tag="inside"):
    """What the calls inside this one used so far: for the caller to see, not to be metered again."""

    usage: Usage


class Finish(Struct, frozen=True, tag="finish"):
    """The answer is whole. A stream that ends without it was truncated."""

    reason: FinishReason = "stop"
    detail: str = ""


Event = (
    Opened
    | TextDelta
    | Found
    | SentenceDone
    | Embedded
    | DocumentResult
    | Row
    | Progress
    | Decided
    | UsageSeen
    | UsedInside
    | Finish
)
