"""A receipt: its entry fits the log, is canonical and names nobody; its payload is the one that it commits to."""

from __future__ import annotations

import hashlib
import json
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel import limits
from tiffin.kernel.calls import Ask, Call, Chat, Ingest, NewDocument, Retrieve, Sampling
from tiffin.kernel.errors import NotFound
from tiffin.kernel.parts import (
    Citation,
    Decided,
    DocumentResult,
    Event,
    Finish,
    Found,
    Hit,
    SentenceDone,
    TextDelta,
    Usage,
    UsageSeen,
    message,
)
from tiffin.kernel.people import ApiKey, Caller, Delegation, Grant
from tiffin.kernel.receipt import Receipt, Target, canonical, check_payload, commit, receipt_id, unknown, utc

NOW = 1_764_000_000_123_456_789
ALICE = Caller("key_1", "Alice", "default", "admin")
VERSIONS = {"tiffin": "0", "policy": "p1"}
QUESTION = Ask("trials", "What is Jane Roe's dose?", "m", sampling=Sampling(temperature=0.5, seed=3))


def receipt(call: Call, *events: Event, credential: object = ApiKey("k")) -> Receipt:
    made = Receipt(call, ALICE, credential, NOW)
    for event in events:
        made.see(event)
    made.closed_ns = NOW + 5_000_000
    return made


def hit(number: int, collection: str = "trials") -> Hit:
    return Hit(collection, f"d{number}", "t", 1, str(number), 0.5, f"text {number}", 1, 0, 9)


def cited(number: int) -> SentenceDone:
    return SentenceDone("s", True, (Citation("trials", "secret.pdf", "t", 1, 1, number, number + 3, "quote", 0.5),))


@given(
    st.recursive(
        st.none() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
        max_leaves=20,
    )
)
def test_canonical_json_is_what_a_stranger_gets_with_sorted_keys_and_no_spaces(value: object) -> None:
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(canonical(value)) == json.loads(plain)
    assert canonical(json.loads(canonical(value))) == canonical(value)
    assert b" " not in canonical({"b": 1, "a": [1, 2]}) and canonical({"b": 1, "a": 2}) == b'{"a":2,"b":1}'


def test_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    ids = [receipt_id(NOW + step * 1_000_000) for step in range(50)]
    assert ids == sorted(ids) and len(set(ids)) == 50
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in ids)
    assert uuid.UUID(ids[0]).int >> 80 == NOW // 1_000_000


def test_times_are_rfc_3339_in_utc() -> None:
    assert utc(NOW) == "2025-11-24T16:00:00.123457Z"


def test_the_entry_is_canonical_and_names_nobody() -> None:
    events = (TextDelta("Jane takes 40 mg."), cited(1), UsageSeen(Usage(3, 4)), Finish())
    made = receipt(QUESTION, *events, credential=ApiKey("k", ("p-17",)))
    made.conclude()
    entry = made.entry(VERSIONS)
    assert canonical(msgspec.json.decode(entry)) == entry
    for secret in (b"Jane", b"Alice", b"p-17", b"secret.pdf", b"quote", b"40 mg"):
        assert secret not in entry and secret not in made.intent()
    shown = msgspec.json.decode(entry)
    assert shown["parameters"] == {"temperature": "0.5", "seed": 3} and shown["outcome"] == "completed"
    assert shown["usage"]["output_tokens"] == 4 and shown["duration_us"] == 5_000
    assert check_payload(entry, made.payload()) is None and b"Jane" in made.payload()


@pytest.mark.parametrize("count", [255, 2_000])
def test_an_entry_fits_the_log_however_many_sources_it_stands_on(count: int) -> None:
    wide = "Ł" * limits.NAME_CHARS_MAX
    made = receipt(Retrieve(wide, "q"), Found(tuple(hit(n, wide) for n in range(count))), Finish())
    entry = made.entry(VERSIONS)
    assert len(entry) <= limits.ENTRY_BYTES_MAX and canonical(msgspec.json.decode(entry)) == entry
    assert msgspec.json.decode(entry)["sources"]["count"] == count
    assert check_payload(entry, made.payload()) is None


def test_an_entry_fits_the_log_however_much_was_decided() -> None:
    made = receipt(QUESTION, *(Decided("guard", "withheld", "rule", "why " * 500) for _ in range(100)), Finish())
    entry = made.entry(VERSIONS)
    assert len(entry) <= limits.ENTRY_BYTES_MAX
    assert msgspec.json.decode(entry)["decisions"]["count"] == 100


