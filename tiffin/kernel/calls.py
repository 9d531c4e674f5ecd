"""One frozen class per operation. A call says what is wanted; who wants it and when are arguments of the path."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

from tiffin.kernel.parts import Message


class Sampling(Struct, frozen=True, omit_defaults=True):
    """How to sample; None means the model's own default. `max_tokens` counts output tokens."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None


class JsonOutput(Struct, frozen=True):
    """The answer must be JSON; `schema` (JSON Schema, as JSON text) constrains it, None means any object."""

    name: str = "answer"
    schema: str | None = None


class Chat(Struct, frozen=True, tag="chat"):
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    output: JsonOutput | None = None


class Embed(Struct, frozen=True, tag="embed"):
    model: str
    texts: tuple[str, ...]


class Filter(Struct, frozen=True):
    """Metadata equality: every named key of a document's metadata must equal one of the values."""

    equals: dict[str, tuple[str | int | float | bool, ...]]


class Retrieve(Struct, frozen=True, tag="retrieve"):
    """`as_of` is an RFC 3339 time: the collection as it was then; None is now."""

    collection: str
    query: str
    limit: int = 10
    filter: Filter | None = None
    as_of: str | None = None


class Ask(Struct, frozen=True, tag="ask"):
    """A question to a collection. `history` holds earlier turns, oldest first, without the question."""

    collection: str
    question: str
    model: str = "default"
    history: tuple[Message, ...] = ()
    sampling: Sampling = Sampling()
    as_of: str | None = None


class NewDocument(Struct, frozen=True):
    """A document to ingest: either its `text`, or a `path` on the server to a file that holds its bytes.

    `digest` is the SHA-256 of the bytes (of the UTF-8 text), in hex.
    """

    id: str
    digest: str
    title: str = ""
    text: str | None = None
    path: str | None = None
    metadata: dict[str, str | int | float | bool] = {}
    subjects: tuple[str, ...] = ()


class Ingest(Struct, frozen=True, tag="ingest"):
    collection: str
    documents: tuple[NewDocument, ...]


class Remove(Struct, frozen=True, tag="remove"):
    """Delete a document with all its versions, or a whole collection when `document` is None."""

    collection: str
    document: str | None = None


class Read(Struct, frozen=True, tag="read"):
    """Look at a record: what kind of thing, which one, and how much of it."""

    what: Literal["models", "collections", "documents", "document", "receipts", "receipt", "keys", "status"]
    name: str = ""
    item: str = ""
    version: int | None = None
    limit: int = 100
    before: str | None = None
    operation: str | None = None


class Administer(Struct, frozen=True, tag="administer"):
    """Change how the platform is set up. `settings` never holds a secret."""

    action: Literal["create_key", "revoke_key", "add_model", "remove_model"]
    target: str
    settings: dict[str, str | int | float | bool | None] = {}


class Malformed(Struct, frozen=True, tag="malformed"):
    """A request of a known caller that could not be read as a call. It is refused, and recorded."""

    route: str
    problem: str


Call = Chat | Embed | Retrieve | Ask | Ingest | Remove | Read | Administer | Malformed
EVERY_CALL: tuple[type, ...] = (Chat, Embed, Retrieve, Ask, Ingest, Remove, Read, Administer, Malformed)


def operation(call: Call) -> str:
    """The operation's name as receipts and access rules spell it."""
    return str(type(call).__struct_config__.tag)


def collection_of(call: Call) -> str | None:
    match call:
        case Retrieve() | Ask() | Ingest() | Remove():
            return call.collection
        case Read(what="documents" | "document"):
            return call.name
        case _:
            return None


def pinned(call: Call, seed: int) -> Call:
    """The call with its randomness fixed, so that it can be replayed; a seed that the caller chose stays."""
    match call:
        case Chat() | Ask() if call.sampling.seed is None:
            return structs.replace(call, sampling=structs.replace(call.sampling, seed=seed))
        case _:
            return call
