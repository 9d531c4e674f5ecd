"""SSE framing survives any cut of the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.wire.sse import EVENT_BYTES_MAX, Reader, TooLong, render

text = st.text(st.characters(exclude_characters="\r", exclude_categories=("Cs",)), min_size=1)
names = st.sampled_from(["", "text", "done"])


@given(st.lists(st.tuples(names, text), max_size=8), st.integers(1, 17))
def test_what_is_rendered_is_read_back_however_it_is_cut(events: list[tuple[str, str]], step: int) -> None:
    stream = b"".join(render(data, name) for name, data in events)
    reader, seen = Reader(), []
    for start in range(0, len(stream), step):
        seen.extend(reader.feed(stream[start : start + step]))
    assert seen == events


def test_comments_and_crlf_are_understood() -> None:
    assert list(Reader().feed(b": ping\r\n\r\ndata: a\r\ndata: b\r\n\r\n")) == [("", "a\nb")]


def test_an_event_without_end_is_stopped() -> None:
    reader = Reader()
    with pytest.raises(TooLong):
        for _ in range(2 + EVENT_BYTES_MAX // (1 << 20)):
            list(reader.feed(b"x" * (1 << 20)))


def test_an_event_of_lines_without_end_is_stopped_too() -> None:
    reader, lines = Reader(), b"data: x\n" * (1 << 17)
    with pytest.raises(TooLong):
        for _ in range(2 + EVENT_BYTES_MAX // len(lines)):
            list(reader.feed(lines))


def test_a_name_without_data_names_nothing_later() -> None:
    assert list(Reader().feed(b"event: gone\n\ndata: a\n\n")) == [("", "a")]
