"""The key ring: one master key, a signing key a log, a data key a person. Lives in <home>/keys, outside the ledger.

    master.key               32 random bytes (absent when TIFFIN_MASTER_KEY gives them)
    check                    a constant sealed with the master key: a wrong one is noticed before it wraps anything
    logs/<log>.key           the log's Ed25519 seed, wrapped (<log>.new while the log is being created)
    names/<xx>/<hmac>        subject → key id, wrapped; the file name is a keyed hash, so it tells nobody who
    subjects/<xx>/<key id>   the subject's data key, wrapped
    erased/<xx>/<key id>     a tombstone: this key was destroyed on purpose

Key ids are random, so nothing in the ledger leads back to a person once the name file is gone. Several processes
share a ring: making and destroying keys happens under a file lock, and a cached key is used only while its file is
still there. Destroying overwrites and unlinks; whether old blocks can be read back from the medium is the file
system's affair.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hmac
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tiffin.kernel import limits
from tiffin.ledger.disk import Disk, make_folders, put_file, sync_folder
from tiffin.ledger.errors import KeysUnusable, PayloadErased, TooLarge
from tiffin.ledger.note import Signer, make_signer

MASTER_VARIABLE = "TIFFIN_MASTER_KEY"
KEY_BYTES = 32
KEY_ID_BYTES = 16
NONCE_BYTES = 12
CACHED_KEYS_MAX = 65_536  # keys in memory; about 20 MB
LOG_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

_CHECK = b"tiffin key ring 1"
_UNCONFIRMED = ".new"
_NOBODY = ""  # payloads that concern no person are sealed under this subject's key


@dataclass(frozen=True)
class ContentKey:
    """What seals payloads of one set of subjects: their key ids (public) and the secret derived from all their keys."""

    ids: tuple[bytes, ...]
    secret: bytes


def _expand(secret: bytes, info: bytes) -> bytes:
    """HKDF-Expand (RFC 5869) for one block of SHA-256."""
    return hmac.digest(secret, info + b"\x01", "sha256")


def combine(keys: Sequence[bytes]) -> bytes:
    """HKDF-Extract over all the keys: without any one of them the result cannot be computed."""
    return hmac.digest(b"tiffin content key 1", b"".join(keys), "sha256")


def derive(content: ContentKey, salt: bytes) -> bytes:
    """The AES key of one payload."""
    return _expand(content.secret, b"tiffin payload 1" + salt)


class KeyRing:
    """Opened by `KeyRing.open`; safe to share between threads, and between processes on one machine."""

    def __init__(self, folder: Path, master: bytes, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk
        self._wrapper = AESGCM(_expand(master, b"tiffin wrap 1"))
        self._naming = _expand(master, b"tiffin names 1")
        self._ids: dict[str, bytes] = {}
        self._keys: dict[bytes, bytes] = {}
        self._contents: dict[tuple[bytes, ...], bytes] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, *, master: bytes | None = None, disk: Disk | None = None) -> KeyRing:
        """The ring in `folder`, made if missing.

        `master` (32 bytes) wins over the variable TIFFIN_MASTER_KEY (base64), and that over the file master.key.
        KeysUnusable when the master key is malformed, or is not the one that this ring was made with.
        """
        disk = disk or Disk()
        make_folders(disk, folder)
        with _exclusive(folder):
            if master is None:
                master = _master_of_environment() or _master_of_file(folder, disk)
            if len(master) != KEY_BYTES:
                raise KeysUnusable(f"the master key has {len(master)} bytes, not {KEY_BYTES}")
            ring = cls(folder, master, disk)
            ring._check()
            ring._finish_destroying()
        return ring

    def new_signer(self, log: str, origin: str) -> Signer:
        """The signing key of a log that is being created; durable on return.

        It counts once `confirm_signer` was called.
        KeysUnusable when the log existed before: signing a second history with its key would be a fork.
        """
        path = self._log_path(log).with_suffix(_UNCONFIRMED)
        with _exclusive(self._folder):
            if self.has_signer(log):
                raise KeysUnusable(
                    f"the log {log} had entries, and its folder is empty: restore it, or name the new log anew"
                )
            if not path.exists():
                self._put(path, self._wrap(os.urandom(KEY_BYTES), b"log " + log.encode()))
            return make_signer(origin, self._unwrap(path, b"log " + log.encode()))

    def confirm_signer(self, log: str) -> None:
        """The log's folder exists now; durable on return, and harmless to repeat."""
        path = self._log_path(log)
        with _exclusive(self._folder):
            if not path.exists() and path.with_suffix(_UNCONFIRMED).exists():
                self._disk.rename(path.with_suffix(_UNCONFIRMED), path)
                sync_folder(self._disk, path.parent)

    def signer(self, log: str, origin: str) -> Signer:
        """The signing key of an existing log; KeysUnusable when it is missing."""
        path = self._log_path(log)
        unconfirmed = path.with_suffix(_UNCONFIRMED)
        is_new = not path.exists() and unconfirmed.exists()
        return make_signer(origin, self._unwrap(unconfirmed if is_new else path, b"log " + log.encode()))

    def has_signer(self, log: str) -> bool:
        return self._log_path(log).exists()

    def logs(self) -> list[str]:
        """The names of the logs that this ring can sign for."""
        folder = self._folder / "logs"
        return sorted(path.name.removesuffix(".key") for path in folder.glob("*.key"))

    def content_key(self, subjects: Sequence[str]) -> ContentKey:
        """The key for a payload about these people (none.

        A key of nobody's); new people's keys are durable on return.
        """
        return self.cached_content_key(subjects) or self._make_content_key(subjects)

    def cached_content_key(self, subjects: Sequence[str]) -> ContentKey | None:
        """The same without reading or writing a file, or None when that cannot be done."""
        ids: list[bytes] = []
        for subject in _distinct(subjects):
            identity = self._ids.get(subject)
            if identity is None or not self._alive(identity):
                return None
            ids.append(identity)
        ids.sort()
        ordered = tuple(ids)
        secret = self._contents.get(ordered)
        return None if secret is None else ContentKey(ordered, secret)

    def opening_key(self, ids: Sequence[bytes]) -> ContentKey:
        """The key of a payload sealed under these key ids. PayloadErased when one was destroyed."""
        ordered = tuple(ids)
        if all(self._alive(identity) for identity in ordered):
            secret = self._contents.get(ordered)
            if secret is not None:
                return ContentKey(ordered, secret)
        return self._remember(ordered, [self._subject_key(identity) for identity in ordered])

    def destroy(self, subject: str) -> bytes | None:
        """Destroy a person's key for good, durably: every payload about them is unreadable from now on.

        Answers the key's id, or None when the person has no key. A crash in the middle leaves a tombstone, and the key
        counts as destroyed from then on.
        """
        if subject == _NOBODY:
            raise ValueError("the key of payloads about nobody is not a person's")
        with _exclusive(self._folder):
            name = self._name_path(subject)
            if not name.exists():
                return None
            identity = self._unwrap(name, b"name " + name.name.encode())
            self._put(self._path("erased", identity), b"")
            self._shred(identity)
            self._disk.remove(name)
            self._disk.sync_folder(name.parent)
        with self._lock:
            self._ids.pop(subject, None)
            self._forget(identity)
        return identity

    def _shred(self, identity: bytes) -> None:
        path = self._path("subjects", identity)
        if path.exists():
            _overwrite(path)
            self._disk.remove(path)
            self._disk.sync_folder(path.parent)

    def _finish_destroying(self) -> None:
        """A crash may have left the key of a tombstone behind."""
        for tombstone in (self._folder / "erased").glob("??/*"):
            self._shred(bytes.fromhex(tombstone.name))

    def _make_content_key(self, subjects: Sequence[str]) -> ContentKey:
        pairs = [self._person(subject) for subject in _distinct(subjects)]
        pairs.sort()
        return self._remember(tuple(identity for identity, _ in pairs), [key for _, key in pairs])

    def _person(self, subject: str) -> tuple[bytes, bytes]:
        """The subject's key id and key, made if need be."""
        name = self._name_path(subject)
        with _exclusive(self._folder):
            if name.exists():
                identity = self._unwrap(name, b"name " + name.name.encode())
                if not self._path("erased", identity).exists():
                    key = self._subject_key(identity)
                    with self._lock:
                        self._ids[subject] = identity
                    return identity, key
            identity, key = os.urandom(KEY_ID_BYTES), os.urandom(KEY_BYTES)
            # The key first: a name that leads nowhere would lose payloads, a key without a name is only litter.
            self._put(self._path("subjects", identity), self._wrap(key, identity))
            self._put(name, self._wrap(identity, b"name " + name.name.encode()))
        with self._lock:
            self._ids[subject] = identity
            self._keys[identity] = key
        return identity, key

    def _subject_key(self, identity: bytes) -> bytes:
        path = self._path("subjects", identity)
        if self._path("erased", identity).exists():
            with self._lock:
                self._forget(identity)
            raise PayloadErased(f"the key {identity.hex()} of a subject of this payload was destroyed")
        key = self._keys.get(identity) if path.exists() else None
        if key is None:
            key = self._unwrap(path, identity)
            with self._lock:
                self._keys[identity] = key
        return key

    def _remember(self, ordered: tuple[bytes, ...], keys: Sequence[bytes]) -> ContentKey:
        secret = combine(keys)
        with self._lock:
            if len(self._keys) + len(self._ids) + len(self._contents) > CACHED_KEYS_MAX:
                self._keys.clear()
                self._ids.clear()
                self._contents.clear()
            self._contents[ordered] = secret
        return ContentKey(ordered, secret)

    def _forget(self, identity: bytes) -> None:
        self._keys.pop(identity, None)
        for ordered in [ids for ids in self._contents if identity in ids]:
            del self._contents[ordered]

    def _alive(self, identity: bytes) -> bool:
        """Whether the key's file is still there: another process may have destroyed it since it was cached."""
        try:
            os.stat(self._path_text("subjects", identity))
        except FileNotFoundError:
            return False
        return True

    def _check(self) -> None:
        path = self._folder / "check"
        if path.exists():
            try:
                self._unwrap(path, _CHECK)
            except KeysUnusable as error:
                raise KeysUnusable("the master key is not the one that this key ring was made with") from error
        elif (self._folder / "logs").exists() or (self._folder / "subjects").exists():
            raise KeysUnusable("the key ring's check file is missing: the master key cannot be told from a wrong one")
        else:
            self._put(path, self._wrap(_CHECK, _CHECK))

    def _wrap(self, secret: bytes, purpose: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapper.encrypt(nonce, secret, purpose)

    def _unwrap(self, path: Path, purpose: bytes) -> bytes:
        try:
            data = path.read_bytes()
            return self._wrapper.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], purpose)
        except FileNotFoundError as error:
            raise KeysUnusable(f"the key file {path.parent.name}/{path.name} is missing") from error
        except (InvalidTag, ValueError) as error:
            raise KeysUnusable(f"the key file {path.parent.name}/{path.name} is damaged or not of this ring") from error

    def _put(self, path: Path, data: bytes) -> None:
        make_folders(self._disk, path.parent)
        put_file(self._disk, path, data, self._folder / "unfinished")

    def _log_path(self, log: str) -> Path:
        if not LOG_NAME.fullmatch(log):
            raise ValueError(f"{log!r} cannot name a log: use a-z, 0-9, '.', '_' and '-', at most 64")
        return self._folder / "logs" / f"{log}.key"

    def _name_path(self, subject: str) -> Path:
        name = hmac.digest(self._naming, subject.encode(), "sha256").hex()
        return self._folder / "names" / name[:2] / name

    def _path_text(self, kind: str, identity: bytes) -> str:
        name = identity.hex()
        return f"{self._folder}/{kind}/{name[:2]}/{name}"

    def _path(self, kind: str, identity: bytes) -> Path:
        return Path(self._path_text(kind, identity))


def _distinct(subjects: Sequence[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(subject for subject in subjects if subject)) or (_NOBODY,)
    if len(distinct) > limits.SUBJECTS_MAX:
        raise TooLarge(f"a payload has at most {limits.SUBJECTS_MAX} subjects, not {len(distinct)}")
    return distinct


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Hold the ring against other processes and threads: making or destroying a key takes milliseconds."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _overwrite(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, os.urandom(os.fstat(fd).st_size))
        os.fsync(fd)
    finally:
        os.close(fd)


def _master_of_environment() -> bytes | None:
    text = os.environ.get(MASTER_VARIABLE)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise KeysUnusable(f"{MASTER_VARIABLE} is not base64") from error


def _master_of_file(folder: Path, disk: Disk) -> bytes:
    path = folder / "master.key"
    if not path.exists():
        if (folder / "check").exists():
            raise KeysUnusable(f"master.key is missing and {MASTER_VARIABLE} is not set")
        put_file(disk, path, os.urandom(KEY_BYTES), folder / "unfinished")
    return path.read_bytes()
