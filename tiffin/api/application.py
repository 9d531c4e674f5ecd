"""The ASGI application: all routes in one list, and one shape of error for each family of paths."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tiffin import __version__
from tiffin.api import documents, openai, ours, site
from tiffin.api.errors import headers_of, status_of
from tiffin.api.gateway import Gateway
from tiffin.api.http import BodyLimit, Json
from tiffin.kernel import limits
from tiffin.kernel.errors import Bug, CallerError, Invalid, NotFound, PlatformError, TiffinError, TooLarge
from tiffin.wire import tiffin

logger = logging.getLogger("tiffin.api")

FORM_BYTES_MAX = 1 << 20  # what a multipart form adds around its files

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def application(gateway: Gateway, lifespan: Lifespan | None = None) -> FastAPI:
    app = FastAPI(
        title="Tiffin",
        version=__version__,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.include_router(ours.router(gateway))
    app.include_router(documents.router(gateway))
    app.router.routes.extend([*openai.routes(gateway), *site.routes(gateway)])

    @app.exception_handler(TiffinError)
    async def failed(request: Request, error: Exception) -> Response:
        return _shaped(request, error if isinstance(error, TiffinError) else _bug(error))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return _shaped(request, _bug(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> Response:
        problems = error.errors() if isinstance(error, RequestValidationError) else []
        try:
            return _shaped(request, await gateway.refuse(documents.invalid_body(list(problems)), request))
        except PlatformError as unrecorded:
            return _shaped(request, unrecorded)

    @app.exception_handler(HTTPException)
    async def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        problem = _http_error(status, request)
        try:
            recorded = await gateway.refuse(problem, request)  # if the caller is known; a stranger learns no more
        except PlatformError as unrecorded:
            return _shaped(request, unrecorded)
        if status == 401:
            return _shaped(request, recorded)
        answer = _shaped(request, problem, status=status)
        answer.headers.update(getattr(error, "headers", None) or {})  # `allow` of a 405
        return answer

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; the number is nginx's, for whoever reads the log

    app.add_middleware(BodyLimit, bound=body_bytes_max, knows=lambda scope: gateway.knows(Request(scope)))
    return app


def body_bytes_max(path: str) -> int:
    """Documents may be large; everything else is JSON of a bounded size."""
    documents_go_here = path.startswith("/api/v1/collections/") and path.endswith("/documents")
    return limits.UPLOAD_BYTES_MAX + FORM_BYTES_MAX if documents_go_here else limits.BODY_BYTES_MAX


def _http_error(status: int, request: Request) -> CallerError:
    where = f"{request.method} {request.url.path[:256]}"
    if status == 405:
        return Invalid(f"{where}: this method is not allowed here.", hint="See /api/v1/openapi.json.")
    if status == 413:
        bytes_max = body_bytes_max(request.url.path)
        return TooLarge(f"The body is larger than {bytes_max >> 20} MiB.", hint="Send less at a time.")
    if status == 400:
        return Invalid("The body cannot be read.", hint="Send JSON in UTF-8, or a multipart form with files.")
    return NotFound(f"{where}: there is nothing at this path.", hint="See /api/v1/openapi.json.")


def _bug(error: BaseException) -> Bug:
    logger.error("An unexpected failure", exc_info=error)
    return Bug("Tiffin failed on this request; the fault is not yours.", hint="The server's log has the details.")


def _shaped(request: Request, error: TiffinError, *, status: int | None = None) -> Response:
    if isinstance(error, Bug) and error.__cause__ is not None:
        logger.error("An unexpected failure in call %s", error.receipt, exc_info=error.__cause__)
    if request.url.path.startswith(openai.PREFIXES):
        return openai.error_response(error, status=status)
    return Json(tiffin.render_error(error), status_code=status or status_of(error), headers=headers_of(error))
