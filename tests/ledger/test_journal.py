"""The journal's bytes: every record survives, every cut is a torn tail, every other change is damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.ledger.disk import Disk
from tiffin.ledger.errors import LedgerDamaged, TooLarge
from tiffin.ledger.journal import (
    HEADER_BYTES,
    Bad,
    Close,
    Frame,
    Head,
    Intent,
    Journal,
    Record,
    Torn,
    decode_records,
    encode_frame,
    encode_record,
    read_journal,
    read_segment,
    segment_name,
)

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
records = st.one_of(
    st.builds(Head, ids, st.integers(0, 2**63)),
    st.builds(Intent, ids, st.binary(max_size=100)),
    st.builds(Close, st.integers(0, 2**63), ids, st.binary(max_size=100), st.binary(max_size=300)),
)
NAME = segment_name(5)


def body(parts: list[Record]) -> bytes:
    return b"".join(encode_record(record) for record in parts)


@given(st.lists(records, max_size=8))
def test_records_survive(parts: list[Record]) -> None:
    assert decode_records(body(parts)) == parts


@given(st.binary(max_size=60))
def test_any_bytes_are_records_in_one_way_or_not_at_all(data: bytes) -> None:
    try:
        found = decode_records(data)
    except ValueError:
        return
    assert body(found) == data


@given(st.lists(st.lists(records, max_size=3), min_size=1, max_size=4), st.data())
def test_frames_survive_and_a_cut_is_torn_and_a_flip_is_bad(frames: list[list[Record]], data: st.DataObject) -> None:
    encoded = [encode_frame(5 + number, body(parts)) for number, parts in enumerate(frames)]
    whole = b"".join(encoded)
    assert [list(frame.records) for frame in read_segment(NAME, whole) if isinstance(frame, Frame)] == frames
    last = len(whole) - len(encoded[-1])
    cut = data.draw(st.integers(last + 1, len(whole) - 1))
    *before, torn = read_segment(NAME, whole[:cut])
    assert len(before) == len(frames) - 1 and torn == Torn(NAME, last, whole[last:cut])
    flipped = bytearray(whole)
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(list(read_segment(NAME, bytes(flipped)))[-1], Bad)


def test_a_tail_of_zeros_is_torn_and_one_of_anything_else_is_not() -> None:
    whole = encode_frame(5, body([Head("o", 0)]))
    for length in (1, HEADER_BYTES, 5_000):
        assert isinstance(list(read_segment(NAME, whole + bytes(length)))[-1], Torn)
    for tail in (b"x", b"\0" * 5_000 + b"x", b"TFJx", b"x" * 100):
        assert isinstance(list(read_segment(NAME, whole + tail))[-1], Bad), tail[:4]
    assert isinstance(list(read_segment(NAME, whole + encode_frame(7, b"")))[-1], Bad)


def test_bounds() -> None:
    encode_record(Close(0, "i" * 255, bytes(65_535), b""))
    large = bytes(65_536)
    for record in (Close(0, "i", large, b""), Intent("i", large), Intent("", b""), Intent("i" * 256, b"")):
        with pytest.raises(TooLarge):
            encode_record(record)


def journal(folder: Path, finished: list | None = None) -> Journal:
    made = Journal(folder, log="log", origin="o", disk=Disk())
    made.begin(0, 0, [], finished or [])
    return made


def test_segments_turn_over_and_go_when_covered(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.append(body([Intent("a", b"1"), Intent("b", b"2"), Close(0, "a", b"e", b"s")]))
    written.rotate(1, [Intent("b", b"2")])
    written.append(body([Close(1, "c", b"e", b"s")]))
    written.rotate(2, [Intent("b", b"2")])
    found = read_journal(tmp_path, log="log", origin="o", size=1)
    assert (found.first_index, found.next_index, found.next_sequence) == (0, 2, 5)
    assert [close.index for close in found.closes] == [1] and found.intents == {"b": b"2"}
    for size, left in ((0, 3), (1, 2), (1, 2), (2, 1), (9, 1)):
        written.drop_covered(size)
        assert len(list(tmp_path.iterdir())) == left
        assert read_journal(tmp_path, log="log", origin="o", size=size).intents == {"b": b"2"}
    written.close()


def test_what_does_not_follow_is_damage(tmp_path: Path) -> None:
    heads = [Head("o", 0)]
    cases: list[list[tuple[int, list[Record]]]] = [
        [(0, [Intent("a", b"")])],
        [(0, [Head("other", 0)])],
        [(0, [*heads, Head("o", 0)])],
        [(0, [*heads, Close(1, "a", b"", b"")])],
        [(0, heads), (2, heads)],
        [(0, [*heads, Close(0, "a", b"", b"")]), (1, heads)],
    ]
    for number, segments in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        for sequence, parts in segments:
            (folder / segment_name(sequence)).write_bytes(encode_frame(sequence, body(parts)))
        with pytest.raises(LedgerDamaged):
            read_journal(folder, log="log", origin="o", size=0)
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / segment_name(0)).write_bytes(encode_frame(0, body(heads))[:-1])
    assert read_journal(torn, log="log", origin="o", size=0).torn is not None
    (torn / segment_name(1)).write_bytes(encode_frame(1, body(heads)))
    with pytest.raises(LedgerDamaged):
        read_journal(torn, log="log", origin="o", size=0)
