"""Claim: generation through Tiffin is ≥ 0.95 of the bare engine: tokens per second of one stream, in turns, in one run.

The bare engine is the same program with the same weights and settings, reached directly. Tiffin adds authentication,
budget, two durable records and its own parsing and rendering of every token.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.server import Server, free_port
from tiffin.providers.catalogue import BUILT_IN
from tiffin.providers.engines.sources import ModelSource, fetch
from tiffin.providers.engines.specs import chat_engine
from tiffin.providers.engines.supervisor import Supervisor

ROUNDS = 9  # pairs; the median of the pairwise ratios is the result
TOKENS = 160
CLAIM = 0.95
BODY = {
    "model": "smollm2",
    "messages": [{"role": "user", "content": "Tell me a long story about a river."}],
    "max_tokens": TOKENS,
    "temperature": 0,
    "seed": 1,
    "stream": True,
    "stream_options": {"include_usage": True},
    "cache_prompt": False,
}


async def tokens_per_second(session: aiohttp.ClientSession, url: str, key: str, body: dict) -> tuple[float, str]:
    started = time.perf_counter()
    text, tokens = [], 0
    headers = {"authorization": f"Bearer {key}"}
    async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        async for line in response.content:
            if line.startswith(b"data: {"):
                chunk = json.loads(line[6:])
                tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
                text += [c["delta"].get("content") or "" for c in chunk["choices"]]
    return tokens / (time.perf_counter() - started), "".join(text)


async def measured(folder: Path) -> dict[str, object]:
    model = BUILT_IN[0]
    weights, _ = fetch(ModelSource.parse(model.source), sha256=model.sha256, store=folder / "models")
    bare = Supervisor([chat_engine("smollm2", weights, context_tokens=model.context_tokens)], folder / "logs")
    server = Server(folder / "home", free_port())
    await bare.start()
    server.start()
    governed = {name: value for name, value in BODY.items() if name != "cache_prompt"}  # Tiffin says so by itself
    try:
        await bare.ready("smollm2")
        endpoint = await bare.endpoint("smollm2")
        async with aiohttp.ClientSession() as session:
            pairs = []
            for _ in range(ROUNDS + 1):
                plain, words = await tokens_per_second(session, endpoint.url, endpoint.api_key, BODY)
                through, same = await tokens_per_second(session, server.url, server.key, governed)
                assert words == same, "the answers differ"
                pairs.append((through, plain))
    finally:
        server.stop()
        await bare.aclose()
    pairs = pairs[1:]  # the first pair warms both up
    return {
        "claim": f"generation through Tiffin / bare engine ≥ {CLAIM}",
        "ratio": round(statistics.median(through / plain for through, plain in pairs), 3),
        "tiffin_tokens_per_s": round(statistics.median(through for through, _ in pairs), 1),
        "bare_tokens_per_s": round(statistics.median(plain for _, plain in pairs), 1),
        "rounds": ROUNDS,
        "tokens": TOKENS,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measured(Path(folder)))
    print(json.dumps(result))
    sys.exit(result["ratio"] < CLAIM)
