"""Claim: search over HTTP ranks better than BM25 on public retrieval sets (nDCG@10), one configuration for all.

Peers are the BM25 baselines of each set (bm25s, k1 1.2, b 0.75, stemmed). A document's rank is that of its first chunk.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.server import Server, free_port

# set: nDCG@10 of BM25, and by how much at least Tiffin is better
BASELINES = {
    "cranfield": (0.356, 0.03),
    "cisi": (0.412, 0.06),
    "nfcorpus": (0.370, 0.0),
    "scifact": (0.679, 0.0),
    "pubmedqa": (0.980, 0.0),
}
DOCUMENTS = 256  # in one request
HITS = 50  # chunks asked for; more than one of a document come back
RANKS = 10


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def take_in(server: Server, name: str, corpus: Path) -> int:
    rows = [row for row in lines(corpus) if row["text"].strip()]
    chunks = 0
    for first in range(0, len(rows), DOCUMENTS):
        documents = [
            {"id": row["id"], "title": (row.get("title") or "")[:512], "text": row["text"]}
            for row in rows[first : first + DOCUMENTS]
        ]
        answer = server.call("POST", f"/api/v1/collections/{name}/documents", {"documents": documents})
        assert answer.status == 200, answer.body
        chunks += sum(document["chunks"] for document in answer.json["documents"])
    return chunks


def judged(folder: Path) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    questions = {row["id"]: row["text"] for row in lines(folder / "queries.jsonl")}
    relevant: dict[str, dict[str, float]] = defaultdict(dict)
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        question, document, grade = line.split("\t")[:3]
        if question in questions and float(grade) > 0:
            relevant[question][document] = float(grade)
    return questions, relevant


def ndcg(server: Server, name: str, question: str, relevant: dict[str, float]) -> float:
    body = {"collection": name, "query": question[:8_000], "limit": HITS}
    hits = server.call("POST", "/api/v1/search", body).json["hits"]
    ranked = list(dict.fromkeys(hit["document"] for hit in hits))[:RANKS]
    gained = sum(relevant.get(document, 0.0) / math.log2(rank + 2) for rank, document in enumerate(ranked))
    ideal = sorted(relevant.values(), reverse=True)[:RANKS]
    return gained / sum(grade / math.log2(rank + 2) for rank, grade in enumerate(ideal))


def measure(server: Server, name: str, data: Path) -> bool:
    chunks = take_in(server, name, data / "common/ir" / name / "corpus.jsonl")
    questions, relevant = judged(data / "dev/ir" / name)
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda q: ndcg(server, name, questions[q], relevant[q]), relevant))
    score, (baseline, better) = sum(scores) / len(scores), BASELINES[name]
    row = {
        "set": name,
        "ndcg_at_10": round(score, 4),
        "bm25": baseline,
        "ratio": round(score / baseline, 3),
        "claim": f"≥ BM25 + {better}",
        "holds": score >= baseline + better,
        "chunks": chunks,
        "questions": len(scores),
        "searches_per_s": round(len(scores) / (time.monotonic() - started), 1),
    }
    print(json.dumps(row, ensure_ascii=False), flush=True)
    return bool(row["holds"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sets", nargs="+", choices=BASELINES, default=list(BASELINES))
    options = parser.parse_args()
    if not (options.data / "dev/ir").is_dir():
        print(f"skipped: there are no retrieval sets under {options.data}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "home", free_port())
        server.start()
        try:
            return 0 if all([measure(server, name, options.data) for name in options.sets]) else 1
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
