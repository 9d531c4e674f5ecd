"""What all office files share: relationships between parts, and the document's own title."""

from __future__ import annotations

import posixpath

from tiffin.knowledge.parse.archive import Archive
from tiffin.knowledge.parse.values import Unreadable

_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_UNHELPFUL_TITLES = frozenset(
    ("word document", "powerpoint presentation", "presentation", "untitled", "title", "document")
)


def relations(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """Relationship id to (kind, target part) of a part; targets outside the file are left out."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", name + ".rels")
    if not archive.has(path):
        return {}
    found: dict[str, tuple[str, str]] = {}
    for relation in archive.tree(path).iter(_RELATION):
        if relation.get("TargetMode") == "External":
            continue
        target = relation.get("Target", "")
        whole = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        found[relation.get("Id", "")] = (relation.get("Type", "").rsplit("/", 1)[-1], whole)
    return found


def related(archive: Archive, part: str) -> list[tuple[str, str]]:
    """(kind, target part) of everything a part refers to, in the order of the file."""
    return list(relations(archive, part).values())


def part_of(archive: Archive, kind: str, usual: str) -> str:
    """The package's part of a kind, by its relationships, else at its usual place."""
    target = next((t for k, t in related(archive, "") if k == kind), usual)
    if not archive.has(target):
        target = usual
    if not archive.has(target):
        raise Unreadable("corrupt", "The file lacks its main part.")
    return target


def core_title(archive: Archive) -> str | None:
    """The title that the author set, unless it is the program's placeholder."""
    part = next((t for k, t in related(archive, "") if k == "core-properties"), "docProps/core.xml")
    if not archive.has(part):
        return None
    try:
        title = archive.tree(part).findtext(_TITLE) or ""
    except Unreadable:  # damaged properties do not make the text unreadable
        return None
    said = " ".join(title.split())
    return said if len(said) > 3 and said.lower() not in _UNHELPFUL_TITLES else None
