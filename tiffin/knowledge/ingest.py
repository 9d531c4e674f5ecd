"""Takes documents into a collection: read, cut, embed, commit. A document is in with everything or not at all.

The embedding model is the slowest part, so it is never left waiting: one batch of chunks is queued behind the one it
works on while the next documents are read and cut, and while finished ones are committed. What is stored is decided
by one transaction a document, so a kill at any moment leaves whole documents only, and the same call again finds them
unchanged.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from tiffin.kernel import limits
from tiffin.kernel.calls import Ingest, NewDocument
from tiffin.kernel.errors import Invalid, TooLarge
from tiffin.kernel.parts import DocumentResult, Event, Finish, Progress
from tiffin.kernel.ports import Context
from tiffin.knowledge import chunk
from tiffin.knowledge.chunk import Piece
from tiffin.knowledge.embedding import embed
from tiffin.knowledge.index import Floats
from tiffin.knowledge.library import Library
from tiffin.knowledge.parse.values import Parsed, Refused
from tiffin.store import documents, vectors
from tiffin.store.documents import Chunk, NewVersion, Version

BATCH_TEXTS = 96  # chunks in one Embed call: some seconds of work, so its journal entries cost nothing
BATCHES_QUEUED_MAX = 2  # Embed calls in flight: one that the model works on and one behind it
CHUNKS_PER_COLLECTION_MAX = 1_000_000  # 424 MB of exact index; beyond it another index is needed
METADATA_KEYS_MAX = 64  # keys on one document
METADATA_CHARS_MAX = 4_096  # characters of one key or value
TITLE_CHARS_MAX = 1_024  # characters of a title
PARSE_RECIPE = "parse-1"  # part of a document's pipeline: changes when parsers give another text for the same bytes

_NAME = re.compile(r"\w[\w .@:+-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


async def ingest(call: Ingest, context: Context, library: Library) -> AsyncGenerator[Event, None]:
    """Yields a DocumentResult for each document, in order, with Progress between them, and Finish.

    A document that cannot be read is a result, not an error. An embedding model that fails is an error: documents
    reported before it are in, the others are not.
    """
    run = _Run(call, context, library, await asyncio.to_thread(_checked, call, context, library))
    tally = _Tally(len(call.documents))
    waiting: deque[tuple[_Batch, asyncio.Task[Floats]]] = deque()
    try:
        async with aclosing(_batches(run)) as batches:
            async for batch in batches:
                waiting.append((batch, asyncio.create_task(_vectors(batch, run))))
                tally.cut += len(batch.texts)
                while len(waiting) >= BATCHES_QUEUED_MAX:
                    async with aclosing(_settled(waiting, run, tally)) as events:
                        async for event in events:
                            yield event
        while waiting:
            async with aclosing(_settled(waiting, run, tally)) as events:
                async for event in events:
                    yield event
    finally:
        tasks = [task for _, task in waiting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    yield Finish()


@dataclass(frozen=True)
class _Run:
    """One call. `current` holds what the collection has of its documents."""

    call: Ingest
    context: Context
    library: Library
    current: dict[str, Version]

    @property
    def pipeline(self) -> str:
        return f"{PARSE_RECIPE} {chunk.RECIPE} {self.library.vectors_by}"


@dataclass
class _Tally:
    total: int
    done: int = 0
    cut: int = 0
    embedded: int = 0


@dataclass
class _Draft:
    """A document on its way. Either `result` says already what became of it, or `pieces` wait for their vectors."""

    new: NewDocument
    result: DocumentResult | None = None
    parsed: Parsed | None = None
    title: str = ""
    pieces: list[Piece] = field(default_factory=list)
    vectors: list[Floats] = field(default_factory=list)


@dataclass
class _Batch:
    """Texts of one Embed call, the drafts that they belong to in order, and those that are complete after it."""

    texts: list[str] = field(default_factory=list)
    shares: list[tuple[_Draft, int]] = field(default_factory=list)
    complete: list[_Draft] = field(default_factory=list)


async def _batches(run: _Run) -> AsyncGenerator[_Batch, None]:
    """The call's documents as full batches; reads the next document only when its turn has come."""
    batch = _Batch()
    for new in run.call.documents:
        draft = await _draft(new, run)
        at = 0
        while at < len(draft.pieces):
            if len(batch.texts) == BATCH_TEXTS:
                yield batch
                batch = _Batch()
            upto = min(len(draft.pieces), at + BATCH_TEXTS - len(batch.texts))
            batch.texts += _texts(draft, at, upto, run.library)
            batch.shares.append((draft, upto - at))
            at = upto
        batch.complete.append(draft)
    yield batch


