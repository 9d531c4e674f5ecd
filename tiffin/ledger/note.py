"""C2SP signed notes: text signed by Ed25519 keys, and the verifier keys (vkeys) that name them.

Only signature type 0x01 is verified; signatures of other keys are kept and ignored, as the specification asks.
Parsing is strict (one spelling per value), so that no byte of a stored note can change unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tiffin.ledger.errors import NotVerified

ED25519 = 0x01
KEY_BYTES = 32
KEY_ID_BYTES = 4
SIGNATURES_MAX = 64  # signatures a note; the specification asks for ≥ 16
NOTE_BYTES_MAX = 1 << 20  # bytes; room for 64 post-quantum signatures of 5 kB, and no more

_DASH = "\u2014 "


def decode_base64(text: str) -> bytes:
    """Standard base64, canonical spelling only; NotVerified otherwise."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise NotVerified(f"not base64: {text[:40]!r}") from error
    if encode_base64(data) != text:
        raise NotVerified(f"not the canonical base64 spelling: {text[:40]!r}")
    return data


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or ord(c) < 0x20 for c in name)


def key_id(name: str, kind: int, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:KEY_ID_BYTES]


@dataclass(frozen=True)
class Verifier:
    """A trusted public key, spelled as a vkey."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        return key_id(self.name, ED25519, self.public)

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode_base64(bytes([ED25519]) + self.public)}"

    def holds(self, text: str, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


def parse_vkey(vkey: str) -> Verifier:
    """NotVerified when malformed, of another type than Ed25519, or when its id is not its key's."""
    parts = vkey.split("+", 2)  # base64 may hold "+" itself
    if len(parts) != 3 or not is_key_name(parts[0]):
        raise NotVerified("a vkey is <name>+<8 hex digits>+<base64>")
    name, identity, material = parts[0], parts[1], decode_base64(parts[2])
    if len(material) != 1 + KEY_BYTES or material[0] != ED25519:
        raise NotVerified("the vkey is not of an Ed25519 key")
    verifier = Verifier(name, material[1:])
    if verifier.id.hex() != identity:
        raise NotVerified("the id in the vkey is not its key's")
    return verifier


@dataclass(frozen=True)
class Signer:
    """A private Ed25519 key under a name."""

    name: str
    key: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        return Signature(self.name, self.verifier.id, self.key.sign(text.encode()))


def make_signer(name: str, seed: bytes) -> Signer:
    """The signer of a 32-byte seed; ValueError for a name that notes cannot carry."""
    if not is_key_name(name):
        raise ValueError(f"{name!r} cannot name a key: it is empty or holds '+', a space or a control character")
    return Signer(name, Ed25519PrivateKey.from_private_bytes(seed))


@dataclass(frozen=True)
class Signature:
    """One signature line."""

    name: str
    id: bytes
    blob: bytes

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {encode_base64(self.id + self.blob)}\n"


@dataclass(frozen=True)
class Note:
    """A text and the signatures under it. The text ends in a newline."""

    text: str
    signatures: tuple[Signature, ...]

    def render(self) -> str:
        return self.text + "\n" + "".join(signature.line for signature in self.signatures)


def _parse_signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise NotVerified("a signature line does not begin with an em dash and a space")
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    blob = decode_base64(encoded) if space else b""
    if not is_key_name(name) or len(blob) <= KEY_ID_BYTES:
        raise NotVerified("a signature line is not <name> <base64 of key id and signature>")
    return Signature(name, blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def parse_note(note: str) -> Note:
    """Form only; nothing is trusted yet. NotVerified when malformed."""
    if len(note) > NOTE_BYTES_MAX:
        raise NotVerified("the note is too long")
    if any(ord(c) < 0x20 and c != "\n" for c in note):
        raise NotVerified("the note holds a control character")
    body, blank, tail = note.rpartition("\n\n")  # the text may hold empty lines itself: split at the last one
    if not blank or not tail.endswith("\n"):
        raise NotVerified("the note is not a text, an empty line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NotVerified("the note has too many signatures")
    return Note(body + "\n", tuple(_parse_signature(line) for line in lines))


def open_note(note: str, trusted: Sequence[Verifier]) -> Note:
    """The note, when at least one trusted key signed it and every signature of a trusted key holds.

    Else NotVerified.
    """
    parsed = parse_note(note)
    known = {(verifier.name, verifier.id): verifier for verifier in trusted}
    held = 0
    for signature in parsed.signatures:
        verifier = known.get((signature.name, signature.id))
        if verifier is None:
            continue
        if not verifier.holds(parsed.text, signature.blob):
            raise NotVerified(f"the signature of {signature.name} does not hold")
        held += 1
    if not held:
        raise NotVerified("no trusted key signed the note")
    return parsed
