"""Documents on their way in: JSON texts, or multipart files spooled to disk with their digest taken on the way."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from tiffin.api.gateway import Gateway
from tiffin.api.http import Json, receipt_header, unless_gone
from tiffin.kernel import limits
from tiffin.kernel.calls import Ingest, NewDocument
from tiffin.kernel.errors import CallerError, Invalid, TooLarge
from tiffin.kernel.parts import DocumentResult, Event, Opened
from tiffin.wire import tiffin
from tiffin.wire.tiffin import DocumentsAnswer, DocumentsBody

COPY_BLOCK_BYTES = 1 << 20  # copied at a time between the upload and the spool
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
            _check_name(collection)
            async with _documents(gateway, request) as documents:
                return await unless_gone(request, _ingest(gateway, request, collection, documents))
        except CallerError as error:
            raise (error if error.receipt else await gateway.refuse(error, request)) from error

    return routes


async def _ingest(gateway: Gateway, request: Request, collection: str, documents: list[NewDocument]) -> Response:
    receipts: list[str] = []
    results: list[DocumentResult] = []
    for first in range(0, len(documents), limits.DOCUMENTS_PER_CALL_MAX):
        group = tuple(documents[first : first + limits.DOCUMENTS_PER_CALL_MAX])
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
        yield _parsed(await request.body())


def _parsed(body: bytes) -> list[NewDocument]:
    try:
        wanted = DocumentsBody.model_validate(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"The body is not valid JSON: {error}.", hint='Send {"documents": [{"id", "text"}]}.') from error
    except ValidationError as error:
        raise invalid_body(error.errors()) from error
    return [document.document() for document in wanted.documents]


def invalid_body(problems: object) -> Invalid:
    """The first problem that pydantic found, in words."""
    first = problems[0] if isinstance(problems, list) and problems else {}
    where = ".".join(str(step) for step in first.get("loc", ()) if step != "body") or "body"
    return Invalid(f"'{where}': {first.get('msg', 'not valid')}.", hint="See /api/v1/openapi.json.", field=where)


async def _spooled(request: Request, folder: Path) -> list[NewDocument]:
    try:
        form = await request.form(max_files=limits.UPLOAD_FILES_MAX, max_fields=limits.UPLOAD_FILES_MAX * 4)
    except HTTPException as error:
        if error.status_code == 413:
            raise
        raise Invalid(f"The form cannot be read: {error.detail}.") from error
    try:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        ids = [str(value) for value in form.getlist("ids")]
        subjects = tuple(str(value) for value in form.getlist("subjects"))
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