async def _draft(new: NewDocument, run: _Run) -> _Draft:
    """A document read and cut, or what already became of it."""
    current = run.current.get(new.id)
    if current is not None and current.made_from(new.digest, run.pipeline, new.title, new.metadata, new.subjects):
        return _Draft(new, _result(new, "unchanged", current))
    parsed = _given(new) if new.path is None else await _read(Path(new.path), new, run.library)
    if isinstance(parsed, Refused):
        return _Draft(new, DocumentResult(new.id, "refused", reason=parsed.reason, detail=parsed.detail))
    file_name = PurePosixPath(new.id).name if new.path is not None else ""
    title = (new.title or parsed.title or file_name)[:TITLE_CHARS_MAX]
    pieces = await asyncio.to_thread(run.library.chunker.cut, parsed.text, title, parsed.pages, parsed.blocks)
    if not pieces:
        return _Draft(new, DocumentResult(new.id, "refused", reason="empty", detail="There is not one word in it."))
    return _Draft(new, None, parsed, title, pieces)


def _given(new: NewDocument) -> Parsed | Refused:
    """The text that came with the call, as a document of one page."""
    text = new.text or ""
    if len(text) > limits.TEXT_CHARS_MAX:
        return Refused("too_large", f"The text is longer than {limits.TEXT_CHARS_MAX:,} characters.")
    return Parsed(text, pages=(), blocks=(), title=None, kind="text")


async def _read(path: Path, new: NewDocument, library: Library) -> Parsed | Refused:
    try:
        parsed = await library.parser.parse(path, PurePosixPath(new.id).name)
        digest = await asyncio.to_thread(_digest, path)
    except OSError as error:
        return Refused("corrupt", f"The file cannot be read: {error.strerror or error}.")
    if digest != new.digest:
        return Refused(
            "corrupt", "The file is not the one that was announced, or changed while it was read; give it again."
        )
    return parsed


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _texts(draft: _Draft, start: int, end: int, library: Library) -> list[str]:
    assert draft.parsed is not None  # noqa: S101  a draft with pieces was parsed
    text = draft.parsed.text
    return [library.chunker.embedded(draft.title, p.heading, text[p.start : p.end]) for p in draft.pieces[start:end]]


async def _vectors(batch: _Batch, run: _Run) -> Floats:
    if not batch.texts:
        return np.zeros((0, run.library.dimensions), np.float32)
    return await embed(tuple(batch.texts), run.context, run.library)


async def _settled(
    waiting: deque[tuple[_Batch, asyncio.Task[Floats]]], run: _Run, tally: _Tally
) -> AsyncGenerator[Event, None]:
    """The oldest batch: its vectors handed out, the documents that they complete committed, in order."""
    batch, task = waiting[0]
    vectors = await task
    waiting.popleft()
    at = 0
    for draft, count in batch.shares:
        draft.vectors.append(vectors[at : at + count])
        at += count
    tally.embedded += len(batch.texts)
    yield Progress("chunks", tally.embedded, tally.cut)
    for draft in batch.complete:
        if draft.result is None:
            draft.result = await asyncio.to_thread(_commit, draft, run)
        yield draft.result
        tally.done += 1
        yield Progress("documents", tally.done, tally.total)


def _commit(draft: _Draft, run: _Run) -> DocumentResult:
    """One transaction; when it has ended the document is in for good and can be found."""
    new = _version(draft, run)
    library = run.library
    with library.database.write() as connection:
        project = run.context.grant.caller.project
        stored, written = documents.put(connection, project, run.call.collection, new, library.clock())
    return _result(draft.new, "ingested" if written else "unchanged", stored)


