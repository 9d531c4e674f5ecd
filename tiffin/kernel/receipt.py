"""The record of one call: what was asked, decided, spent and seen. It never claims more than was seen.

A receipt has two halves. The *entry* goes into the transparency log for good: canonical JSON without personal data,
at most 64 KiB, with salted commitments to the other half. The *payload* (request, response, salt) goes into the
vault, encrypted, and can be destroyed; the log still verifies.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, assert_never

import msgspec

from tiffin.kernel import limits
from tiffin.kernel.calls import Ask, Call, Chat, Ingest, operation
from tiffin.kernel.errors import TiffinError
from tiffin.kernel.parts import (
    Citation,
    Decided,
    DocumentResult,
    Embedded,
    Event,
    Finish,
    Found,
    Hit,
    Opened,
    Progress,
    Row,
    SentenceDone,
    TextDelta,
    Usage,
    UsageSeen,
    UsedInside,
)
from tiffin.kernel.people import Caller, Delegation

Outcome = Literal["completed", "truncated", "refused", "failed", "abandoned", "broken", "unknown"]
Clock = Callable[[], int]  # nanoseconds since the epoch, UTC
ENTRY_VERSION = 1


def canonical(value: object) -> bytes:
    """Canonical JSON: keys sorted, no white space, UTF-8, integers only where the log is concerned."""
    return msgspec.json.encode(value, order="sorted")


def receipt_id(now_ns: int) -> str:
    """A UUIDv7: 48 bits of milliseconds, then 74 random bits, so that ids sort by time."""
    bits = (now_ns // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def utc(now_ns: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Target(msgspec.Struct, frozen=True):
    """Where a call is executed: a model at a provider, or Tiffin itself. `digest` pins local weights."""

    model: str | None = None
    provider: str = "tiffin"
    upstream: str = ""  # the model's name at the provider
    digest: str = ""
    wire: str = ""
    context_tokens: int = 0  # 0: unknown


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A span that an answer stands on, or a document that was taken in: no names of documents.

    `digest` is SHA-256 of the receipt's salt and the span's text (of a document: its own digest in hex).
    """

    collection: str
    digest: str
    version: int = 0
    chunk: str = ""
    start: int = 0
    end: int = 0


class Seen(msgspec.Struct):
    """The response as far as it was seen, for the vault."""

    text: list[str] = []
    sentences: list[SentenceDone] = []
    hits: list[Hit] = []
    documents: list[DocumentResult] = []
    rows: int = 0
    vectors_sha256: str = ""
    finish: str = ""
    error: str = ""


