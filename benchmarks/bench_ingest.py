"""Ingestion through Tiffin's API against the bare embedder: chunks per second, in turns, in one run. Claim: ≥ 0.85.

The bare embedder gets exactly the chunks that Tiffin made of the same documents, in batches, over its own socket,
with nothing around it. Tiffin adds HTTP, cutting, full text, durable transactions and a receipt for every call.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.server import Server, free_port
from tiffin.kernel.calls import Embed
from tiffin.providers.catalogue import BUILT_IN
from tiffin.providers.engines import minilm
from tiffin.providers.engines.sources import ModelSource, fetch
from tiffin.providers.engines.specs import embed_engine
from tiffin.providers.engines.supervisor import Endpoint, Supervisor
from tiffin.wire.openai_embeddings import render_request

ROUNDS = 5  # pairs
DOCUMENTS = 160  # a round
BATCH = 96  # texts in one request to the bare embedder, and two in flight: its own best
CLAIM = 0.85
DATA = ROOT.parent / "shared/data/common/ir/scifact/corpus.jsonl"


def documents(round_number: int) -> list[dict[str, str]]:
    """Real abstracts where they are at hand, else invented ones of like length; others in every round."""
    if DATA.exists():
        rows = [json.loads(line) for line in DATA.read_text().splitlines()]
        rows = rows[round_number * DOCUMENTS : (round_number + 1) * DOCUMENTS]
        return [{"id": row["id"], "title": row.get("title", ""), "text": row["text"]} for row in rows]
    words = random.Random(round_number)
    vocabulary = [
        f"{a}{b}" for a in ("cor", "vel", "mar", "tin", "sol", "pra") for b in ("dia", "ton", "gen", "vex", "mid")
    ]
    return [
        {
            "id": f"{round_number}-{i}",
            "title": f"Paper {i}",
            "text": ". ".join(" ".join(words.choices(vocabulary, k=16)) for _ in range(14)) + ".",
        }
        for i in range(DOCUMENTS)
    ]


async def bare_rate(session: aiohttp.ClientSession, endpoint: Endpoint, texts: list[str]) -> float:
    batches = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    slots = asyncio.Semaphore(2)

    async def one(batch: list[str]) -> None:
        body = render_request(Embed("minilm", tuple(batch)), model="minilm")
        headers = {"authorization": f"Bearer {endpoint.api_key}"}
        async with slots, session.post(f"{endpoint.url}/v1/embeddings", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            await response.read()

    started = time.perf_counter()
    await asyncio.gather(*map(one, batches))
    return len(texts) / (time.perf_counter() - started)


def tiffin_rate(server: Server, collection: str, rows: list[dict[str, str]]) -> tuple[float, list[str]]:
    started = time.perf_counter()
    answer = server.call("POST", f"/api/v1/collections/{collection}/documents", {"documents": rows})
    seconds = time.perf_counter() - started
    assert answer.status == 200, answer.body
    return sum(d["chunks"] for d in answer.json["documents"]) / seconds, _embedded(server, answer.json["receipts"])


def _embedded(server: Server, receipts: list[str]) -> list[str]:
    """The texts that were embedded, out of the vault: what the bare embedder gets as well."""
    texts: list[str] = []
    for receipt in receipts:
        for child in server.call("GET", f"/api/v1/receipts/{receipt}").json["children"]:
            payload = server.call("GET", f"/api/v1/receipts/{child['id']}/payload").json
            texts += payload["request"]["texts"]
    return texts


async def measured(folder: Path) -> dict[str, object]:
    model = BUILT_IN[1]
    weights, _ = fetch(ModelSource.parse(model.source), sha256=model.sha256, store=folder / "models")
    converted = minilm.convert(weights, weights.with_name("tokenizer.json"), folder / "models")
    bare = Supervisor([embed_engine("minilm", converted.folder)], folder / "logs")
    server = Server(folder / "home", free_port())
    await bare.start()
    server.start()
    try:
        await bare.ready("minilm")
        endpoint = await bare.endpoint("minilm")
        pairs = []
        async with aiohttp.ClientSession() as session:
            for number in range(ROUNDS + 1):
                through, texts = await asyncio.to_thread(tiffin_rate, server, "bench", documents(number))
                pairs.append((through, await bare_rate(session, endpoint, texts)))
    finally:
        server.stop()
        await bare.aclose()
    pairs = pairs[1:]  # the first pair warms both up
    return {
        "claim": f"ingest through Tiffin / bare embedder ≥ {CLAIM}",
        "ratio": round(statistics.median(through / plain for through, plain in pairs), 3),
        "tiffin_chunks_per_s": round(statistics.median(through for through, _ in pairs), 1),
        "bare_chunks_per_s": round(statistics.median(plain for _, plain in pairs), 1),
        "rounds": ROUNDS,
        "documents_per_round": DOCUMENTS,
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(measured(Path(folder)))
    print(json.dumps(result))
    sys.exit(result["ratio"] < CLAIM)
