"""The embedder: one text, one vector, whatever else is running."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.providers.engines.embedder import BadInput, Cancelled, Embedder


def test_a_vector_does_not_depend_on_its_neighbours(embedder: Embedder, texts: list[str]) -> None:
    together = embedder.embed(texts).vectors
    backwards = embedder.embed(texts[::-1]).vectors[::-1]
    alone = np.concatenate([embedder.embed([text]).vectors for text in texts])
    assert together.tobytes() == alone.tobytes() == backwards.tobytes()


def test_a_vector_does_not_depend_on_load(embedder: Embedder, texts: list[str]) -> None:
    expected = embedder.embed(texts[:30]).vectors.tobytes()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(embedder.embed(texts[:30]).vectors.tobytes())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_long_texts_are_cut_and_reported(embedder: Embedder) -> None:
    embedded = embedder.embed(["short", "word " * 300, "word " * 254, "x" * 200_000])
    assert embedded.truncated == (1, 3)
    assert embedded.tokens <= 3 + 3 * 256
    assert np.allclose(embedded.vectors[1], embedded.vectors[2])


def test_tokens_embed_like_their_text(embedder: Embedder) -> None:
    text = "adverse event"
    framed = embedder._tokenizer.encode(text).ids
    vectors = embedder.embed([text, framed, framed[1:-1]]).vectors
    assert vectors[0].tobytes() == vectors[1].tobytes() == vectors[2].tobytes()
    for bad in ([99_999_999], [-1]):
        with pytest.raises(BadInput, match="input 1 "):
            embedder.embed([text, bad])


def test_a_question_overtakes_bulk_work(embedder: Embedder) -> None:
    bulk = ["word " * 250] * 100
    done: list[float] = []
    thread = threading.Thread(target=lambda: (embedder.embed(bulk), done.append(time.monotonic())))
    thread.start()
    time.sleep(0.2)
    begun = time.monotonic()
    embedder.embed(["When must an adverse event be reported?"])
    waited = time.monotonic() - begun
    thread.join()
    assert waited < (done[0] - begun) / 4


def test_work_that_nobody_waits_for_is_dropped(embedder: Embedder) -> None:
    with pytest.raises(Cancelled):
        embedder.embed(["word " * 250] * 500, cancelled=lambda: True)
    begun = time.process_time()
    embedder.embed(["word"] * 10)
    assert time.process_time() - begun < 2


def test_nothing_in_nothing_out(embedder: Embedder) -> None:
    assert embedder.embed([]).vectors.shape == (0, 384)
    assert embedder.offsets([]) == []
    assert embedder.offsets([""]) == [[]]


def test_offsets_count_python_characters(embedder: Embedder) -> None:
    text = "héllo 𝒳 wörld e\u0301tude 🙂 ABC"
    spans = embedder.offsets([text])[0]
    assert [text[start:end] for start, end in spans if text[start:end].isascii()][-1] == "ABC"
    assert "wörld" in [text[start:end] for start, end in spans]


@given(st.text(max_size=300))
def test_offsets_stay_inside_the_text_and_in_order(embedder: Embedder, text: str) -> None:
    spans = embedder.offsets([text])[0]
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert spans == sorted(spans)


@given(st.text(min_size=1, max_size=300))
def test_any_text_has_a_unit_vector(embedder: Embedder, text: str) -> None:
    vector = embedder.embed([text]).vectors[0]
    assert abs(float(vector @ vector) - 1) < 1e-4
