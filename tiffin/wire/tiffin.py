"""Tiffin's own API under /api/v1: request and response bodies (they make the OpenAPI document), and events as SSE."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from tiffin.kernel import limits
from tiffin.kernel.calls import Ask, Filter, NewDocument, Retrieve, Sampling
from tiffin.kernel.errors import TiffinError
from tiffin.kernel.parts import (
    Citation,
    DocumentResult,
    Event,
    Finish,
    Found,
    Hit,
    Message,
    Progress,
    SentenceDone,
    TextDelta,
    Usage,
    UsageSeen,
    UsedInside,
    message,
)

INTEGER_MAX = 2**63 - 1  # what the database and every JSON reader of ours can hold
ALIAS = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"  # a model's name; its engine's log is named after it
FILTER_KEYS_MAX = 64  # metadata keys in one filter
FILTER_VALUES_MAX = 256  # values of one key

# A text without a bound is not checked for lone surrogates, which no file and no database can hold.
Words = Annotated[str, Field(max_length=limits.TEXT_CHARS_MAX)]
Integer = Annotated[int, Field(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Scalar = Words | Integer | float | bool
Name = Annotated[str, Field(min_length=1, max_length=limits.NAME_CHARS_MAX)]
Subject = Annotated[str, Field(min_length=1, max_length=limits.SUBJECT_CHARS_MAX)]
Question = Annotated[str, Field(min_length=1, max_length=limits.QUESTION_CHARS_MAX)]
AsOf = Annotated[str | None, Field(max_length=64, description="RFC 3339 time: the collection as it was then.")]
Tokens = Annotated[int | None, Field(ge=1, le=limits.TOKENS_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Turn(_Body):
    role: Literal["user", "assistant"]
    content: Words


class AskBody(_Body):
    collection: Name
    question: Question
    model: Name = "default"
    history: list[Turn] = Field(default=[], max_length=limits.MESSAGES_MAX)
    stream: bool = False
    as_of: AsOf = None
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    max_tokens: Tokens = None

    def call(self) -> Ask:
        history: tuple[Message, ...] = tuple(message(turn.role, turn.content) for turn in self.history)
        sampling = Sampling(max_tokens=self.max_tokens, seed=self.seed)
        return Ask(self.collection, self.question, self.model, history, sampling, self.as_of)


class SearchBody(_Body):
    collection: Name
    query: Question
    limit: int = Field(default=10, ge=1, le=limits.SEARCH_LIMIT_MAX)
    filter: dict[Name, Scalar | Annotated[list[Scalar], Field(max_length=FILTER_VALUES_MAX)]] | None = Field(
        default=None,
        max_length=FILTER_KEYS_MAX,
        description="Metadata that must be equal; a list means any of its values.",
    )
    as_of: AsOf = None

    def call(self) -> Retrieve:
        wanted = None
        if self.filter:
            wanted = Filter({k: tuple(v) if isinstance(v, list) else (v,) for k, v in self.filter.items()})
        return Retrieve(self.collection, self.query, self.limit, wanted, self.as_of)


class DocumentBody(_Body):
    id: str = Field(min_length=1, max_length=limits.DOCUMENT_ID_CHARS_MAX)
    title: str = Field(default="", max_length=limits.DOCUMENT_ID_CHARS_MAX)
    text: str = Field(max_length=limits.TEXT_CHARS_MAX)
    metadata: dict[Words, Scalar] = {}
    subjects: list[Subject] = Field(default=[], max_length=limits.SUBJECTS_PER_DOCUMENT_MAX)

    def document(self) -> NewDocument:
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return NewDocument(self.id, digest, self.title, self.text, None, self.metadata, tuple(self.subjects))


class DocumentsBody(_Body):
    documents: list[DocumentBody] = Field(min_length=1, max_length=limits.DOCUMENTS_PER_REQUEST_MAX)


class KeyBody(_Body):
    name: Name = "key"
    project: Name = "default"
    role: Literal["admin", "member", "reader"] = "member"
    tokens_max: int | None = Field(
        default=None, ge=1, le=INTEGER_MAX, description="Token budget of the key's whole life."
    )


class ModelBody(_Body):
    alias: Annotated[Name, Field(pattern=ALIAS)]
    source: str = Field(max_length=2_048, description="pypi:PACKAGE==VERSION/FILE, hf:ORG/REPO/FILE or file:/PATH")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    context_tokens: int = Field(default=4_096, ge=256, le=1 << 20)


# --- answers


class CitationOut(BaseModel):
    """A verified span: `quote` is exactly `text[start:end]` of that document version, in Unicode code points."""

    collection: str
    document: str
    title: str
    version: int
    page: int
    start: int
    end: int
    quote: str
    score: float
    chunk: str


class SentenceOut(BaseModel):
    text: str
    supported: bool
    citations: list[CitationOut]


class UsageOut(BaseModel):
    input_tokens: int
    output_tokens: int


class AskAnswer(BaseModel):
    answer: str
    refused: bool
    reason: str | None
    sentences: list[SentenceOut]
    citations: list[CitationOut]
    receipt: str
    model: str
    usage: UsageOut


class HitOut(BaseModel):
    document: str
    title: str
    version: int
    chunk: str
    score: float
    similarity: float
    text: str
    page: int
    start: int
    end: int


class SearchAnswer(BaseModel):
    hits: list[HitOut]
    receipt: str


class DocumentOut(BaseModel):
    id: str
    status: Literal["ingested", "unchanged", "refused"]
    version: int
    chunks: int
    digest: str
    reason: str | None
    detail: str | None
    notes: list[str]


class DocumentsAnswer(BaseModel):
    documents: list[DocumentOut]
    receipt: str
    receipts: list[str]


class ErrorDetail(BaseModel):
    type: str
    message: str
    hint: str
    field: str | None


class ErrorAnswer(BaseModel):
    error: ErrorDetail
    receipt: str | None


def citation(c: Citation) -> dict[str, Any]:
    return msgspec.structs.asdict(c)


def sentence(s: SentenceDone) -> dict[str, Any]:
    return {"text": s.text, "supported": s.supported, "citations": [citation(c) for c in s.citations]}


def hit(h: Hit) -> dict[str, Any]:
    row = msgspec.structs.asdict(h)
    row.pop("collection")
    return row


def document(d: DocumentResult) -> dict[str, Any]:
    return {
        "id": d.document,
        "status": d.status,
        "version": d.version,
        "chunks": d.chunks,
        "digest": d.digest,
        "reason": d.reason or None,
        "detail": d.detail or None,
        "notes": list(d.notes),
    }


class Answer:
    """Gathers the events of an Ask into the body of its answer."""

    def __init__(self, receipt: str, model: str) -> None:
        self._receipt, self._model = receipt, model
        self._text: list[str] = []
        self._sentences: list[SentenceDone] = []
        self._finish = Finish()
        self._usage = Usage()

    def see(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case SentenceDone():
                self._sentences.append(event)
            case Finish():
                self._finish = event
            case UsageSeen(usage) | UsedInside(usage):
                self._usage = usage
            case _:
                pass

    def body(self) -> dict[str, Any]:
        refused = self._finish.reason == "refused"
        cited = dict.fromkeys(c for s in self._sentences for c in s.citations)
        return {
            "answer": "".join(self._text),
            "refused": refused,
            "reason": self._finish.detail if refused else None,
            "sentences": [sentence(s) for s in self._sentences],
            "citations": [citation(c) for c in cited],
            "receipt": self._receipt,
            "model": self._model,
            "usage": {"input_tokens": self._usage.input_tokens, "output_tokens": self._usage.output_tokens},
        }


def render_event(event: Event) -> tuple[str, dict[str, Any]] | None:
    """An event of a stream as (name, data); None for those that stay inside."""
    match event:
        case Found(hits):
            return "sources", {"hits": [hit(h) for h in hits]}
        case TextDelta(text):
            return "text", {"text": text}
        case SentenceDone():
            return "sentence", sentence(event)
        case DocumentResult():
            return "document", document(event)
        case Progress(stage, done, total):
            return "progress", {"stage": stage, "done": done, "total": total}
        case _:
            return None


def render_error(error: TiffinError) -> dict[str, Any]:
    detail = {"type": error.kind, "message": error.message, "hint": error.hint, "field": error.field}
    return {"error": detail, "receipt": error.receipt}
