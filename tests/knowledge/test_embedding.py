"""Embedding: unit vectors in the order of the texts, or an error; never something else that looks like vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tiffin.kernel.errors import ProviderError
from tiffin.knowledge.embedding import embed

from .conftest import DIMENSIONS, Shelf, bag


async def test_vectors_come_in_order_and_of_length_one(shelf: Shelf) -> None:
    shelf.ask.wrong = lambda data: (np.frombuffer(data, "<f4") * 7).tobytes()  # a model that does not normalise
    vectors = await embed(("one", "two"), shelf.context(), shelf.library)
    assert np.allclose(vectors, [bag("one"), bag("two")], atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda data: data[4:],
        lambda data: data + data,
        lambda data: b"",
        lambda data: bytes(len(data)),
        lambda data: np.full(len(data) // 4, np.nan, "<f4").tobytes(),
        lambda data: np.full(len(data) // 4, np.inf, "<f4").tobytes(),
    ],
)
async def test_what_is_no_vector_is_an_error(shelf: Shelf, wrong: Callable[[bytes], bytes]) -> None:
    assert len(bag("x")) == DIMENSIONS
    shelf.ask.wrong = wrong
    with pytest.raises(ProviderError):
        await embed(("one",), shelf.context(), shelf.library)
