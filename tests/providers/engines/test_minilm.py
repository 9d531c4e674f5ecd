"""The conversion: close to the float model, the same bytes every time, and never half-done."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from tiffin.providers.engines.embedder import Embedder
from tiffin.providers.engines.minilm import ConversionError, EmbeddingModel, build_graph, convert, open_model

COSINE_MIN = 0.987
CONVERSION_S_MAX = 20


@pytest.fixture(scope="module")
def encoded(minilm: EmbeddingModel, texts: list[str]) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(minilm.folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(minilm.max_tokens)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


@pytest.fixture(scope="module")
def float_session(weights: Path) -> Any:
    model = build_graph(load_file(weights), int8_words=False)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(session: Any, rows: list[list[int]]) -> np.ndarray:
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]


def by_hand(tensors: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT with mean pooling as its paper writes it, sharing nothing with the conversion."""
    erf = np.vectorize(math.erf, otypes=[np.float32])

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-12)
        return x * tensors[name + ".weight"] + tensors[name + ".bias"]

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ tensors[name + ".weight"].T + tensors[name + ".bias"]

    embeddings = {key: tensors[f"embeddings.{key}_embeddings.weight"] for key in ("word", "position", "token_type")}
    x = embeddings["word"][ids] + embeddings["position"][: len(ids)] + embeddings["token_type"][0]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}."
        heads = []
        q, k, v = (dense(x, f"{at}attention.self.{part}") for part in ("query", "key", "value"))
        for head in range(12):
            part = slice(head * 32, head * 32 + 32)
            scores = np.exp(q[:, part] @ k[:, part].T / math.sqrt(32))
            heads.append(scores / scores.sum(1, keepdims=True) @ v[:, part])
        x = norm(x + dense(np.concatenate(heads, 1), f"{at}attention.output.dense"), f"{at}attention.output.LayerNorm")
        inner = dense(x, f"{at}intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        x = norm(x + dense(inner, f"{at}output.dense"), f"{at}output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def test_float_graph_is_the_published_model(weights: Path, float_session: Any, encoded: list[list[int]]) -> None:
    tensors = load_file(weights)
    for ids in encoded[::7]:
        assert by_hand(tensors, ids) @ run(float_session, [ids])[0] > 0.99999


def test_padding_changes_nothing_in_the_float_graph(float_session: Any, encoded: list[list[int]]) -> None:
    some = encoded[::5]
    together = run(float_session, some)
    alone = np.concatenate([run(float_session, [ids]) for ids in some])
    assert np.abs(together - alone).max() < 1e-5


def test_int8_stays_close_to_float(
    embedder: Embedder, float_session: Any, texts: list[str], encoded: list[list[int]]
) -> None:
    floats = np.concatenate([run(float_session, [ids]) for ids in encoded])
    vectors = embedder.embed(texts).vectors
    assert len(texts) >= 50
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (floats * vectors).sum(1).min() >= COSINE_MIN


def test_second_call_reuses_and_damage_is_mended(weights: Path, minilm: EmbeddingModel, tmp_path: Path) -> None:
    copy = tmp_path / minilm.folder.name
    shutil.copytree(minilm.folder, copy)
    assert convert(weights, weights.with_name("tokenizer.json"), tmp_path).sha256 == minilm.sha256
    before = (copy / "model.onnx").stat().st_ino
    with (copy / "model.onnx").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\xff\x00\xff")
    assert open_model(copy) is None
    assert convert(weights, weights.with_name("tokenizer.json"), tmp_path).sha256 == minilm.sha256
    assert (copy / "model.onnx").stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == [copy.name]


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b"null", b'{"recipe": "other"}', b'{"recipe":"minilm-int8-2"}'])
def test_a_broken_manifest_is_no_model(minilm: EmbeddingModel, tmp_path: Path, manifest: bytes) -> None:
    shutil.copytree(minilm.folder, tmp_path / "m")
    (tmp_path / "m" / "model.json").write_bytes(manifest)
    assert open_model(tmp_path / "m") is None


def test_a_killed_conversion_is_swept_and_repeated(weights: Path, minilm: EmbeddingModel, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tiffin.providers.engines import minilm;"
        "w = Path(sys.argv[1]); minilm.convert(w, w.with_name('tokenizer.json'), Path(sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, str(weights), str(tmp_path)], env=environment)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".aside-*/model/float.onnx")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    left = list(tmp_path.iterdir())
    assert [path.name[:7] for path in left] == [".aside-"]
    begun = time.process_time()
    model = convert(weights, weights.with_name("tokenizer.json"), tmp_path)
    assert time.process_time() - begun < CONVERSION_S_MAX
    assert list(tmp_path.iterdir()) == [model.folder]
    assert sorted(path.name for path in model.folder.iterdir()) == ["model.json", "model.onnx", "tokenizer.json"]
    assert model.sha256 == minilm.sha256  # the same bytes every time


def test_other_weights_are_refused_with_a_reason(weights: Path, tmp_path: Path) -> None:
    tokenizer = weights.with_name("tokenizer.json")
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(os.urandom(1000))
    with pytest.raises(ConversionError, match="not a readable safetensors"):
        convert(garbage, tokenizer, tmp_path / "store")
    other = tmp_path / "other.safetensors"
    save_file({"embeddings.LayerNorm.weight": np.zeros(768, np.float32)}, other)
    with pytest.raises(ConversionError, match="all-MiniLM-L6-v2"):
        convert(other, tokenizer, tmp_path / "store")
    with pytest.raises(ConversionError, match="no tokenizer"):
        convert(weights, tmp_path / "none.json", tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


def test_manifest_names_what_made_it(minilm: EmbeddingModel) -> None:
    manifest = json.loads((minilm.folder / "model.json").read_text())
    assert manifest["files"]["model.onnx"] == minilm.sha256
    assert minilm.folder.name == f"{minilm.source_sha256}-int8"
