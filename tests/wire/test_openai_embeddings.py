"""The OpenAI embeddings format, both ways."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel.calls import Embed
from tiffin.kernel.errors import Invalid, ProviderError
from tiffin.kernel.parts import Embedded, Usage
from tiffin.wire.openai_embeddings import parse_request, parse_response, render_request, render_response

texts = st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30), min_size=1, max_size=5)
floats = st.floats(-1, 1, width=32)


@given(texts)
def test_a_call_survives_the_wire(inputs: list[str]) -> None:
    call = Embed("minilm", tuple(inputs))
    parsed = parse_request(json.dumps(render_request(call, model="minilm")).encode())
    assert (parsed.call, parsed.as_floats) == (call, False)


@given(st.integers(1, 4), st.integers(1, 6), st.data(), st.booleans())
def test_vectors_survive_the_wire_exactly(count: int, dimensions: int, data: st.DataObject, as_floats: bool) -> None:
    values = data.draw(st.lists(floats, min_size=count * dimensions, max_size=count * dimensions))
    embedded = Embedded(struct.pack(f"<{len(values)}f", *values), dimensions, count)
    body = render_response(embedded, Usage(7), model="m", as_floats=as_floats)
    assert isinstance(body["data"][0]["embedding"], list if as_floats else str)
    assert parse_response(json.dumps(body).encode()) == (embedded, Usage(7))


@pytest.mark.parametrize("wrong", [[], "", [""], [1, 2], [["a"]], None, ["x"] * 3000])
def test_bad_input_is_refused(wrong: object) -> None:
    with pytest.raises(Invalid):
        parse_request(json.dumps({"model": "m", "input": wrong}).encode())


def test_unknown_fields_are_refused_by_name() -> None:
    with pytest.raises(Invalid, match="frobnicate"):
        parse_request(b'{"model":"m","input":"x","frobnicate":1}')


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"data":[]}', b'{"data":[{"embedding":"***"}]}', b'{"data":[{"embedding":[1]},{"embedding":[1,2]}]}'],
)
def test_a_strange_answer_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(ProviderError):
        parse_response(body)
