"""Zip files opened only after their directory was judged: how many members, how large unpacked, encrypted or not.

The sizes in a central directory can lie, so `read` also stops at the size that was declared.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from types import TracebackType

from lxml import etree

from tiffin.knowledge.parse import limits
from tiffin.knowledge.parse.values import Unreadable

_ENCRYPTED_FLAG = 0x1
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, LookupError)
_NO_MEMORY = 2  # libxml2's XML_ERR_NO_MEMORY


class Archive:
    """A guarded, read-only zip file."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGE as error:
            raise Unreadable("corrupt", "The file is a damaged or cut-off zip container.") from error
        self._members = {info.filename: info for info in self._zip.infolist()}
        self._judge()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def _judge(self) -> None:
        infos = self._zip.infolist()
        if len(infos) > limits.ZIP_MAX_MEMBERS:
            most = f"{limits.ZIP_MAX_MEMBERS:,}"
            raise Unreadable("too_large", f"The file holds {len(infos):,} parts; {most} are allowed.")
        total = sum(info.file_size for info in infos)
        if total > limits.ZIP_MAX_TOTAL_BYTES:
            most = _mib(limits.ZIP_MAX_TOTAL_BYTES)
            raise Unreadable("too_large", f"The file unpacks to {_mib(total)}; {most} are allowed.")
        for info in infos:
            if info.filename.lower().endswith((".xml", ".rels", ".vml")) and info.file_size > limits.ZIP_MAX_XML_BYTES:
                size, most = _mib(info.file_size), _mib(limits.ZIP_MAX_XML_BYTES)
                raise Unreadable("too_large", f"A part of the file unpacks to {size}; {most} are allowed.")

    @property
    def names(self) -> list[str]:
        """Member names, in the order of the directory."""
        return list(self._members)

    @property
    def encrypted(self) -> bool:
        """Whether any member is encrypted in the zip manner."""
        return any(info.flag_bits & _ENCRYPTED_FLAG for info in self._members.values())

    def has(self, name: str) -> bool:
        """Whether a member of this exact name exists."""
        return name in self._members

    def read(self, name: str) -> bytes:
        """Unpack one member; a missing or damaged one makes the whole file corrupt."""
        info = self._members.get(name)
        if info is None:
            raise Unreadable("corrupt", f"The file lacks its part {_shown(name)}.")
        try:
            with self._zip.open(info) as stream:
                data = stream.read(info.file_size + 1)
        except _DAMAGE as error:
            raise Unreadable("corrupt", f"The part {_shown(name)} of the file is damaged.") from error
        if len(data) > info.file_size:
            raise Unreadable("corrupt", f"The part {_shown(name)} of the file is larger than the file says.")
        return data

    def tree(self, name: str) -> etree._Element:
        """Parse one XML member, with entities left alone and nothing fetched."""
        try:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
            return etree.fromstring(self.read(name), parser)
        except etree.XMLSyntaxError as error:
            if out_of_memory(error):
                raise MemoryError from error
            raise Unreadable("corrupt", f"The part {_shown(name)} of the file is not valid XML.") from error


def out_of_memory(error: etree.XMLSyntaxError) -> bool:
    """Whether libxml2 gave up for want of memory; it says so only by a number."""
    return getattr(error, "code", None) == _NO_MEMORY


def _mib(size: int) -> str:
    return f"{size / limits.MIB:,.0f} MiB"


def _shown(name: str) -> str:
    return repr(name[:80])