def test_the_callers_own_words_stay_out_of_the_entry_even_as_parameters() -> None:
    stop = tuple(f"Jane Roe {n}" * 1_000 for n in range(200))
    made = receipt(Chat("m", (message("user", "x"),), Sampling(stop=stop, max_tokens=5)), Finish())
    entry = made.entry(VERSIONS)
    assert msgspec.json.decode(entry)["parameters"] == {"max_tokens": 5, "stop": 200} and b"Jane" not in entry


def test_the_digest_of_a_quote_cannot_be_guessed_without_the_salt() -> None:
    made = receipt(QUESTION, cited(1), Finish())
    (source,) = msgspec.json.decode(made.entry(VERSIONS))["sources"]
    salt = bytes.fromhex(msgspec.json.decode(made.payload())["salt"])
    (sentence,) = msgspec.json.decode(made.payload())["response"]["sentences"]
    quote = sentence["citations"][0]["quote"].encode()
    assert source["digest"] == commit(salt, quote) != hashlib.sha256(quote).hexdigest()


def test_documents_taken_in_are_named_by_salted_digest() -> None:
    """A bare digest in a public tile would let anybody test a guess of the document."""
    documents = tuple(NewDocument(f"patient-{n}", "00", text="t", subjects=("jane",)) for n in range(3))
    results = (DocumentResult(d.id, "ingested", 1, 1, f"{n:064x}") for n, d in enumerate(documents))
    made = receipt(Ingest("c", documents), *results, Finish())
    entry = msgspec.json.decode(made.entry(VERSIONS))
    salt = bytes.fromhex(msgspec.json.decode(made.payload())["salt"])
    assert [source["digest"] for source in entry["sources"]] == [commit(salt, f"{n:064x}".encode()) for n in range(3)]
    assert b"patient" not in made.entry(VERSIONS) and made.subjects == ("jane",)


def test_a_clock_that_is_set_back_makes_no_negative_time() -> None:
    made = receipt(QUESTION, Finish())
    made.closed_ns = NOW - 10**12
    assert msgspec.json.decode(made.entry(VERSIONS))["duration_us"] == 0


def test_what_was_not_seen_is_not_claimed() -> None:
    made = receipt(QUESTION, TextDelta("half"))
    assert made.conclude() is False and made.outcome == "truncated"
    refused = receipt(QUESTION, Finish("refused", "nothing found"))
    assert refused.conclude() is True and refused.outcome == "refused"
    failed = receipt(QUESTION)
    error = NotFound("No such thing.")
    failed.fail("refused", error)
    assert error.receipt == failed.id and msgspec.json.decode(failed.entry(VERSIONS))["error"] == "not_found"


def test_a_call_inside_another_is_about_the_same_people() -> None:
    grant = Grant(ALICE, frozenset({"ask"}))
    made = receipt(QUESTION, credential=Delegation(grant, "parent-id", ("p-17",)))
    assert made.parent == "parent-id" and made.subjects == ("p-17",)


def test_the_seed_comes_from_the_id_and_fits_every_engine() -> None:
    made = receipt(QUESTION)
    assert made.seed == made.seed and 0 <= made.seed < 2**31


def test_an_open_intent_is_closed_as_unknown_and_claims_nothing() -> None:
    made = receipt(QUESTION, credential=ApiKey("k", tuple(f"person {n}" for n in range(900))))
    made.target = Target("m", "local", "m", "ab" * 32)
    assert len(made.intent()) < 1_000
    record = unknown(made.intent(), NOW + 10**9, VERSIONS)
    entry = msgspec.json.decode(record.entry)
    assert (record.id, entry["id"], entry["outcome"], entry["error"]) == (made.id, made.id, "unknown", None)
    assert entry["usage"]["output_tokens"] == 0 and entry["model"]["name"] == "m" and entry["time"] == utc(NOW)
    assert canonical(entry) == record.entry and check_payload(record.entry, record.payload) is None


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"[" * 100_000, b'{"salt":"zz"}', b'{"salt":1,"request":1,"response":1}', b"\xff"]
)
def test_a_payload_that_is_none_is_said_to_be(payload: bytes) -> None:
    assert "cannot be read" in str(check_payload(receipt(QUESTION).entry(VERSIONS), payload))


@pytest.mark.parametrize(("old", "new", "half"), [(b"Jane", b"John", "request"), (b"half", b"full", "response")])
def test_a_payload_that_was_changed_is_noticed(old: bytes, new: bytes, half: str) -> None:
    made = receipt(QUESTION, TextDelta("half"))
    problem = check_payload(made.entry(VERSIONS), made.payload().replace(old, new))
    assert problem and half in problem
