"""Encodings: marks, declarations, guesses, and bytes that are no text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.knowledge.parse.decode import decode
from tiffin.knowledge.parse.values import Unreadable

GERMAN = "Die Prüfärztin meldet jedes schwerwiegende unerwünschte Ereignis binnen zwei Tagen. Größte Dosis: achtzig. "
SPANISH = "El médico español firmó el consentimiento; la señora Muñoz visitó la clínica el año pasado. "
POLISH = "Lekarz prowadzący musi zgłosić każde ciężkie zdarzenie niepożądane. Żółć, łąka, źdźbło, ćma, ośmiornica. "
RUSSIAN = "Врач должен сообщить о нежелательном явлении в течение суток; пациент подписал согласие. "
JAPANESE = "治験責任医師は、重篤な有害事象を二十四時間以内に報告しなければならない。最大用量は八十ミリグラムです。"
CHINESE = "研究者必须在二十四小时内报告严重不良事件。最大日剂量为八十毫克。"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_unicode_is_certain(encoding: str) -> None:
    decoded = decode(GERMAN.encode(encoding))
    assert decoded.text == GERMAN and not decoded.notes


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "cp1252"),
        (SPANISH, "cp1252"),
        (POLISH, "cp1250"),
        (RUSSIAN, "cp1251"),
        (JAPANESE, "cp932"),
        (CHINESE, "gb18030"),
    ],
)
def test_older_encodings_are_guessed_and_said(text: str, encoding: str) -> None:
    decoded = decode((text * 4).encode(encoding))
    assert decoded.text == text * 4
    assert decoded.notes and encoding in decoded.notes[0]


def test_short_texts_are_western() -> None:
    assert decode("Größe: 5 µm".encode("cp1252")).text == "Größe: 5 µm"


def test_few_bad_bytes_do_not_turn_a_text_into_another_encoding() -> None:
    decoded = decode((GERMAN * 5).encode() + b"\xff" + GERMAN.encode())
    assert decoded.encoding == "utf-8" and decoded.lost == 1
    assert decoded.notes == ["1 characters are damaged and shown as \ufffd."]


def test_noise_is_no_text() -> None:
    with pytest.raises(Unreadable) as raised:
        decode(bytes((n * 167 + n // 7) % 256 for n in range(3000)))
    assert raised.value.reason == "unsupported"


@given(st.binary(max_size=400))
def test_any_bytes_give_storable_text_or_a_reason(data: bytes) -> None:
    try:
        decode(data).text.encode("utf-8")
    except Unreadable as error:
        assert error.detail.endswith(".")
