"""Outlook `.msg` files: the few streams that hold subject, people, date and body, read with olefile.

The established reader, extract-msg, is GPL. Property numbers are those of MS-OXPROPS.
"""

from __future__ import annotations

import io
import struct
from datetime import UTC, datetime, timedelta

import olefile

from tiffin.knowledge.parse.decode import decode
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.plain import parse_text
from tiffin.knowledge.parse.values import Parsed, Unreadable
from tiffin.knowledge.parse.web import declared_charset, write_html

_SUBJECT, _BODY, _HTML, _RTF, _CLASS = "0037", "1000", "1013", "1009", "001A"
_FROM_NAME, _FROM_MAIL, _TO, _CC, _BCC = "0C1A", "5D01", "0E04", "0E03", "0E02"
_ATTACHMENT_NAMES = ("3707", "3704", "3001")  # long name, short name, display name
_SENT_TAGS = (0x00390040, 0x0E060040)  # client submit time, delivery time; type 0x40 is a FILETIME
_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_TOP_HEADER_BYTES = 32  # bytes before the property rows of a top-level message (MS-OXMSG 2.4.1.1)
_ROW_BYTES = 16
_STREAM_MAX_BYTES = 32 * 1024 * 1024  # bytes of one stream; bodies are far smaller


def parse_msg(data: bytes) -> Parsed:
    """A message's visible parts; attachments are named, not read."""
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            return _read(ole)
    except (OSError, ValueError, IndexError, KeyError, TypeError, struct.error, RecursionError) as error:
        raise Unreadable("corrupt", "The Outlook message is damaged or cut off.") from error


def _read(ole: olefile.OleFileIO) -> Parsed:
    if "SMIME" in _string(ole, "", _CLASS).upper() and "MULTIPARTSIGNED" not in _string(ole, "", _CLASS).upper():
        raise Unreadable("encrypted", "The message is encrypted.")
    draft = Draft()
    subject = _string(ole, "", _SUBJECT)
    sender = " ".join(filter(None, (_string(ole, "", _FROM_NAME), _mail(_string(ole, "", _FROM_MAIL)))))
    shown = (
        ("From", sender),
        ("To", _string(ole, "", _TO)),
        ("Cc", _string(ole, "", _CC)),
        ("Bcc", _string(ole, "", _BCC)),
        ("Date", _sent(ole)),
        ("Subject", subject),
    )
    draft.add("paragraph", "\n".join(f"{name}: {' '.join(said.split())}" for name, said in shown if said.strip()))
    _write_body(ole, draft)
    names = _attachments(ole)
    for name in names:
        draft.add("paragraph", f"Attachment: {name}")
    if names:
        draft.note(f"The message carries {len(names)} attached {'file' if len(names) == 1 else 'files'}, not read.")
    if not draft.length:
        raise Unreadable("empty", "The message has no subject and no text.")
    return draft.finish("msg", subject or None)


def _write_body(ole: olefile.OleFileIO, draft: Draft) -> None:
    body = _string(ole, "", _BODY).replace("\r\n", "\n")
    if body.strip():
        for block in parse_text(body).blocks:
            draft.add(block.kind, body[block.start : block.end])
        return
    html = _bytes(ole, f"__substg1.0_{_HTML}0102") or b""
    if html.strip():
        write_html(decode(html, declared_charset(html)).text, draft)
    elif said := _string(ole, "", _HTML):
        write_html(said, draft)
    elif ole.exists(f"__substg1.0_{_RTF}0102"):
        draft.note("The message's body is stored as RTF only and was not read.")


def _mail(address: str) -> str:
    return f"<{address}>" if "@" in address else ""


def _bytes(ole: olefile.OleFileIO, path: str) -> bytes | None:
    if not ole.exists(path):
        return None
    with ole.openstream(path) as stream:
        return bytes(stream.read(_STREAM_MAX_BYTES))


def _string(ole: olefile.OleFileIO, folder: str, number: str) -> str:
    """A string property, stored wide (001F) or in some 8-bit code page (001E)."""
    wide = _bytes(ole, f"{folder}__substg1.0_{number}001F")
    if wide is not None:
        return wide.decode("utf-16-le", errors="replace").replace("\0", "")
    narrow = _bytes(ole, f"{folder}__substg1.0_{number}001E")
    return decode(narrow).text.replace("\0", "") if narrow else ""


def _sent(ole: olefile.OleFileIO) -> str:
    rows = (_bytes(ole, "__properties_version1.0") or b"")[_TOP_HEADER_BYTES:]
    found: dict[int, int] = {}
    for at in range(0, len(rows) - _ROW_BYTES + 1, _ROW_BYTES):
        tag, _, value = struct.unpack_from("<IIQ", rows, at)
        found[tag] = value
    for tag in _SENT_TAGS:
        if found.get(tag):
            try:
                sent = _FILETIME_EPOCH + timedelta(microseconds=found[tag] // 10)
            except OverflowError:
                continue
            return sent.strftime("%Y-%m-%d %H:%M UTC")
    return ""


def _attachments(ole: olefile.OleFileIO) -> list[str]:
    folders = sorted({path[0] for path in ole.listdir() if path[0].startswith("__attach_version1.0_")})
    names = []
    for folder in folders:
        found = (_string(ole, f"{folder}/", number) for number in _ATTACHMENT_NAMES)
        names.append(next((" ".join(name.split()) for name in found if name.strip()), "unnamed"))
    return names
