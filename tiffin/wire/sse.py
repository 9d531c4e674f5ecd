"""Server-sent events: framing only, both ways (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import Iterator

EVENT_BYTES_MAX = 8 << 20  # one event; a model's largest chunk is a few KiB, a whole answer in one event some hundreds


class TooLong(ValueError):
    """An event that does not end within the bound."""


class Reader:
    """Feed it bytes as they arrive; it yields (event name, data) pairs. Lines end in LF or CRLF."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._held = 0  # bytes of the lines in `_data`

    def feed(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        self._rest += chunk
        if self._held + len(self._rest) > EVENT_BYTES_MAX:
            raise TooLong(f"an event is longer than {EVENT_BYTES_MAX} bytes")
        whole, newline, self._rest = self._rest.rpartition(b"\n")
        if not newline:
            return
        for raw in whole.split(b"\n"):
            line = raw.removesuffix(b"\r").decode("utf-8", "replace")
            if line:
                self._take(line)
                self._held += len(raw)
            else:
                if self._data:
                    yield self._name, "\n".join(self._data)
                self._name, self._data, self._held = "", [], 0

    def _take(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value


def render(data: str, event: str = "") -> bytes:
    """One event. `data` must hold no bare CR; every line gets its own `data:`."""
    head = f"event: {event}\n" if event else ""
    return (head + "".join(f"data: {line}\n" for line in data.split("\n")) + "\n").encode()
