"""What needs no key: health, metrics, the public tiles of the ledger, and the console's files."""

from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tiffin.api.gateway import Gateway, PublicLog
from tiffin.api.http import Json

SECURITY = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
BRIEFLY = {"cache-control": "public, max-age=1"}


def routes(gateway: Gateway) -> list[Route]:
    site = Site(gateway)
    return [
        Route("/healthz", site.healthy),
        Route("/readyz", site.ready),
        Route("/metrics", site.metrics),
        Route("/ledger/{log}/checkpoint", site.checkpoint),
        Route("/ledger/{log}/{path:path}", site.tile),
        Route("/", site.page),
        Route("/assets/{path:path}", site.asset),
        Route("/favicon.svg", site.icon),
        Route("/favicon.ico", site.icon),
    ]


class Site:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def healthy(self, request: Request) -> Response:
        return Json({"ok": True})

    async def ready(self, request: Request) -> Response:
        status = self._gateway.status()
        return Json(status, status_code=200 if status["ready"] else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def checkpoint(self, request: Request) -> Response:
        log = self._log(request)
        if log is None:
            return PlainTextResponse("no such log\n", status_code=404)
        return PlainTextResponse(log.checkpoint(), headers=BRIEFLY)

    async def tile(self, request: Request) -> Response:
        log = self._log(request)
        data = await asyncio.to_thread(log.read_tile, request.path_params["path"]) if log else None
        if data is None:
            return PlainTextResponse("no such tile\n", status_code=404)
        return Response(data, media_type="application/octet-stream", headers=FOREVER)

    def _log(self, request: Request) -> PublicLog | None:
        return next((log for log in self._gateway.logs if log.name == request.path_params["log"]), None)

    async def page(self, request: Request) -> Response:
        if self._gateway.console is None:
            return PlainTextResponse("The console is not built. `make up` builds it; the API is at /api/v1.\n")
        return FileResponse(self._gateway.console / "index.html", headers=SECURITY | {"cache-control": "no-cache"})

    async def asset(self, request: Request) -> Response:
        return self._file(f"assets/{request.path_params['path']}", FOREVER)

    async def icon(self, request: Request) -> Response:
        if request.url.path.endswith(".ico"):
            return RedirectResponse("/favicon.svg")
        return self._file("favicon.svg", BRIEFLY)

    def _file(self, name: str, cache: dict[str, str]) -> Response:
        root = self._gateway.console
        path = (root / name).resolve() if root and "\0" not in name else None
        if root is None or path is None or not path.is_relative_to(root.resolve()) or not path.is_file():
            return PlainTextResponse("not found\n", status_code=404)
        return FileResponse(path, headers=SECURITY | cache)
