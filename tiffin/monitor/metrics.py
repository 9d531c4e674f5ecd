"""Counts of governed calls for Prometheus, taken where every call ends: at the closing of its receipt."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from tiffin.kernel.calls import operation
from tiffin.kernel.ports import Journal
from tiffin.kernel.receipt import Receipt

CALLS = Counter("tiffin_calls_total", "Governed calls by operation and outcome.", ["operation", "outcome"])
TOKENS = Counter("tiffin_tokens_total", "Tokens by operation and direction.", ["operation", "direction"])
SECONDS = Histogram(
    "tiffin_call_seconds",
    "Duration of governed calls, from authentication to the closing of the receipt.",
    ["operation"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600),
)


class Counted:
    """A journal that counts what it closes."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def intend(self, receipt: Receipt) -> None:
        await self._journal.intend(receipt)

    async def close(self, receipt: Receipt) -> None:
        await self._journal.close(receipt)
        name = operation(receipt.call)
        CALLS.labels(name, receipt.outcome).inc()
        SECONDS.labels(name).observe((receipt.closed_ns - receipt.opened_ns) / 1e9)
        TOKENS.labels(name, "input").inc(receipt.usage.input_tokens)
        TOKENS.labels(name, "output").inc(receipt.usage.output_tokens)
