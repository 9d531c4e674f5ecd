"""C2SP checkpoints: the signed head of a log (origin, size, root hash)."""

from __future__ import annotations

from dataclasses import dataclass

from tiffin.ledger.errors import NotVerified
from tiffin.ledger.note import Note, Signer, Verifier, decode_base64, encode_base64, open_note
from tiffin.ledger.tree import HASH_BYTES

SIZE_MAX = (1 << 63) - 1  # entries; what a signed 64-bit index can count


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log at one size."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def render(self) -> str:
        """The note text, ending in a newline."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_decimal(text: str) -> int:
    """A size or an index: ASCII decimal without leading zeros, below 2**63; NotVerified otherwise."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise NotVerified(f"not a plain decimal: {text[:40]!r}")
    number = int(text)
    if number > SIZE_MAX:
        raise NotVerified(f"too large: {text}")
    return number


def parse_checkpoint(text: str) -> Checkpoint:
    """From the note text; NotVerified when malformed."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "" or not all(lines):
        raise NotVerified("a checkpoint is an origin, a size and a root hash, each on a line")
    root = decode_base64(lines[2])
    if len(root) != HASH_BYTES:
        raise NotVerified("the root hash has the wrong length")
    return Checkpoint(lines[0], parse_decimal(lines[1]), root, tuple(lines[3:]))


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """The signed note. The caller owes that no earlier signed checkpoint is inconsistent with this one."""
    text = checkpoint.render()
    return Note(text, (signer.sign(text),)).render()


def open_checkpoint(note: str, verifier: Verifier) -> Checkpoint:
    """The checkpoint, when its origin is the key's name and the key's signature holds; NotVerified otherwise."""
    checkpoint = parse_checkpoint(open_note(note, [verifier]).text)
    if checkpoint.origin != verifier.name:
        raise NotVerified(f"the checkpoint is of {checkpoint.origin}, not of {verifier.name}")
    return checkpoint
