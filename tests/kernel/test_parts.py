"""Values that travel: they are frozen, tagged, and survive being written down."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.kernel.parts import Event, Message, Text, TextDelta, Usage, message

usages = st.builds(Usage, *[st.integers(0, 10**9)] * 3)


@given(usages, usages)
def test_usage_adds_up(one: Usage, other: Usage) -> None:
    assert one + other == other + one
    assert one + Usage() == one
    assert (one + other).output_tokens == one.output_tokens + other.output_tokens


def test_a_message_is_the_text_of_its_parts() -> None:
    assert Message("user", (Text("a"), Text("b"))).text == "ab"
    assert message("user", "x").parts == (Text("x"),)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        TextDelta("a").text = "b"  # type: ignore[misc]


def test_an_unknown_event_is_an_error() -> None:
    assert msgspec.json.decode(msgspec.json.encode(TextDelta("a")), type=Event) == TextDelta("a")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"surprise"}', type=Event)
