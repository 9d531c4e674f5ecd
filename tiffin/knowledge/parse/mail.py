"""E-mail files: the headers a reader sees, the body in its plain form or else from HTML, and attachments by name.

Attached files are not opened: they are other documents. Encrypted mail is refused, because the standard library gives
it an empty body without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, message_from_string, policy
from email.errors import MessageError
from email.message import Message

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.decode import decode
from tiffin.knowledge.parse.draft import Draft
from tiffin.knowledge.parse.plain import parse_text
from tiffin.knowledge.parse.values import Parsed, Unreadable
from tiffin.knowledge.parse.web import write_html

_SHOWN = ("From", "To", "Cc", "Bcc", "Date", "Subject")
_SEALED = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_BREAKS = (MessageError, LookupError, ValueError, AttributeError, TypeError, IndexError, UnicodeError)
_RAW_BYTES = re.compile("[\udc80-\udcff]")  # how the email package keeps bytes that are no ASCII
_PARTS_MAX = 2_000  # parts of one message; a real one has tens


def parse_mail(data: bytes, text: str) -> Parsed:
    """A message, from its bytes, or from its text where the file itself is in UTF-16 or UTF-32."""
    try:
        wide = b"\0" in data[:1024]
        rules = policy.default
        message = message_from_string(text, policy=rules) if wide else message_from_bytes(data, policy=rules)
        draft = Draft()
        _write_message(message, draft, depth=0)
    except RecursionError as error:
        raise Unreadable("corrupt", "The message nests more messages or parts than mail programs allow.") from error
    subject = _header(message, "Subject")
    if not draft.length:
        raise Unreadable("empty", "The message has no headers and no text.")
    return draft.finish("email", subject or None)


def _write_message(message: Message, draft: Draft, *, depth: int) -> None:
    if depth > limits.MAIL_MAX_DEPTH:
        raise Unreadable("corrupt", "The message nests more messages than mail programs allow.")
    _refuse_sealed(message)
    head = [f"{name}: {said}" for name in _SHOWN if (said := _header(message, name))]
    draft.add("paragraph", "\n".join(head))
    names: list[str] = []
    plain: list[Message] = []
    rich: list[Message] = []
    inner: list[Message] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        if kind == "message/rfc822":
            inner.append(part)
        elif part.get_content_disposition() == "attachment" or not kind.startswith("text/"):
            if name := _attachment_name(part):
                names.append(name)
        elif kind == "text/html":
            rich.append(part)
        else:
            plain.append(part)
    bodies = [text for part in plain if (text := _content(part)).strip()]
    if bodies:
        for body in bodies:
            _write_text(body, draft)
    else:
        for part in rich:
            write_html(_content(part), draft)
    for name in names:
        draft.add("paragraph", f"Attachment: {name}")
    if names:
        draft.note(f"The message carries {len(names)} attached {'file' if len(names) == 1 else 'files'}, not read.")
    for part in inner:
        _write_inner(part, draft, depth=depth)


def _write_inner(part: Message, draft: Draft, *, depth: int) -> None:
    payload = part.get_payload()
    for message in payload if isinstance(payload, list) else []:
        if isinstance(message, Message):
            draft.add("heading", "Forwarded message")
            _write_message(message, draft, depth=depth + 1)


def _refuse_sealed(message: Message) -> None:
    kind = message.get_content_type()
    if kind == "multipart/encrypted":
        raise Unreadable("encrypted", "The message is encrypted.")
    if kind in _SEALED:
        if str(message.get_param("smime-type", "")).lower() in ("signed-data", "certs-only"):
            raise Unreadable("unsupported", "The message is sealed in a signature; save it from the mail program.")
        raise Unreadable("encrypted", "The message is encrypted.")


def _leaves(message: Message) -> Iterator[Message]:
    """Parts with content, in order, without entering attached messages and without recursion."""
    stack: list[Message] = [message]
    seen = 0
    while stack:
        part = stack.pop()
        seen += 1
        if seen > _PARTS_MAX:
            raise Unreadable("too_large", f"The message has more than {_PARTS_MAX:,} parts.")
        payload = part.get_payload()
        if part.get_content_type() != "message/rfc822" and isinstance(payload, list):
            stack.extend(inner for inner in reversed(payload) if isinstance(inner, Message))
        else:
            yield part


def _header(message: Message, name: str) -> str:
    try:
        value = message.get(name)
        said = "" if value is None else str(value)
    except _BREAKS:  # the standard library raises many kinds over malformed headers; the rest of the mail is still good
        raw = next((v for k, v in message.raw_items() if k.lower() == name.lower()), "")
        said = str(raw)
    return _storable(" ".join(said.split()))


def _attachment_name(part: Message) -> str:
    try:
        name = part.get_filename()
    except _BREAKS:
        name = None
    return _storable(" ".join((name or part.get_content_type()).split()))[: limits.DETAIL_MAX_CHARS]


def _content(part: Message) -> str:
    """A part's text: by its declared charset, else by what its bytes look like."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return _storable(str(payload or ""))
    raw = part.get_payload()
    if isinstance(raw, str) and not raw.isascii() and not _RAW_BYTES.search(raw):
        return raw  # the file was wide text, so the payload is text already
    charset = part.get_content_charset()
    return decode(payload, charset).text if payload.strip() else ""


def _write_text(body: str, draft: Draft) -> None:
    body = body.replace("\r\n", "\n")
    parsed = parse_text(body)
    for block in parsed.blocks:
        draft.add(block.kind, body[block.start : block.end])


def _storable(text: str) -> str:
    """Raw bytes in a header come as lone surrogates, which no store can hold."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
