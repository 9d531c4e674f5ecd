"""Claim: answers cite the right document first, every quote is exact, and what is not there is refused.

Asks a running Tiffin over its public API: PubMedQA questions over 1,000 abstracts, questions about other things, and
with --hard questions whose own abstract was taken away. Peers are limits: 95 % right first, 100 % exact, 90 % refused.

    python benchmarks/bench_answers.py                    starts a server of its own
    python benchmarks/bench_answers.py --url http://127.0.0.1:8420 --key "$(cat .tiffin/admin.key)"
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.server import Server as OwnServer
from tests.server import free_port

RIGHT_FIRST_MIN = 0.95  # of the answers
REFUSED_MIN = 0.9  # of the questions about other things
ANSWERED_MIN = 0.95  # of the questions that the collection answers
BATCH = 64  # documents in one request
TIMEOUT_S = 600  # one request
SEED = 20261125


@dataclass(frozen=True)
class Server:
    url: str
    key: str

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url.rstrip("/") + path, content, headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{path}: {error.code} {error.read()[:500].decode(errors='replace')}") from error

    def take_in(self, collection: str, rows: list[dict[str, Any]]) -> None:
        for start in range(0, len(rows), BATCH):
            documents = [{k: row[k] for k in ("id", "title", "text")} for row in rows[start : start + BATCH]]
            self.call(f"/api/v1/collections/{collection}/documents", {"documents": documents})

    def ask(self, collection: str, question: str) -> tuple[dict[str, Any], float]:
        began = time.perf_counter()
        answer: dict[str, Any] = self.call("/api/v1/ask", {"collection": collection, "question": question})
        return answer, time.perf_counter() - began

    def text(self, citation: dict[str, Any]) -> str:
        collection, document = (urllib.parse.quote(citation[k], safe="") for k in ("collection", "document"))
        path = f"/api/v1/collections/{collection}/documents/{document}?version={citation['version']}"
        return str(self.call(path)["text"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def other_questions(data: Path, count: int, chance: random.Random) -> list[str]:
    """Questions about things that no PubMed abstract here is about, from four places in turn."""
    banking = data / "common" / "classification" / "banking77_test.csv"
    pools = [
        [row["text"] for row in lines(data / "dev" / "ir" / "cranfield" / "queries.jsonl")],
        [row["question"] for row in lines(data / "common" / "agent" / "hotpotqa_dev_500_no_context.jsonl")],
        [row[0] for row in list(csv.reader(banking.read_text().splitlines()))[1:]],
        [row["instruction"] for row in lines(data / "common" / "finetune" / "medquad_2000.jsonl")],
    ]
    chosen = [chance.sample(pool, min(count, len(pool))) for pool in pools]
    return [pool[i] for i in range(count) for pool in chosen if i < len(pool)][:count]


def measure(server: Server, collection: str, questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a question: the answer, how long it took, whether its first citation is right, how many are exact."""
    rows = []
    for number, question in enumerate(questions, 1):
        answer, seconds = server.ask(collection, question["text"])
        cited = answer["citations"]
        exact = [c["quote"] == server.text(c)[c["start"] : c["end"]] and bool(c["quote"]) for c in cited]
        right = bool(cited) and cited[0]["document"] == question.get("document")
        rows.append({"question": question, "answer": answer, "seconds": seconds, "right": right, "exact": exact})
        print(f"\r{number} of {len(questions)}", end="", file=sys.stderr, flush=True)
    print("\r", end="", file=sys.stderr)
    return rows


def told(name: str, part: int, whole: int, limit: float | None = None) -> bool:
    share = part / whole if whole else 0.0
    against = "" if limit is None else f"   ratio to the limit of {limit:.0%}: {share / limit:.3f}"
    print(f"{name:<58} {part:>4} of {whole:<4} {share:7.1%}{against}")
    return limit is None or share >= limit


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8420")
    parser.add_argument("--key", help="an API key that may ingest and ask; without it a server is started")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[1] / ".." / "shared" / "data")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--others", type=int, default=30)
    parser.add_argument("--hard", type=int, default=0, help="questions whose abstract is taken away")
    parser.add_argument("--out", type=Path, help="file for all answers, which docs/check_citations.py reads")
    options = parser.parse_args()
    if not (options.data / "dev" / "ir" / "pubmedqa").is_dir():
        print(f"skipped: there is no PubMedQA under {options.data}")
        return 0
    if options.key:
        return measured(Server(options.url, options.key), options)
    with tempfile.TemporaryDirectory() as folder:
        own = OwnServer(Path(folder) / "home", free_port())
        own.start()
        try:
            return measured(Server(own.url, own.key), options)
        finally:
            own.stop()


def measured(server: Server, options: argparse.Namespace) -> int:
    chance = random.Random(SEED)
    corpus = lines(options.data / "common" / "ir" / "pubmedqa" / "corpus.jsonl")
    asked = [q | {"document": q["id"].removeprefix("q")} for q in lines(options.data / "dev/ir/pubmedqa/queries.jsonl")]
    chance.shuffle(asked)
    server.take_in("pubmedqa", corpus)
    rows = measure(server, "pubmedqa", asked[: options.questions])
    others = [{"text": text} for text in other_questions(options.data, options.others, chance)]
    off = measure(server, "pubmedqa", others)
    hard: list[dict[str, Any]] = []
    if options.hard:
        gone = asked[options.questions : options.questions + options.hard]
        kept = {q["document"] for q in gone}
        server.take_in("pubmedqa-less", [row for row in corpus if row["id"] not in kept])
        hard = measure(server, "pubmedqa-less", gone)
    if options.out:
        options.out.write_text(json.dumps([row["answer"] for row in (*rows, *off, *hard)], ensure_ascii=False))
    return report(rows, off, hard)


def report(rows: list[dict[str, Any]], off: list[dict[str, Any]], hard: list[dict[str, Any]]) -> int:
    answered = [row for row in rows if not row["answer"]["refused"]]
    exact = [one for row in (*rows, *off, *hard) for one in row["exact"]]
    words = [row for row in answered if any("“" not in s["text"] for s in row["answer"]["sentences"])]
    good = [
        told(
            "answers that cite the right abstract first",
            sum(r["right"] for r in answered),
            len(answered),
            RIGHT_FIRST_MIN,
        ),
        told("citations that are exact spans of the stored text", sum(exact), len(exact), 1.0),
        told("questions that the collection answers: answered", len(answered), len(rows), ANSWERED_MIN),
        told("questions about other things: refused", sum(r["answer"]["refused"] for r in off), len(off), REFUSED_MIN),
    ]
    if hard:
        told("questions whose abstract was taken away: refused", sum(r["answer"]["refused"] for r in hard), len(hard))
    told("answers with words of the model's own beside the quotes", len(words), len(answered))
    print(f"seconds to an answer: median {statistics.median(row['seconds'] for row in answered):.2f}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