def _version(draft: _Draft, run: _Run) -> NewVersion:
    new, parsed, chunker = draft.new, draft.parsed, run.library.chunker
    assert parsed is not None  # noqa: S101  only drafts that were parsed get here
    text, vectors = parsed.text, np.concatenate(draft.vectors)
    chunks = [
        Chunk(
            ordinal=ordinal,
            page=piece.page,
            start=piece.start,
            end=piece.end,
            heading=piece.heading,
            indexed=chunker.indexed(draft.title, piece.heading, text[piece.start : piece.end]),
            vector=vectors[ordinal].tobytes(),
        )
        for ordinal, piece in enumerate(draft.pieces)
    ]
    pages = [(page.number, page.start, page.end, page.label) for page in parsed.pages]
    return NewVersion(
        document=new.id,
        title=draft.title,
        kind=parsed.kind,
        digest=new.digest,
        pipeline=run.pipeline,
        model=run.library.vectors_by,
        text=text,
        pages=pages or [(1, 0, len(text), None)],
        metadata=new.metadata,
        subjects=new.subjects,
        notes=parsed.notes,
        chunks=chunks,
    )


def _result(new: NewDocument, status: Literal["ingested", "unchanged"], version: Version) -> DocumentResult:
    return DocumentResult(
        document=new.id,
        status=status,
        version=version.version,
        chunks=version.chunks,
        digest=version.digest,
        notes=version.notes,
    )


def _checked(call: Ingest, context: Context, library: Library) -> dict[str, Version]:
    """What is stored already of the call's documents; raises Invalid or TooLarge before anything is done."""
    name = call.collection
    if len(name) > limits.NAME_CHARS_MAX or not _NAME.fullmatch(name):
        raise Invalid(
            "This is not a name for a collection.",
            hint=f"Letters, digits, spaces and _-.@:+, at most {limits.NAME_CHARS_MAX}, a letter or digit first.",
            field="collection",
        )
    if not 1 <= len(call.documents) <= limits.DOCUMENTS_PER_CALL_MAX:
        raise Invalid(f"A call takes from 1 to {limits.DOCUMENTS_PER_CALL_MAX} documents.", field="documents")
    seen: set[str] = set()
    for number, new in enumerate(call.documents):
        _check_document(new, f"documents[{number}]")
        if new.id in seen:
            raise Invalid(f"The document {new.id} is in this call twice.", field=f"documents[{number}].id")
        seen.add(new.id)
    with library.database.read() as connection:
        collection = documents.find(connection, context.grant.caller.project, name)
        if collection is None:
            return {}
        if vectors.size(connection, collection) > CHUNKS_PER_COLLECTION_MAX:
            raise TooLarge(
                f"The collection {name} holds more than {CHUNKS_PER_COLLECTION_MAX:,} chunks.",
                hint="Begin another collection.",
            )
        found = (documents.one(connection, collection, new.id) for new in call.documents)
        return {version.document: version for version in found if version is not None}


def _check_document(new: NewDocument, field: str) -> None:
    _check_text(new.id, f"{field}.id", limits.DOCUMENT_ID_CHARS_MAX)
    if not new.id.strip() or _CONTROL.search(new.id):
        raise Invalid("A document needs an id without control characters.", field=f"{field}.id")
    if (new.text is None) == (new.path is None):
        raise Invalid("A document has either a text or a file.", field=f"{field}.text")
    _check_text(new.title, f"{field}.title", TITLE_CHARS_MAX)
    if len(new.subjects) > limits.SUBJECTS_PER_DOCUMENT_MAX or len(new.metadata) > METADATA_KEYS_MAX:
        raise Invalid(
            f"A document has at most {limits.SUBJECTS_PER_DOCUMENT_MAX} subjects, {METADATA_KEYS_MAX} metadata keys.",
            field=field,
        )
    for subject in new.subjects:
        _check_text(subject, f"{field}.subjects", limits.SUBJECT_CHARS_MAX)
    for key, value in new.metadata.items():
        for part in (key, value):
            if isinstance(part, str):
                _check_text(part, f"{field}.metadata", METADATA_CHARS_MAX)
            elif not math.isfinite(part):
                raise Invalid("A metadata value must be a finite number.", field=f"{field}.metadata")
    if new.text is not None:
        _check_text(new.text, f"{field}.text", None)
        if hashlib.sha256(new.text.encode()).hexdigest() != new.digest:
            raise Invalid("The digest is not that of the text.", field=f"{field}.digest")


def _check_text(text: str, field: str, chars_max: int | None) -> None:
    if chars_max is not None and len(text) > chars_max:
        raise Invalid(f"This is longer than {chars_max} characters.", field=field)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("This holds half a character (a lone surrogate), which no file can hold.", field=field) from error
