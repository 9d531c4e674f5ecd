"""Results: what a gateway checks about a result that an untrusted child wrote."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.knowledge.parse import Block, Page, Parsed, Refused
from tiffin.knowledge.parse.draft import Draft, listed
from tiffin.knowledge.parse.values import fault


def _parsed(text: str, pages: tuple[Page, ...] = (), blocks: tuple[Block, ...] = ()) -> Parsed:
    return Parsed(text, pages, blocks, None, "text")


@pytest.mark.parametrize(
    "wrong",
    [
        _parsed("   "),
        _parsed("abc", blocks=(Block("paragraph", 0, 4),)),
        _parsed("abc", blocks=(Block("paragraph", 1, 1),)),
        _parsed("abcdef", blocks=(Block("paragraph", 0, 4), Block("paragraph", 3, 5))),
        _parsed("abcdef", blocks=(Block("paragraph", 3, 5), Block("paragraph", 0, 2))),
        _parsed("abc", pages=(Page(1, 0, 9),)),
        _parsed("abc", pages=(Page(2, 0, 1), Page(1, 1, 2))),
    ],
)
def test_inconsistent_offsets_are_noticed(wrong: Parsed) -> None:
    assert fault(wrong) is not None


_kinds = st.sampled_from(("heading", "paragraph", "list_item", "table_row", "code"))
_steps = st.lists(st.one_of(st.tuples(_kinds, st.text(max_size=20)), st.just(None)), max_size=20)


@given(_steps)
def test_a_draft_is_right_by_construction_and_survives_the_wire(steps: list[tuple[str, str] | None]) -> None:
    draft, written, number = Draft(), [], 0
    for step in steps:
        if step is None:
            number += 1
            draft.page(number, f"Page {number}")
        else:
            draft.add(step[0], step[1])  # type: ignore[arg-type]
            written += [step[1].strip()] if step[1].strip() else []
    document = draft.finish("text", None)
    if not written:
        return
    assert fault(document) is None
    assert [document.text[b.start : b.end].strip() for b in document.blocks] == written
    decoder = msgspec.msgpack.Decoder(Parsed | Refused)
    try:
        assert decoder.decode(msgspec.msgpack.encode(document)) == document
    except UnicodeEncodeError:
        assert any("\ud800" <= char <= "\udfff" for char in document.text)


def test_page_lists_are_readable() -> None:
    assert listed([2]) == "2" and listed([2, 5, 7]) == "2, 5 and 7"
    assert listed(list(range(1, 40))).endswith("12 and others")
