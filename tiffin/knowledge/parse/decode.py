"""Bytes to text: byte-order marks first, then strict UTF-8, then what the bytes look like; never a silent guess.

Short texts that are not UTF-8 are read as Windows-1252, because statistics mistake them for its neighbours below about
200 bytes. A guess is said in a note. Bytes that look like no text at all are refused rather than turned into noise.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

from tiffin.knowledge.parse.values import Unreadable

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SHORT_BYTES = 200  # bytes; below this, statistics about letters mean little
_SAMPLE_BYTES = 64 * 1024  # bytes shown to the guesser; more changes nothing and costs time
_CONTROL_SHARE_MAX = 0.02  # share of control characters above which bytes are no text
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")
_CANDIDATES = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2",
    "iso8859_5", "iso8859_7", "iso8859_9", "iso8859_15", "koi8_r", "cp437", "cp850", "cp037", "cp500", "mac_roman",
    "cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "tis_620", "utf_16_le", "utf_16_be",
]  # fmt: skip


@dataclass(frozen=True)
class Decoded:
    """Text, the name of its encoding, whether that was guessed, and how many bytes could not be read in it."""

    text: str
    encoding: str
    guessed: bool
    lost: int = 0

    @property
    def notes(self) -> list[str]:
        """The sentences for the reader where the encoding was a guess or some bytes are not valid in it."""
        told = [f"The file does not say its text encoding; it was read as {self.encoding}."] if self.guessed else []
        if self.lost:
            told.append(f"{self.lost} characters are damaged and shown as \ufffd.")
        return told


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """Give the text of `data`; `declared` is an encoding that the format itself names (HTML meta, mail charset)."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            return Decoded(_strictly(data, name), name, guessed=False)
    wide = _utf16_without_mark(data)
    if wide is not None:
        return wide
    if declared is not None and (known := _try(data, declared)) is not None:
        return Decoded(known, declared.lower(), guessed=False)
    plain = _try(data, "utf-8")
    if plain is not None:
        _refuse_noise(plain)
        return Decoded(plain, "utf-8", guessed=False)
    return _guess(data)


def _strictly(data: bytes, name: str) -> str:
    text = _try(data, name)
    if text is None:
        raise Unreadable("corrupt", f"The file starts as {name.upper()} text but is not valid in that encoding.")
    return text


def _try(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(name)
        text.encode("utf-8")  # some codecs let lone surrogates through, which no store can hold
    except (UnicodeError, LookupError, ValueError):
        return None
    return text


def _utf16_without_mark(data: bytes) -> Decoded | None:
    """Recognise UTF-16 of mostly Latin text by the zeros in every second byte."""
    head = data[:4096]
    if len(head) < 4 or len(head) % 2:
        head = head[: len(head) // 2 * 2]
    pairs = len(head) // 2
    if pairs < 2 or b"\0" not in head:
        return None
    low, high = head[0::2].count(0) / pairs, head[1::2].count(0) / pairs
    name = "utf-16-le" if high > 0.7 and low < 0.1 else "utf-16-be" if low > 0.7 and high < 0.1 else None
    if name is None or (text := _try(data, name)) is None:
        return None
    return Decoded(text, name, guessed=False)


def _refuse_noise(text: str) -> None:
    sample = text[:_SAMPLE_BYTES]
    if len(_CONTROLS.findall(sample)) > _CONTROL_SHARE_MAX * len(sample):
        raise Unreadable("unsupported", "The file is neither text nor a document format that Tiffin reads.")


def _guess(data: bytes) -> Decoded:
    if (damaged := _utf8_with_damage(data)) is not None:
        return damaged
    if len(data) < _SHORT_BYTES:
        name = "cp1252" if _try(data, "cp1252") is not None else "latin-1"
    else:
        name = _likeliest(_whole_lines(data))
    text = data.decode(name, errors="replace")  # the guess saw a sample: bytes past it may not fit
    _refuse_noise(text)
    return Decoded(text, name, guessed=True, lost=text.count("\ufffd"))


def _likeliest(sample: bytes) -> str:
    """The guesser's best, but Windows-1252 where that reads about as well: its rarer neighbours win too often."""
    matches = from_bytes(sample, cp_isolation=_CANDIDATES)
    best = matches.best()
    if best is None:
        raise Unreadable("unsupported", "The file is neither text nor a document format that Tiffin reads.")
    western = next((m for m in matches if "cp1252" in m.could_be_from_charset), None)
    if western is not None and western.chaos <= best.chaos + 0.02 and western.coherence >= best.coherence:
        return "cp1252"
    return best.encoding


def _utf8_with_damage(data: bytes) -> Decoded | None:
    """Keep UTF-8 for a file of which only a few bytes are bad, instead of turning every accent into two letters."""
    text = data.decode("utf-8", errors="replace")
    lost = text.count("\ufffd")
    good = sum(1 for char in text[:_SAMPLE_BYTES] if char > "\x7f") - lost
    if good < 10 * lost:
        return None
    _refuse_noise(text)
    return Decoded(text, "utf-8", guessed=False, lost=lost)


def _whole_lines(data: bytes) -> bytes:
    """A sample that ends at a line end, so that no character of several bytes is cut."""
    if len(data) <= _SAMPLE_BYTES:
        return data
    end = data.rfind(b"\n", 0, _SAMPLE_BYTES)
    return data[: end + 1 if end > 0 else _SAMPLE_BYTES]
