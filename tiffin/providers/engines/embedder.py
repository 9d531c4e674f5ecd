"""Texts to vectors in this process: one text at a time on a few threads, the same vector whatever else is running.

Texts are not batched. The int8 model scales activations over a whole batch, so a batched text's vector depends on its
neighbours (measured in batches of 8: a component moves by up to 0.017), which no replay could repeat. A second of one
core takes 51 passages of 550 characters alone, 45 in batches; 423 lines of 60 alone, 498 in batches. Parallelism is one
text a thread. Requests of a few texts, a user's question, overtake bulk work: they wait for at most one text.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from tokenizers import Encoding, Tokenizer

from tiffin.providers.engines.minilm import EmbeddingModel

URGENT_TEXTS_MAX = 4  # texts: requests up to this size overtake larger ones
TEXT_CHARS_MAX = 65_536  # characters of one text that are looked at; 256 tokens rarely need 2,000
CANCEL_POLL_S = 0.2  # seconds between looks at whether the caller still wants its answer

Vectors = npt.NDArray[np.float32]
Offsets = list[list[tuple[int, int]]]


class BadInput(Exception):
    """The caller's input cannot be embedded; the message names which and why."""


class Cancelled(Exception):
    """The caller left before its vectors were ready."""


@dataclass(frozen=True)
class Embedded:
    """Vectors in input order, the tokens they cost, and the inputs of which only the first `max_tokens` counted."""

    vectors: Vectors
    tokens: int
    truncated: tuple[int, ...]


class _Work:
    """One request's texts: workers take indexes, the requester waits for the last one."""

    def __init__(self, inputs: list[list[int]], dimensions: int) -> None:
        self.inputs = inputs
        self.vectors: Vectors = np.empty((len(inputs), dimensions), np.float32)
        self.abandoned = False
        self.failure: Exception | None = None
        self.done = threading.Event()
        self._left = len(inputs)
        self._lock = threading.Lock()

    def finished_one(self, failure: Exception | None) -> None:
        with self._lock:
            self._left -= 1
            self.failure = self.failure or failure
            if self._left == 0:
                self.done.set()


class Embedder:
    """Loads a converted model and embeds from any thread; `threads` texts run at once."""

    def __init__(self, model: EmbeddingModel, *, threads: int) -> None:
        self.model = model
        self._tokenizer = Tokenizer.from_file(str(model.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._vocabulary = self._tokenizer.get_vocab_size()
        # The tokenizer's own frame around a text: [CLS] before, [SEP] after.
        self._first, self._last = self._tokenizer.encode("").ids
        self._session = _open_session(model.folder / "model.onnx")
        self._queue: queue.PriorityQueue[tuple[bool, int, _Work, int]] = queue.PriorityQueue()
        self._order = itertools.count()
        for number in range(threads):
            threading.Thread(target=self._serve, daemon=True, name=f"embed-{number}").start()

    def embed(self, inputs: Sequence[str | list[int]], *, cancelled: Callable[[], bool] = lambda: False) -> Embedded:
        """Embed texts or token lists. `cancelled` is asked while waiting; raises Cancelled once it answers true."""
        rows, truncated = self._rows(inputs)
        work = _Work(rows, self.model.dimensions)
        bulk = len(rows) > URGENT_TEXTS_MAX
        for index in range(len(rows)):
            self._queue.put((bulk, next(self._order), work, index))
        while rows and not work.done.wait(CANCEL_POLL_S):
            if cancelled():
                work.abandoned = True
                raise Cancelled
        if work.failure is not None:
            raise work.failure
        return Embedded(work.vectors, sum(map(len, rows)), truncated)

    def offsets(self, texts: Sequence[str]) -> Offsets:
        """Character spans, as Python counts characters, of every token of every text; no special tokens, no cut."""
        return [list(encoding.offsets) for encoding in self._encode(texts, special=False)]

    def _encode(self, texts: Sequence[str], *, special: bool) -> list[Encoding]:
        return self._tokenizer.encode_batch(list(texts), add_special_tokens=special)

    def _rows(self, inputs: Sequence[str | list[int]]) -> tuple[list[list[int]], tuple[int, ...]]:
        texts = [item[:TEXT_CHARS_MAX] for item in inputs if isinstance(item, str)]
        encoded = iter(self._encode(texts, special=False))
        rows, truncated, room = [], [], self.model.max_tokens - 2
        for index, item in enumerate(inputs):
            ids = next(encoded).ids if isinstance(item, str) else self._checked(item, index)
            if len(ids) > room or (isinstance(item, str) and len(item) > TEXT_CHARS_MAX):
                truncated.append(index)
            rows.append([self._first, *ids[:room], self._last])
        return rows, tuple(truncated)

    def _checked(self, ids: list[int], index: int) -> list[int]:
        if any(not 0 <= token < self._vocabulary for token in ids):
            raise BadInput(
                f"input {index} holds token numbers outside this model's vocabulary of {self._vocabulary}; "
                "send text, or tokens of this model's own tokenizer"
            )
        framed = len(ids) >= 2 and ids[0] == self._first and ids[-1] == self._last
        return ids[1:-1] if framed else ids

    def _serve(self) -> None:
        while True:
            _, _, work, index = self._queue.get()
            failure: Exception | None = None
            if not work.abandoned and work.failure is None:
                try:
                    work.vectors[index] = self._run(work.inputs[index])
                except Exception as error:  # a worker must outlive any failed run: the requester raises it
                    failure = error
            work.finished_one(failure)

    def _run(self, ids: list[int]) -> Any:
        row = np.array([ids], np.int64)
        return self._session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]


def _open_session(path: Path) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; the optimiser warns about nothing a user could act on
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