class Receipt:
    """The meter of one call. `govern` feeds it; the journal writes its two halves."""

    def __init__(self, call: Call, caller: Caller, credential: object, now_ns: int) -> None:
        self.id = receipt_id(now_ns)
        self.call = call
        self.caller = caller
        inherited = credential if isinstance(credential, Delegation) else None
        self.parent = inherited.parent if inherited else None
        own = tuple(getattr(credential, "subjects", ()))
        about = tuple(s for d in call.documents for s in d.subjects) if isinstance(call, Ingest) else ()
        everybody = tuple(dict.fromkeys((*own, *about)))
        self.subjects: tuple[str, ...] = everybody[: limits.SUBJECTS_MAX]
        self.too_many_subjects = len(everybody) > limits.SUBJECTS_MAX
        self.opened_ns = now_ns
        self.closed_ns = now_ns
        self.target: Target | None = None
        self.decisions: list[Decided] = []
        self.usage = Usage()
        self.outcome: Outcome = "unknown"
        self.error_kind: str | None = None
        self.intended = False
        self._seen = Seen()
        self._finish: Finish | None = None
        self._salt = os.urandom(32)

    @property
    def seed(self) -> int:
        """A seed for calls whose caller chose none: random, and derived from the id so that it needs no storage."""
        return int.from_bytes(hashlib.sha256(self.id.encode()).digest()[:4]) >> 1

    def decide(self, stage: str, verdict: str, by: str = "", reason: str = "") -> None:
        self.decisions.append(Decided(stage, verdict, by, reason))

    def see(self, event: Event) -> None:
        seen = self._seen
        match event:
            case TextDelta(text):
                seen.text.append(text)
            case Found(hits):
                seen.hits.extend(hits)
            case SentenceDone():
                seen.sentences.append(event)
            case Embedded(data):
                seen.vectors_sha256 = hashlib.sha256(data).hexdigest()
            case DocumentResult():
                seen.documents.append(event)
            case Row():
                seen.rows += 1
            case Decided():
                self.decisions.append(event)
            case UsageSeen(usage):
                self.usage = usage
            case Finish(reason, detail):
                self._finish = event
                seen.finish = reason
                if reason == "refused":
                    self.decide("answer", "refused", reason=detail)
            case Opened() | Progress() | UsedInside():
                pass
            case _:
                assert_never(event)

    def conclude(self) -> bool:
        """The stream ended by itself. Says whether a finish was seen."""
        if self._finish is None:
            self.outcome = "truncated"
        else:
            self.outcome = "refused" if self._finish.reason == "refused" else "completed"
        return self._finish is not None

    def fail(self, outcome: Outcome, error: TiffinError | None = None) -> None:
        self.outcome = outcome
        if error is not None:
            self.error_kind = error.kind
            self._seen.error = error.message
            error.receipt = self.id

    def intent(self) -> bytes:
        """What is durable before the first byte leaves: enough to close the call as unknown after a crash.

        It lies in the journal unencrypted, so it names nobody.
        """
        return canonical(
            {
                "v": ENTRY_VERSION,
                "id": self.id,
                "time": utc(self.opened_ns),
                "project": self.caller.project,
                "caller": self.caller.id,
                "operation": operation(self.call),
                "parent": self.parent,
                "model": self._model(),
            }
        )

    def payload(self) -> bytes:
        """The vault's half: salt, request and response, as canonical JSON."""
        return canonical({"salt": self._salt.hex(), "request": self._request(), "response": self._response()})

    def entry(self, versions: dict[str, str]) -> bytes:
        """The log's half. `versions` names the policy, guards and software in force."""
        sources = self._sources()
        fields: dict[str, object] = {
            "v": ENTRY_VERSION,
            "id": self.id,
            "time": utc(self.opened_ns),
            "closed": utc(self.closed_ns),
            "duration_us": max(0, self.closed_ns - self.opened_ns) // 1000,  # a clock may be set back meanwhile
            "project": self.caller.project,
            "caller": self.caller.id,
            "operation": operation(self.call),
            "parent": self.parent,
            "model": self._model(),
            "versions": versions,
            "parameters": self._parameters(),
            "sources": sources,
            "decisions": self.decisions,
            "usage": self.usage,
            "cost_microusd": 0,
            "outcome": self.outcome,
            "error": self.error_kind,
            "commitments": {
                "request": commit(self._salt, canonical(self._request())),
                "response": commit(self._salt, canonical(self._response())),
            },
        }
        encoded = canonical(fields)
        if len(encoded) > limits.ENTRY_BYTES_MAX or len(sources) > limits.SOURCES_PER_ENTRY_MAX:
            fields["sources"] = _folded(sources)
            encoded = canonical(fields)
        if len(encoded) > limits.ENTRY_BYTES_MAX:
            fields["decisions"] = _folded(self.decisions)
            encoded = canonical(fields)
        return encoded

    def _request(self) -> object:
        return self.call

    def _response(self) -> object:
        return {
            "text": "".join(self._seen.text),
            "sentences": self._seen.sentences,
            "hits": self._seen.hits,
            "documents": self._seen.documents,
            "rows": self._seen.rows,
            "vectors_sha256": self._seen.vectors_sha256,
            "finish": self._seen.finish,
            "error": self._seen.error,
        }

    def _model(self) -> dict[str, str] | None:
        if self.target is None or self.target.model is None:
            return None
        return {"name": self.target.model, "provider": self.target.provider, "digest": self.target.digest}

    def _parameters(self) -> dict[str, object]:
        """Sampling. Floats as strings: they have no canonical form that every verifier agrees on.

        Of the texts that stop an answer only their number: they are a caller's words, and of any length.
        """
        match self.call:
            case Chat(sampling=sampling) | Ask(sampling=sampling):
                chosen = msgspec.structs.asdict(sampling) | {"stop": len(sampling.stop) or None}
                return {k: v if isinstance(v, int) else str(v) for k, v in chosen.items() if v is not None}
            case _:
                return {}

    def _sources(self) -> list[Source]:
        """What the answer stands on. Digests are salted: tiles are public, and a bare digest would confirm a guess."""
        cited = dict.fromkeys(c for sentence in self._seen.sentences for c in sentence.citations)
        if cited:
            return list(dict.fromkeys(self._source(c, c.quote) for c in cited))
        if isinstance(self.call, Ingest):
            collection = self.call.collection
            taken = [d for d in self._seen.documents if d.digest]
            return [Source(collection, commit(self._salt, d.digest.encode()), version=d.version) for d in taken]
        return [self._source(hit, hit.text) for hit in self._seen.hits]

    def _source(self, span: Citation | Hit, text: str) -> Source:
        digest = commit(self._salt, text.encode())
        return Source(span.collection, digest, span.version, span.chunk, start=span.start, end=span.end)


