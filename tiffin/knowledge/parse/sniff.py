"""What a file is, by its first bytes and its parts; the name only decides between kinds of plain text.

A library was not taken: libmagic needs a system package and missed mails, puremagic called an .xlsx a Word file. These
rules routed every wrongly named file of the test set.
"""

from __future__ import annotations

import io
import re
from pathlib import PurePosixPath

import msoffcrypto
import olefile
from msoffcrypto.exceptions import FileFormatError, ParseError

from tiffin.knowledge.parse.archive import Archive
from tiffin.knowledge.parse.values import Unreadable

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_PDF_WITHIN_BYTES = 1024  # bytes; readers accept junk before the header up to here

# magic, offset, what to call it; each is refused by name. Magics that a text could start with are made longer.
_FOREIGN = (
    (b"\xff\xd8\xff", 0, "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", 0, "a PNG image"),
    (b"GIF87a", 0, "a GIF image"),
    (b"GIF89a", 0, "a GIF image"),
    (b"II*\0", 0, "a TIFF image"),
    (b"MM\0*", 0, "a TIFF image"),
    (b"\0ftypheic", 3, "a HEIC image"),
    (b"\0ftyp", 3, "a video"),
    (b"\x1a\x45\xdf\xa3", 0, "a video"),
    (b"ID3\x02", 0, "an audio file"),
    (b"ID3\x03", 0, "an audio file"),
    (b"ID3\x04", 0, "an audio file"),
    (b"OggS\0", 0, "an audio file"),
    (b"fLaC\0", 0, "an audio file"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive"),
    (b"Rar!\x1a\x07", 0, "a RAR archive"),
    (b"1AY&SY", 4, "a bzip2 archive"),
    (b"\xfd7zXZ\0", 0, "an xz archive"),
    (b"\x28\xb5\x2f\xfd", 0, "a zstd archive"),
    (b"ustar\0", 257, "a tar archive"),
    (b"\x7fELF", 0, "a program"),
    (b"MZ\x90\0", 0, "a program"),
    (b"SQLite format 3\0", 0, "a database"),
    (b"PAR1\x15", 0, "a Parquet table"),
)
_RIFF = {b"WEBP": "a WebP image", b"WAVE": "an audio file", b"AVI ": "a video"}
_ZIP_KINDS = (
    ("word/document.xml", "docx"),
    ("ppt/presentation.xml", "pptx"),
    ("xl/workbook.xml", "xlsx"),
    ("xl/workbook.bin", "xlsb"),
)
_CONTENT_KINDS = (
    (b"wordprocessingml.document.main+xml", "docx"),
    (b"wordprocessingml.template.main+xml", "docx"),
    (b"ms-word.document.macroEnabled.main+xml", "docx"),
    (b"presentationml.presentation.main+xml", "pptx"),
    (b"presentationml.slideshow.main+xml", "pptx"),
    (b"ms-powerpoint.presentation.macroEnabled.main+xml", "pptx"),
    (b"spreadsheetml.sheet.main+xml", "xlsx"),
    (b"ms-excel.sheet.macroEnabled.main+xml", "xlsx"),
)
_OPEN_DOCUMENT = {
    "application/vnd.oasis.opendocument.text": "an OpenDocument text; save it as DOCX or PDF",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation; save it as PPTX or PDF",
    "application/epub+zip": "an EPUB book; Tiffin reads PDF, DOCX and HTML",
}
_LEGACY = (
    ("WordDocument", "an old Word document (.doc); save it as DOCX or PDF"),
    ("PowerPoint Document", "an old PowerPoint file (.ppt); save it as PPTX or PDF"),
)

_TEXT_EXTENSIONS = {
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown",
    ".csv": "csv", ".tsv": "csv", ".tab": "csv",
    ".htm": "html", ".html": "html", ".xhtml": "html",
    ".eml": "email", ".mht": "email", ".mhtml": "email",
    ".xml": "xml", ".nxml": "xml", ".rss": "xml", ".atom": "xml", ".xbrl": "xml",
}  # fmt: skip
_BINARY_EXTENSIONS = frozenset(
    ".pdf .docx .docm .pptx .pptm .xlsx .xlsm .xlsb .xls .doc .ppt .msg .odt .ods .odp .rtf .epub .zip .png .jpg"
    " .jpeg".split()
)
_HTML_START = re.compile(r"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_HTML_TAG = re.compile(
    r"<(?:p|div|span|table|h[1-6]|ul|ol|br|a|img|body|section|article|pre|b|i)\b[^<>]*>", re.IGNORECASE
)
_XML_START = re.compile(r"\s*<\?xml\b")
_XML_ROOT = re.compile(
    r"\s*(?:<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[.*?\])?\s*>|\s+)*<([A-Za-z_][\w.:-]*)", re.DOTALL
)
_MAIL_FIELD = re.compile(r"^([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]?.*(?:\r?\n[ \t].*)*\r?\n?", re.MULTILINE)
_MAIL_NAMES = frozenset(
    "from to cc bcc date subject message-id received mime-version content-type return-path delivered-to reply-to"
    " x-mailer".split()
)
_MAIL_SURE = frozenset("from received message-id mime-version return-path delivered-to".split())


def magic_kind(data: bytes, archive: Archive | None) -> str | None:
    """The kind of a file that its bytes give away, or None for what may be text. Refuses what Tiffin cannot read."""
    if archive is not None:
        return _zip_kind(archive)
    if data.startswith(_OLE_MAGIC):
        return _ole_kind(data)
    if _is_pdf(data):
        return "pdf"
    if data.startswith(b"{\\rtf"):
        raise Unreadable("unsupported", "The file is an RTF document; save it as DOCX or PDF.")
    if (what := _foreign(data)) is not None:
        more = "; reading text in images comes with the [documents] extra" if what.endswith("image") else ""
        raise Unreadable("unsupported", f"The file is {what}{more}.")
    return None


def _is_pdf(data: bytes) -> bool:
    head = data[:_PDF_WITHIN_BYTES]
    if head.lstrip(b"\xef\xbb\xbf \t\r\n\0").startswith(b"%PDF-"):
        return True
    return b"%PDF-" in head and b"startxref" in data  # junk first; a text that merely mentions the mark has no table


def _foreign(data: bytes) -> str | None:
    if data.startswith(b"RIFF") and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    return next((what for magic, at, what in _FOREIGN if data[at : at + len(magic)] == magic), None)


def is_zip(data: bytes) -> bool:
    """Whether the bytes start as a zip container."""
    return data.startswith(_ZIP_MAGICS)


def text_kind(text: str, name: str) -> str:
    """The kind of a text: HTML, XML and mail by their beginnings, otherwise by the extension, otherwise `text`."""
    suffix = PurePosixPath(name).suffix.lower()
    wanted = _TEXT_EXTENSIONS.get(suffix)
    head = text[:65_536].lstrip("\ufeff")
    if _HTML_START.match(head):
        return "html"
    if _XML_START.match(head):
        root = _XML_ROOT.match(head)
        return "html" if root is not None and root.group(1).lower() == "html" else "xml"
    if wanted == "html" or (wanted is None and suffix in _BINARY_EXTENSIONS):
        if head.lstrip().startswith("<") and _HTML_TAG.search(head):
            return "html"
        if wanted == "html" and _HTML_TAG.search(head):
            return "html"
    if wanted == "xml":
        return "xml" if _XML_ROOT.match(head) else "text"
    if wanted in ("markdown", "csv"):
        return wanted
    if _looks_like_mail(head, named=wanted == "email"):
        return "email"
    return "text"


def misnamed(kind: str, name: str) -> str | None:
    """A note where the name promises a binary format and the content is another kind."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in _BINARY_EXTENSIONS or suffix in (f".{kind}", f".{kind[:-1]}m"):  # .docm is a docx with macros
        return None
    return f"The name ends in {suffix}, but the content is {kind}; it was read as {kind}."


def _looks_like_mail(head: str, *, named: bool) -> bool:
    names: list[str] = []
    at = 0
    if head.startswith(("From ", ">From ")):  # an mbox separator line
        at = head.find("\n") + 1
    while (field := _MAIL_FIELD.match(head, at)) and len(names) < 100 and field.end() > at:
        names.append(field.group(1).lower())
        at = field.end()
    known = [n for n in names if n in _MAIL_NAMES]
    if named:
        return bool(known)
    return len(known) >= 3 and any(n in _MAIL_SURE for n in known) and "subject" in known


def _zip_kind(archive: Archive) -> str:
    if archive.encrypted:
        raise Unreadable("encrypted", "The file is protected with a password.")
    mimetype = archive.read("mimetype").decode("latin-1").strip() if archive.has("mimetype") else ""
    if mimetype.startswith("application/vnd.oasis.opendocument") or mimetype in _OPEN_DOCUMENT:
        manifest = archive.read("META-INF/manifest.xml") if archive.has("META-INF/manifest.xml") else b""
        if b"encryption-data" in manifest:
            raise Unreadable("encrypted", "The file is protected with a password.")
        if mimetype == "application/vnd.oasis.opendocument.spreadsheet":
            return "ods"
        what = _OPEN_DOCUMENT.get(mimetype, "an OpenDocument file; save it as PDF")
        raise Unreadable("unsupported", f"The file is {what}.")
    for member, kind in _ZIP_KINDS:
        if archive.has(member):
            return kind
    if archive.has("[Content_Types].xml"):
        types = archive.read("[Content_Types].xml")
        for needle, kind in _CONTENT_KINDS:
            if needle in types:
                return kind
    raise Unreadable("unsupported", "The file is a zip archive; unpack it and ingest the files in it.")


def _ole_kind(data: bytes) -> str:
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            parts = {"/".join(path) for path in ole.listdir(streams=True, storages=False)}
    except (OSError, ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        raise Unreadable("corrupt", "The file is a damaged or cut-off Office container.") from error
    if "EncryptedPackage" in parts or "EncryptionInfo" in parts:
        raise Unreadable("encrypted", "The file is protected with a password.")
    if "__properties_version1.0" in parts:
        return "msg"
    if "WordDocument" in parts or "PowerPoint Document" in parts:
        if _office_encrypted(data):
            raise Unreadable("encrypted", "The file is protected with a password.")
        what = next(text for stream, text in _LEGACY if stream in parts)
        raise Unreadable("unsupported", f"The file is {what}.")
    if "Workbook" in parts or "Book" in parts:
        if _office_encrypted(data):
            raise Unreadable("encrypted", "The file is protected with a password.")
        return "xls"
    raise Unreadable("unsupported", "The file is an OLE container of a kind that Tiffin does not read.")


def _office_encrypted(data: bytes) -> bool:
    try:
        return bool(msoffcrypto.OfficeFile(io.BytesIO(data)).is_encrypted())
    except (FileFormatError, ParseError, OSError, ValueError, IndexError, KeyError, AttributeError):
        return False
