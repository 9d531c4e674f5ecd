"""One file's bytes to `Parsed` or `Refused`: sniff, choose the parser, and turn every failure into one plain reason.

Runs in the forked child. Python's own failures end here as values; what kills the process is judged by the zygote.
"""

from __future__ import annotations

import msgspec
from lxml import etree

from tiffin.knowledge.parse import limits, sniff
from tiffin.knowledge.parse.archive import Archive
from tiffin.knowledge.parse.decode import Decoded, decode
from tiffin.knowledge.parse.mail import parse_mail
from tiffin.knowledge.parse.markup import parse_xml
from tiffin.knowledge.parse.outlook import parse_msg
from tiffin.knowledge.parse.pdf import parse_pdf
from tiffin.knowledge.parse.plain import parse_markdown, parse_text
from tiffin.knowledge.parse.sheets import parse_sheets
from tiffin.knowledge.parse.slides import parse_pptx
from tiffin.knowledge.parse.table import parse_csv
from tiffin.knowledge.parse.values import Parsed, Refused, Unreadable, fault
from tiffin.knowledge.parse.web import declared_charset, parse_html
from tiffin.knowledge.parse.word import parse_docx

# what libraries raise over files that break their format's rules; MemoryError and signals are judged apart
_SAFE_ENDINGS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, EOFError, RuntimeError,
    etree.LxmlError,
)  # fmt: skip


def read(data: bytes, name: str) -> Parsed | Refused:
    """Parse one file; never raises for anything that a file can cause."""
    try:
        parsed = _parse(data, name)
    except Unreadable as error:
        return Refused(error.reason, error.detail[: limits.DETAIL_MAX_CHARS])
    except RecursionError:
        return Refused("corrupt", "The file nests deeper than documents do.")
    except MemoryError:
        return Refused("out_of_memory", "The file needs more memory to read than is allowed for one file.")
    except _SAFE_ENDINGS as error:  # a library's way of saying that the file breaks its format's rules
        return Refused("corrupt", f"The file breaks the rules of its format ({type(error).__name__}).")
    if not parsed.text.strip():
        return Refused("empty", "The file has no text.")
    if fault(parsed) is not None:
        return Refused("corrupt", "The file could not be read consistently.")
    return parsed


def _parse(data: bytes, name: str) -> Parsed:
    if not data.strip(b"\0 \t\r\n"):
        raise Unreadable("empty", "The file is empty.")
    if sniff.is_zip(data):
        with Archive(data) as archive:
            return _noted(_parse_binary(data, sniff.magic_kind(data, archive), archive), name)
    kind = sniff.magic_kind(data, None)
    if kind is not None:
        return _noted(_parse_binary(data, kind, None), name)
    if len(data) > limits.TEXT_FILE_MAX_BYTES:
        most = limits.TEXT_FILE_MAX_BYTES // limits.MIB
        raise Unreadable("too_large", f"Text files may have {most} MiB; this one has more.")
    return _parse_words(data, name)


def _parse_binary(data: bytes, kind: str | None, archive: Archive | None) -> Parsed:
    if kind == "pdf":
        return parse_pdf(data)
    if kind == "msg":
        return parse_msg(data)
    if kind == "docx" and archive is not None:
        return parse_docx(archive)
    if kind == "pptx" and archive is not None:
        return parse_pptx(archive)
    if kind in ("xlsx", "xlsb", "xls", "ods"):
        return parse_sheets(data, kind, archive)
    raise Unreadable("unsupported", "The file is of a kind that Tiffin does not read.")


def _parse_words(data: bytes, name: str) -> Parsed:
    decoded = decode(data)
    kind = sniff.text_kind(decoded.text, name)
    if kind == "html" and (charset := declared_charset(data)) is not None:
        decoded = decode(data, charset)
    parsed = _parse_text_kind(data, decoded, kind)
    notes = [] if kind in ("xml", "email") else decoded.notes
    return _noted(msgspec.structs.replace(parsed, notes=(*notes, *parsed.notes)), name)


def _parse_text_kind(data: bytes, decoded: Decoded, kind: str) -> Parsed:
    match kind:
        case "html":
            return parse_html(decoded.text)
        case "xml":
            return parse_xml(data, decoded.text)
        case "email":
            return parse_mail(data, decoded.text)
        case "csv":
            return parse_csv(decoded.text)
        case "markdown":
            return parse_markdown(decoded.text)
        case _:
            return parse_text(decoded.text)


def _noted(parsed: Parsed, name: str) -> Parsed:
    note = sniff.misnamed(parsed.kind, name)
    return parsed if note is None else msgspec.structs.replace(parsed, notes=(note, *parsed.notes))