class Closed(msgspec.Struct, frozen=True):
    """The two halves of a receipt, ready for the ledger."""

    id: str
    project: str
    entry: bytes
    payload: bytes


class _Intent(msgspec.Struct):
    v: int
    id: str
    time: str
    project: str
    caller: str
    operation: str
    parent: str | None
    model: dict[str, str] | None


def unknown(intent: bytes, now_ns: int, versions: dict[str, str]) -> Closed:
    """The receipt of a call that was found open after a crash. It claims what its intent says, and nothing more."""
    opened = msgspec.json.decode(intent, type=_Intent)
    salt = os.urandom(32)
    halves: dict[str, object] = {"request": None, "response": None}
    entry = {
        "v": ENTRY_VERSION,
        "id": opened.id,
        "time": opened.time,
        "closed": utc(now_ns),
        "duration_us": 0,
        "project": opened.project,
        "caller": opened.caller,
        "operation": opened.operation,
        "parent": opened.parent,
        "model": opened.model,
        "versions": versions,
        "parameters": {},
        "sources": [],
        "decisions": [],
        "usage": Usage(),
        "cost_microusd": 0,
        "outcome": "unknown",
        "error": None,
        "commitments": {half: commit(salt, canonical(value)) for half, value in halves.items()},
    }
    payload = canonical({"salt": salt.hex(), **halves})
    return Closed(opened.id, opened.project, canonical(entry), payload)


def _folded(values: Sequence[object]) -> dict[str, object]:
    """What stands for a list that is too long for an entry."""
    return {"count": len(values), "digest": hashlib.sha256(canonical(values)).hexdigest()}


def commit(salt: bytes, content: bytes) -> str:
    """A commitment that reveals nothing once the salt is destroyed: hex SHA-256 of salt and content."""
    return hashlib.sha256(salt + content).hexdigest()


def check_payload(entry: bytes, payload: bytes) -> str | None:
    """Whether a payload is the one that its entry commits to; the problem in words, or None."""
    try:
        halves = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        salt = bytes.fromhex(msgspec.json.decode(halves["salt"], type=str))
        commitments = msgspec.json.decode(entry, type=_Committed).commitments
        for half, wanted in commitments.items():
            if commit(salt, bytes(halves[half])) != wanted:
                return f"the {half} is not the one that the entry commits to"
    except (msgspec.MsgspecError, ValueError, KeyError, RecursionError) as error:
        return f"the payload cannot be read: {error}"
    return None


class _Committed(msgspec.Struct):
    commitments: dict[str, str]
