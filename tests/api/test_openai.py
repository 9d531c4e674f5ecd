"""The official client, unchanged, against a running Tiffin."""

from __future__ import annotations

import json

import openai
import pytest
from openai import OpenAI

from tests.server import Server

LEAVES = "The maple drops its leaves in October. The larch is a conifer that turns yellow and drops its needles."


@pytest.fixture
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0)


def test_models_are_listed(client: OpenAI, server: Server) -> None:
    server.add("trees", a=LEAVES)
    names = {model.id for model in client.models.list()}
    assert {"default", "smollm2", "minilm", "rag:trees"} <= names
    assert client.models.retrieve("smollm2").id == "smollm2"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


def test_a_chat_is_answered(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="default", messages=[{"role": "user", "content": "Name a colour."}], max_tokens=12, temperature=0
    )
    assert answer.choices[0].message.content
    assert answer.usage and answer.usage.prompt_tokens > 0 and 0 < answer.usage.completion_tokens <= 12


def test_a_stream_is_the_same_answer_in_pieces(client: OpenAI) -> None:
    def asked(**more):
        return client.chat.completions.create(
            model="smollm2",
            messages=[{"role": "user", "content": "Count from one to five."}],
            max_tokens=24,
            temperature=0,
            seed=7,
            **more,
        )

    chunks = list(asked(stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert len(chunks) > 5 and text == asked().choices[0].message.content
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 0
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")


def test_a_json_schema_is_kept(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "legs": {"type": "integer", "enum": [2, 4, 6, 8]}},
        "required": ["name", "legs"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Describe a spider as JSON."}],
        response_format={"type": "json_schema", "json_schema": {"name": "animal", "strict": True, "schema": schema}},
        max_tokens=80,
    )
    animal = json.loads(answer.choices[0].message.content or "")
    assert set(animal) == {"name", "legs"} and animal["legs"] in (2, 4, 6, 8)


def test_embeddings_as_base64_and_as_floats_are_the_same(client: OpenAI) -> None:
    texts = ["a cat", "a dog", "the stock market"]
    packed = [d.embedding for d in client.embeddings.create(model="minilm", input=texts).data]
    floats = [d.embedding for d in client.embeddings.create(model="minilm", input=texts, encoding_format="float").data]
    for one, other in zip(packed, floats, strict=True):
        assert len(one) == 384 and one == pytest.approx(other, abs=1e-6)

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert cosine(packed[0], packed[1]) > cosine(packed[0], packed[2])


def test_a_collection_is_a_model(client: OpenAI, server: Server) -> None:
    server.add("larches", a=LEAVES)
    messages = [{"role": "user", "content": "Which conifer drops its needles?"}]
    answer = client.chat.completions.create(model="rag:larches", messages=messages)
    message = answer.choices[0].message
    cited = message.annotations[0].file_citation
    assert cited["quote"] in LEAVES and LEAVES[cited["start"] : cited["end"]] == cited["quote"]
    chunks = list(client.chat.completions.create(model="rag:larches", messages=messages, stream=True))
    assert "larch" in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"model": "gpt-17"}, openai.NotFoundError, "smollm2"),
        ({"model": "minilm"}, openai.BadRequestError, "cannot chat"),
        ({"model": "rag:nowhere"}, openai.NotFoundError, "nowhere"),
        ({"temperature": 9}, openai.BadRequestError, "temperature"),
        ({"n": 3}, openai.BadRequestError, "'n'"),
        ({"messages": [{"role": "user", "content": "word " * 40_000}]}, openai.BadRequestError, "context"),
    ],
)
def test_bad_requests_are_clear_and_leave_a_receipt(client: OpenAI, change, error, says: str) -> None:
    wanted = {"model": "default", "messages": [{"role": "user", "content": "hi"}]} | change
    with pytest.raises(error) as raised:
        client.chat.completions.create(**wanted)
    assert says in raised.value.message
    assert raised.value.response.headers["tiffin-receipt"]


def test_a_wrong_key_is_refused_in_openais_shape(server: Server) -> None:
    with pytest.raises(openai.AuthenticationError) as raised:
        OpenAI(base_url=f"{server.url}/v1", api_key="sk-wrong").models.list()
    assert raised.value.code == "invalid_api_key"


def test_the_prefix_with_the_vendors_name_works_too(server: Server) -> None:
    assert OpenAI(base_url=f"{server.url}/openai/v1", api_key=server.key).models.list().data
