"""The only module that calls out. Every wait has a bound, and every failure is one of ours before it leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from tiffin.kernel import limits
from tiffin.kernel.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from tiffin.wire.openai import answer_error

CONNECTIONS_PER_HOST_MAX = 64  # open at once to one engine; more calls wait their turn
ANSWER_BYTES_MAX = 64 << 20  # a whole unary answer: 2,048 vectors of 1,024 floats are 11 MiB of base64
ERROR_BYTES_MAX = 1 << 16  # of an answer that is an error; the message stands at its beginning
KEEP_ALIVE_S = 30.0  # seconds an idle connection is kept


@dataclass(frozen=True)
class Address:
    """Where an API is and the key it wants. The repr hides the key."""

    url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Address({self.url})"


class Http:
    """One pool of connections. Use as an async context manager."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Http:
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=CONNECTIONS_PER_HOST_MAX, keepalive_timeout=KEEP_ALIVE_S
        )
        timeout = aiohttp.ClientTimeout(
            total=limits.CALL_S_MAX, sock_connect=limits.CONNECT_S_MAX, sock_read=limits.SILENCE_S_MAX
        )
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, address: Address, path: str, body: dict[str, Any]) -> bytes:
        """The whole answer."""
        async with self._send(address, path, body) as response:
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > ANSWER_BYTES_MAX:
                    raise ProviderError(f"The model's answer is longer than {ANSWER_BYTES_MAX} bytes.")
            return bytes(data)

    async def stream(self, address: Address, path: str, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """Bytes as they come. Closing the generator closes the connection, and so stops the model."""
        async with self._send(address, path, body) as response:
            async for chunk in response.content.iter_any():
                yield chunk

    @asynccontextmanager
    async def _send(self, address: Address, path: str, body: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("Http is used outside its context")
        headers = {"authorization": f"Bearer {address.api_key}", "content-type": "application/json"}
        try:
            async with self._session.post(
                address.url + path, data=msgspec.json.encode(body), headers=headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise answer_error(response.status, _error_of(await _beginning(response)))
                yield response
        except TimeoutError as error:
            raise ProviderTimeout("The model did not answer in time.", hint="Ask for less, or try again.") from error
        except aiohttp.ClientConnectorError as error:
            raise ProviderUnavailable(
                "The model is not available at the moment.", hint="Try again in a moment."
            ) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ProviderUnavailable(
                "The model stopped in the middle of its answer.", hint="It is being restarted; ask again in a moment."
            ) from _without_key(error)


def _without_key(error: Exception) -> Exception:
    """aiohttp keeps the request in this error, and with it the key, which a log would show."""
    return ConnectionError(str(error)) if isinstance(error, aiohttp.ClientResponseError) else error


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) >= ERROR_BYTES_MAX:
            break
    return bytes(data[:ERROR_BYTES_MAX])


def _error_of(body: bytes) -> dict[str, Any]:
    try:
        error = json.loads(body).get("error", {})
        return error if isinstance(error, dict) else {"message": str(error)}
    except (ValueError, AttributeError, RecursionError):  # a web server's page, or nothing at all
        return {}
