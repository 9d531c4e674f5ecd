"""Documents on their way in: JSON texts, or multipart files spooled to disk with their digest taken on the way."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from tiffin.api.gateway import Gateway
from tiffin.api.http import Json, drain, receipt_header, unless_gone
from tiffin.kernel import limits
from tiffin.kernel.calls import Ingest, NewDocument
from tiffin.kernel.errors import CallerError, Invalid, JournalUnavailable, TooLarge
from tiffin.kernel.parts import DocumentResult, Event, Opened
from tiffin.wire import tiffin
from tiffin.wire.tiffin import DocumentsAnswer, DocumentsBody

COPY_BLOCK_BYTES = 1 << 20  # copied at a time between the upload and the spool
SUBJECTS_PER_CALL_MAX = 512  # people in one Ingest call; making their keys takes some seconds
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OPENAPI = {
    "requestBody": {
        "content": {
            "application/json": {"schema": DocumentsBody.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "ids": {"type": "array", "items": {"type": "string"}},
                        "subjects": {"type": "array", "items": {"type": "string"}},
                    },
                }
            },
        }
    }
}


def router(gateway: Gateway) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["collections"])

    @routes.post("/collections/{collection}/documents", response_model=DocumentsAnswer, openapi_extra=OPENAPI)
    async def ingest(collection: str, request: Request) -> Response:
        """Takes in documents: `{"documents": [{id, title, text, metadata?, subjects?}]}`, or files as multipart.

        An unchanged document is left alone, a changed one supersedes its old version. `ids` name files in their order;
        without them a file's name is its id.
        """
        try:
            await _only_known(gateway, request)
            _check_name(collection)
            async with _documents(gateway, request) as documents:
                _check_ids(documents)
                return await unless_gone(request, _ingest(gateway, request, collection, documents))
        except CallerError as error:
            if error.receipt:
                raise
            raise await gateway.refuse(error, request) from error

    return routes


async def _ingest(gateway: Gateway, request: Request, collection: str, documents: list[NewDocument]) -> Response:
    receipts: list[str] = []
    results: list[DocumentResult] = []
    for group in _groups(documents):
        async with aclosing(gateway.ask(Ingest(collection, group), request)) as events:
            await _gather(events, receipts, results)
    body = {
        "documents": [tiffin.document(result) for result in results],
        "receipt": receipts[0],
        "receipts": receipts,
    }
    return Json(body, headers=receipt_header(receipts[0]))


async def _gather(events: AsyncGenerator[Event, None], receipts: list[str], results: list[DocumentResult]) -> None:
    async for event in events:
        if isinstance(event, Opened):
            receipts.append(event.receipt)
        elif isinstance(event, DocumentResult):
            results.append(event)


def _groups(documents: list[NewDocument]) -> Iterator[tuple[NewDocument, ...]]:
    """As many documents a call as its bounds allow: so many at most, about so many people."""
    group: list[NewDocument] = []
    people: set[str] = set()
    for document in documents:
        together = people.union(document.subjects)
        if group and (len(group) == limits.DOCUMENTS_PER_CALL_MAX or len(together) > SUBJECTS_PER_CALL_MAX):
            yield tuple(group)
            group, together = [], set(document.subjects)
        group.append(document)
        people = together
    yield tuple(group)


async def _only_known(gateway: Gateway, request: Request) -> None:
    """A stranger fills neither memory nor disk."""
    try:
        gateway.know(request)
    except CallerError:
        await drain(request)
        raise


def _check_ids(documents: list[NewDocument]) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise Invalid(f"The document '{document.id}' is in this request twice.", field="documents")
        seen.add(document.id)


def _check_name(collection: str) -> None:
    if not collection.strip() or len(collection) > limits.NAME_CHARS_MAX or not collection.isprintable():
        raise Invalid(f"A collection's name has 1 to {limits.NAME_CHARS_MAX} printable characters.", field="collection")


@asynccontextmanager
async def _documents(gateway: Gateway, request: Request) -> AsyncIterator[list[NewDocument]]:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        folder = gateway.spool / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        try:
            yield await _spooled(request, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    else:
        yield await asyncio.to_thread(_parsed, await request.body())  # up to 101 MiB: not on the event loop


def _parsed(body: bytes) -> list[NewDocument]:
    try:
        wanted = DocumentsBody.model_validate(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"The body is not valid JSON: {error}.", hint='Send {"documents": [{"id", "text"}]}.') from error
    except ValidationError as error:
        raise invalid_body(error.errors()) from error
    return [document.document() for document in wanted.documents]


def invalid_body(problems: object) -> Invalid:
    """The first problem that pydantic found, in words."""
    first = problems[0] if isinstance(problems, list) and problems else {}
    if first.get("type") == "json_invalid":
        return Invalid(f"The body is not valid JSON: {first['ctx']['error']}.", hint="Send one JSON object.")
    steps = first.get("loc", ())
    if steps and steps[0] in ("body", "query", "path"):
        steps = steps[1:]
    where = ".".join(str(step) for step in steps)
    if not where:
        hint = "Send a JSON object with the header 'content-type: application/json'."
        return Invalid("The body is not a JSON object.", hint=hint, field="body")
    return Invalid(f"'{where}': {first.get('msg', 'not valid')}.", hint="See /api/v1/openapi.json.", field=where)


async def _spooled(request: Request, folder: Path) -> list[NewDocument]:
    try:
        return await _spooled_form(request, folder)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise JournalUnavailable(
            "The disk takes no more, so nothing was taken in.", hint="An administrator should run `tiffin doctor`."
        ) from error


async def _spooled_form(request: Request, folder: Path) -> list[NewDocument]:
    try:
        form = await request.form(max_files=limits.UPLOAD_FILES_MAX, max_fields=limits.UPLOAD_FILES_MAX * 4)
    except HTTPException as error:
        if error.status_code == 413:
            raise
        raise Invalid(f"The form cannot be read: {str(error.detail).rstrip('.')}.") from error
    try:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        ids = [str(value) for value in form.getlist("ids")]
        subjects = _people([str(value) for value in form.getlist("subjects")])
        if not files:
            raise Invalid("The form holds no file.", hint="Send files as parts named 'files'.", field="files")
        if ids and len(ids) != len(files):
            raise Invalid(f"{len(files)} files, but {len(ids)} ids.", field="ids")
        names = ids or [file.filename or f"file-{i}" for i, file in enumerate(files)]
        return [
            await asyncio.to_thread(_spool, file, name, folder / str(i), subjects)
            for i, (file, name) in enumerate(zip(files, names, strict=True))
        ]
    finally:
        await form.close()


def _people(subjects: list[str]) -> tuple[str, ...]:
    wrong = any(not name.strip() or len(name) > limits.SUBJECT_CHARS_MAX for name in subjects)
    if wrong or len(subjects) > limits.SUBJECTS_PER_DOCUMENT_MAX:
        raise Invalid(
            f"At most {limits.SUBJECTS_PER_DOCUMENT_MAX} subjects, of 1 to {limits.SUBJECT_CHARS_MAX} characters each.",
            field="subjects",
        )
    return tuple(dict.fromkeys(subjects))


def _spool(file: UploadFile, name: str, path: Path, subjects: tuple[str, ...]) -> NewDocument:
    if not name or len(name) > limits.DOCUMENT_ID_CHARS_MAX:
        raise Invalid(f"A document id has 1 to {limits.DOCUMENT_ID_CHARS_MAX} characters.", field="ids")
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as spooled:
        while block := file.file.read(COPY_BLOCK_BYTES):
            size += len(block)
            if size > limits.UPLOAD_BYTES_MAX:
                raise TooLarge(f"'{name}' is larger than {limits.UPLOAD_BYTES_MAX >> 20} MiB.")
            digest.update(block)
            spooled.write(block)
    return NewDocument(name, digest.hexdigest(), path=str(path), subjects=subjects)
