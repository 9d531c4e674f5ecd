"""Files made to hurt a parser, built in a few lines each."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

_DOCX_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/></Types>'
)
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_SHEET = '<sheet name="Data" sheetId="1" r:id="r1"/>'
_R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def zipped(members: dict[str, bytes | str]) -> bytes:
    """A zip file of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _relationships(kind: str, target: str) -> str:
    return (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        f'{kind}" Target="{target}"/></Relationships>'
    )


def docx(body: str) -> bytes:
    """A Word file with this XML in its body."""
    document = f'<?xml version="1.0"?><w:document {_W}><w:body>{body}</w:body></w:document>'
    return zipped({"[Content_Types].xml": _DOCX_TYPES, "word/document.xml": document})


def xlsx(rows: str) -> bytes:
    """A workbook with one sheet of these row elements."""
    return zipped(
        {
            "[Content_Types].xml": _DOCX_TYPES,
            "_rels/.rels": _relationships("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": f"<workbook {_S} {_R}><sheets>{_SHEET}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": _relationships("worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": f"<worksheet {_S}><sheetData>{rows}</sheetData></worksheet>",
        }
    )


def docx_bomb() -> bytes:
    """Half a megabyte that unpacks to 300 MB of XML."""
    return docx("<w:p><w:r><w:t>" + "A" * (300 * 1024 * 1024) + "</w:t></w:r></w:p>")


def lying_docx_bomb() -> bytes:
    """A bomb whose directory says that it is small."""
    data = bytearray(docx("<w:p><w:r><w:t>" + "A" * (150 * 1024 * 1024) + "</w:t></w:r></w:p>"))
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 2000)
    return bytes(data)


def many_members() -> bytes:
    """Six thousand members."""
    return zipped({f"word/{n}.xml": b"<a/>" for n in range(6000)} | {"word/document.xml": b"<a/>"})


def far_cell() -> bytes:
    """A sheet whose second cell is the last one there is: calamine aborts on it."""
    return xlsx('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row>')


def pdf(objects: list[bytes]) -> bytes:
    """A PDF of these objects, numbered from 1; object 1 is the catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def flate(data: bytes) -> bytes:
    """A compressed content stream."""
    packed = zlib.compress(data, 1)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed) + packed + b"\nendstream"


def one_page_pdf(content: bytes, resources: bytes = b"") -> list[bytes]:
    """Objects of a PDF whose only page shows this content stream; object 5 is the font."""
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> "
        + resources
        + b" >> >>",
        flate(content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]


def text_bomb_pdf(millions: int) -> bytes:
    """A small PDF of that many million letters."""
    line = b"(" + b"A" * 1000 + b") Tj\n"
    return pdf(one_page_pdf(b"BT /F 8 Tf 10 700 Td\n" + line * (millions * 1000) + b"ET"))


def nested_forms_pdf() -> bytes:
    """Ten forms that each show the next one ten times: ten thousand million drawings in 3 kB."""
    objects = one_page_pdf(b"/X0 Do", b"/XObject << /X0 6 0 R >>")
    for level in range(10):
        content = b"BT /F 8 Tf (x) Tj ET " + b"/X Do " * 10
        inner = b"/XObject << /X %d 0 R >>" % (7 + level) if level < 9 else b""
        objects.append(
            b"<< /Type /XObject /Subtype /Form /BBox [0 0 600 700] /Resources << /Font << /F 5 0 R >> "
            + inner
            + b" >> /Length %d >>\nstream\n" % len(content)
            + content
            + b"\nendstream"
        )
    return pdf(objects)


def many_pages_pdf(count: int) -> bytes:
    """One page, listed very often."""
    objects = one_page_pdf(b"BT /F 8 Tf 10 700 Td (page) Tj ET")
    objects[1] = b"<< /Type /Pages /Kids [" + b"3 0 R " * count + b"] /Count %d >>" % count
    return pdf(objects)


def billion_laughs() -> bytes:
    """The classic."""
    entities = '<!ENTITY lol "lol">'
    for level in range(1, 10):
        before = "lol" if level == 1 else f"lol{level - 1}"
        entities += f'<!ENTITY lol{level} "{f"&{before};" * 10}">'
    return f'<?xml version="1.0"?><!DOCTYPE lolz [{entities}]><lolz>&lol9;</lolz>'.encode()


def outside_entity(path: str) -> bytes:
    """XML that asks for a local file."""
    return f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{path}">]><a>before &x; after</a>'.encode()


def nested_mail(levels: int) -> bytes:
    """Messages inside messages."""
    return b"Subject: s\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" * levels + b"Subject: end\n\nbottom\n"


def nested_multiparts(levels: int) -> bytes:
    """Parts inside parts."""
    head = b"From: a@example.org\nSubject: s\nMIME-Version: 1.0\n"
    parts = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(levels))
    return head + parts + b"\nbottom\n"
