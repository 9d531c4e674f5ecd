"""Signed notes: the specification's own example, a real checkpoint, and no second spelling of anything."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.ledger.errors import NotVerified
from tiffin.ledger.note import Note, Signature, key_id, make_signer, open_note, parse_note, parse_vkey

# C2SP signed-note.md
VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "\u2014 quasimodo.example/salvatore "
    "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
)

names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+"), min_size=1).filter(
    lambda name: not any(c.isspace() for c in name)
)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n")).map(lambda text: text + "\n")
signatures = st.builds(Signature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80))


def test_the_specifications_example() -> None:
    verifier = parse_vkey(VKEY)
    assert verifier.vkey == VKEY
    assert open_note(NOTE, [verifier]).text == "This is an example message.\n"
    assert parse_note(NOTE).render() == NOTE


def test_a_text_with_empty_lines_splits_at_the_last() -> None:
    note = parse_note(POEM)
    assert note.text.count("\n\n") == 1 and note.render() == POEM


def test_a_key_has_another_id_under_another_type() -> None:
    material = base64.b64decode("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
    assert key_id("example.com/foo", 1, material[1:]).hex() == "530d903a"
    assert key_id("example.com/foo", 4, material[1:]) != key_id("example.com/foo", 1, material[1:])


def test_every_flipped_bit_of_a_note_is_noticed() -> None:
    verifier = parse_vkey(VKEY)
    whole = NOTE.encode()
    for position in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises((NotVerified, UnicodeDecodeError)):
            open_note(flipped.decode(), [verifier])


def test_every_flipped_character_of_a_vkey_is_noticed() -> None:
    for position in range(VKEY.index("+"), len(VKEY)):
        for bit in range(7):
            flipped = VKEY[:position] + chr(ord(VKEY[position]) ^ 1 << bit) + VKEY[position + 1 :]
            with pytest.raises(NotVerified):
                parse_vkey(flipped)


def test_signatures_of_unknown_keys_are_ignored_and_of_known_ones_never() -> None:
    signer, stranger = make_signer("log.example", b"a" * 32), make_signer("log.example", b"b" * 32)
    text = "hello\n"
    mine, theirs = signer.sign(text), stranger.sign(text)
    assert open_note(Note(text, (theirs, mine)).render(), [signer.verifier]).signatures == (theirs, mine)
    forged = Signature(signer.name, signer.verifier.id, theirs.blob)
    for note in (Note(text, (theirs,)), Note(text, (forged,)), Note(text, (mine, forged))):
        with pytest.raises(NotVerified):
            open_note(note.render(), [signer.verifier])
    assert open_note(Note(text, (mine,) * 16).render(), [signer.verifier])


@given(texts, st.lists(signatures, min_size=1, max_size=20))
def test_notes_survive_rendering(text: str, signed: list[Signature]) -> None:
    note = Note(text, tuple(signed))
    assert parse_note(note.render()) == note


@given(names, st.binary(min_size=32, max_size=32))
def test_vkeys_survive_rendering(name: str, seed: bytes) -> None:
    verifier = make_signer(name, seed).verifier
    assert parse_vkey(verifier.vkey) == verifier


@given(st.text())
def test_garbage_is_refused_in_one_way(text: str) -> None:
    for parse in (parse_note, parse_vkey):
        with pytest.raises(NotVerified):
            parse(text)


@pytest.mark.parametrize("name", ["", "a+b", "a b", "a\u2003b", "a\nb"])
def test_names_that_notes_cannot_carry(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a key"):
        make_signer(name, b"s" * 32)
