/**
 * Checks one receipt in the browser: entry bytes → leaf hash → inclusion in the checkpoint's tree → signature of the checkpoint.
 *
 * Formats: RFC 6962 hashing and C2SP tlog-proof, tlog-checkpoint, signed-note. Pure apart from WebCrypto; it fetches nothing, so that
 * what it is given is all that it can believe. Every step is judged on its own, so a failure says where the chain breaks.
 */

export type Bytes = Uint8Array<ArrayBuffer>;
export type StepState = "pass" | "fail" | "unable";

export interface Step {
  readonly id: "record" | "inclusion" | "signature" | "quotes" | "memory";
  readonly title: string;
  readonly state: StepState;
  /** What was found, in a sentence. */
  readonly detail: string;
  /** What a pass of this step proves. */
  readonly proves: string;
  readonly facts: readonly (readonly [label: string, value: string])[];
}

export interface Verification {
  readonly state: StepState;
  readonly steps: readonly Step[];
  /** Present when the proof could be read; trust it only when `state` is "pass". */
  readonly checkpoint: Checkpoint | null;
}

export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly root: Bytes;
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: string;
  readonly signature: Bytes;
}

export interface Note {
  /** Signed text, with its final newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface VerifierKey {
  readonly name: string;
  readonly keyId: string;
  readonly publicKey: Bytes;
}

export interface TlogProof {
  readonly index: bigint;
  readonly hashes: readonly Bytes[];
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

export interface ReceiptEvidence {
  readonly receipt: string;
  /** The exact bytes of the log entry. */
  readonly entry: Bytes;
  /** The `.tlog-proof` document. */
  readonly proof: string;
  readonly origin: string;
  readonly vkey: string;
}

/** The evidence is not in the form that its specification demands. */
export class FormatError extends Error {}

/** This browser, or the way the page was reached, does not offer the needed cryptography. */
export class CryptoMissing extends Error {}

const HASH_BYTES = 32; // SHA-256
const ED25519_KEY_TYPE = 1; // signed-note signature type
const ED25519_SIGNATURE_BYTES = 64; // RFC 8032
const NOTE_SIGNATURES_MAX = 100; // lines; the specification asks verifiers to accept at least 16
const PROOF_HASHES_MAX = 64; // a tree of 2^63 leaves is 63 levels deep
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DECIMAL = /^(?:0|[1-9][0-9]{0,18})$/;
const PROOF_MAGIC = "c2sp.org/tlog-proof@v1";

export function decodeBase64(text: string): Bytes {
  if (!BASE64.test(text)) throw new FormatError("not standard base64");
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  if (encodeBase64(bytes) !== text) throw new FormatError("base64 with stray bits at its end");
  return bytes;
}

export function encodeBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, i) => byte === right[i]);
}

function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function subtle(): SubtleCrypto {
  const found: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (!found) {
    throw new CryptoMissing("Browsers offer cryptography only to pages opened over HTTPS or on this same machine (127.0.0.1).");
  }
  return found;
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await subtle().digest("SHA-256", bytes));
}

export function leafHash(entry: Uint8Array): Promise<Bytes> {
  return sha256(concat(Uint8Array.of(0), entry));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(concat(Uint8Array.of(1), left, right));
}

/** The root that an inclusion proof leads to (RFC 9162 §2.1.3.2), or null when its form does not fit a tree of this size. */
export async function rootFromInclusion(
  leaf: Bytes,
  index: bigint,
  size: bigint,
  hashes: readonly Bytes[],
): Promise<Bytes | null> {
  if (index >= size || [leaf, ...hashes].some((hash) => hash.length !== HASH_BYTES)) return null;
  let node = index;
  let last = size - 1n;
  let root = leaf;
  for (const hash of hashes) {
    if (last === 0n) return null;
    if ((node & 1n) === 1n || node === last) {
      root = await nodeHash(hash, root);
      while ((node & 1n) === 0n && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      root = await nodeHash(root, hash);
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? root : null;
}

export function parseNote(note: string): Note {
  const controls = Array.from(note).some((c) => c < " " && c !== "\n");
  if (controls) throw new FormatError("the note has control characters");
  const split = note.lastIndexOf("\n\n");
  if (split < 0 || !note.endsWith("\n")) throw new FormatError("the note has no signature block");
  const lines = note.slice(split + 2, -1).split("\n");
  if (lines.length > NOTE_SIGNATURES_MAX) throw new FormatError("the note has too many signatures");
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): NoteSignature {
  const match = /^\u2014 ([^\s+]+) (\S+)$/u.exec(line);
  if (!match) throw new FormatError("a signature line of the note is malformed");
  const blob = decodeBase64(match[2] ?? "");
  if (blob.length < 5) throw new FormatError("a signature of the note is too short");
  return { name: match[1] ?? "", keyId: toHex(blob.subarray(0, 4)), signature: blob.slice(4) };
}

export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split("\n");
  const [origin, size, root, ...rest] = lines;
  if (!origin || !size || !root || rest.pop() !== "") throw new FormatError("the checkpoint lacks origin, size or root");
  if (rest.includes("")) throw new FormatError("the checkpoint has an empty extension line");
  if (!DECIMAL.test(size)) throw new FormatError("the checkpoint's size is not a number");
  const hash = decodeBase64(root);
  if (hash.length !== HASH_BYTES) throw new FormatError("the checkpoint's root is not 32 bytes");
  return { origin, size: BigInt(size), root: hash };
}

/** A key as `name+id+base64`; the id is recomputed, so a mistyped key is refused rather than not found. */
export async function parseVerifierKey(vkey: string): Promise<VerifierKey> {
  if (vkey === "") throw new FormatError("the server names no key for this log");
  const first = vkey.indexOf("+");
  const second = vkey.indexOf("+", first + 1); // base64 may hold further plus signs
  if (first < 1 || second < 0) throw new FormatError("the log's key is not a verifier key");
  const name = vkey.slice(0, first);
  const keyId = vkey.slice(first + 1, second);
  const key = decodeBase64(vkey.slice(second + 1));
  if (key[0] !== ED25519_KEY_TYPE || key.length !== 1 + HASH_BYTES) throw new FormatError("the log's key is not Ed25519");
  const digest = await sha256(concat(new TextEncoder().encode(`${name}\n`), key));
  if (toHex(digest.subarray(0, 4)) !== keyId) throw new FormatError("the log's key does not have the id that it claims");
  return { name, keyId, publicKey: key.slice(1) };
}

export type NoteVerdict = "signed" | "no known signature" | "bad signature";

export async function verifyNote(note: Note, key: VerifierKey): Promise<NoteVerdict> {
  const known = note.signatures.filter((s) => s.name === key.name && s.keyId === key.keyId);
  if (known.length === 0) return "no known signature";
  const publicKey = await importEd25519(key.publicKey);
  const signed = new TextEncoder().encode(note.text);
  for (const { signature } of known) {
    const sound =
      signature.length === ED25519_SIGNATURE_BYTES &&
      (await subtle().verify("Ed25519", publicKey, signature, signed));
    if (!sound) return "bad signature";
  }
  return "signed";
}

async function importEd25519(raw: Bytes): Promise<CryptoKey> {
  const crypto = subtle();
  try {
    return await crypto.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotSupportedError") {
      throw new CryptoMissing("This browser has no Ed25519 signatures. Chrome 137, Firefox 129, Safari 17 and later have.");
    }
    throw new FormatError("the log's key is not a point of the curve");
  }
}

export function parseProof(text: string): TlogProof {
  const split = text.indexOf("\n\n");
  if (split < 0) throw new FormatError("the proof holds no checkpoint");
  const lines = text.slice(0, split).split("\n");
  if (lines.shift() !== PROOF_MAGIC) throw new FormatError("not a tlog-proof document");
  if (lines[0]?.startsWith("extra ")) decodeBase64((lines.shift() ?? "").slice("extra ".length));
  const index = /^index (\d+)$/.exec(lines.shift() ?? "")?.[1] ?? "";
  if (!DECIMAL.test(index)) throw new FormatError("the proof has no index");
  if (lines.length > PROOF_HASHES_MAX) throw new FormatError("the proof is longer than any tree is deep");
  const hashes = lines.map(decodeBase64);
  if (hashes.some((hash) => hash.length !== HASH_BYTES)) throw new FormatError("a hash of the proof is not 32 bytes");
  const note = parseNote(text.slice(split + 2));
  return { index: BigInt(index), hashes, note, checkpoint: parseCheckpoint(note.text) };
}

const PROVES = {
  record: "The record below is, byte for byte, the one that was hashed, and it is the receipt you opened.",
  inclusion: "Exactly this record leads to the root that the checkpoint states; one changed bit would lead elsewhere.",
  signature: "The holder of the log’s key committed to this root, and with it to every record in the log at that time.",
} as const;

const TITLES = { record: "Record hashed", inclusion: "Included in the log", signature: "Checkpoint signed" } as const;

type Found = Pick<Step, "state" | "detail" | "facts">;

async function judge(id: keyof typeof TITLES, look: () => Promise<Found>): Promise<Step> {
  const frame = { id, title: TITLES[id], proves: PROVES[id] };
  try {
    return { ...frame, ...(await look()) };
  } catch (error) {
    if (error instanceof CryptoMissing) return { ...frame, state: "unable", detail: error.message, facts: [] };
    if (error instanceof FormatError) return { ...frame, state: "fail", detail: `Unreadable: ${error.message}.`, facts: [] };
    throw error;
  }
}

/** The entry as a JSON object; throws FormatError for anything else. */
export function parseEntry(entry: Bytes): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(entry));
  } catch {
    throw new FormatError("the record is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new FormatError("the record is not a JSON object");
  return value as Record<string, unknown>;
}

async function judgeRecord(evidence: ReceiptEvidence): Promise<Found> {
  const leaf = await leafHash(evidence.entry);
  const facts = [
    ["Record", `${evidence.entry.length.toLocaleString("en")} bytes`],
    ["Leaf hash", toHex(leaf)],
  ] as const;
  const { id } = parseEntry(evidence.entry);
  if (id !== evidence.receipt) {
    return { state: "fail", detail: `The server sent the record of another call (${String(id)}).`, facts };
  }
  return { state: "pass", detail: `SHA-256 over the record’s ${evidence.entry.length.toLocaleString("en")} exact bytes.`, facts };
}

async function judgeInclusion(evidence: ReceiptEvidence, proof: TlogProof): Promise<Found> {
  const { size, root } = proof.checkpoint;
  const leaf = await leafHash(evidence.entry);
  const reached = await rootFromInclusion(leaf, proof.index, size, proof.hashes);
  const facts: (readonly [string, string])[] = [
    ["Place in the log", `entry ${proof.index} of ${size}`],
    ["Signed root", toHex(root)],
  ];
  if (reached === null) {
    return { state: "fail", detail: `A proof of ${proof.hashes.length} hashes does not fit entry ${proof.index} of ${size}.`, facts };
  }
  facts.push(["Computed root", toHex(reached)]);
  if (!sameBytes(reached, root)) {
    return { state: "fail", detail: "The record does not lead to the checkpoint’s root: record, proof or checkpoint was changed.", facts };
  }
  return { state: "pass", detail: `${proof.hashes.length} hashes lead from entry ${proof.index} to the root of all ${size}.`, facts };
}

async function judgeSignature(evidence: ReceiptEvidence, proof: TlogProof): Promise<Found> {
  const key = await parseVerifierKey(evidence.vkey);
  const facts = [["Log", proof.checkpoint.origin], ["Log key", evidence.vkey]] as const;
  if (proof.checkpoint.origin !== evidence.origin) {
    return { state: "fail", detail: `The checkpoint is of another log, ${proof.checkpoint.origin}.`, facts };
  }
  const verdict = await verifyNote(proof.note, key);
  if (verdict === "no known signature") return { state: "fail", detail: "The checkpoint is not signed by this log’s key.", facts };
  if (verdict === "bad signature") return { state: "fail", detail: "The signature does not fit the checkpoint: it was changed after signing.", facts };
  return { state: "pass", detail: `Ed25519 signature of key ${key.keyId} over the checkpoint of ${proof.checkpoint.origin}.`, facts };
}

/** Judges a receipt. Never throws for bad evidence: a step says what is wrong with it. */
export async function verifyReceipt(evidence: ReceiptEvidence): Promise<Verification> {
  let proof: TlogProof | FormatError;
  try {
    proof = parseProof(evidence.proof);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    proof = error;
  }
  const readable = (): TlogProof => {
    if (proof instanceof FormatError) throw proof;
    return proof;
  };
  const steps = [
    await judge("record", () => judgeRecord(evidence)),
    await judge("inclusion", async () => judgeInclusion(evidence, readable())),
    await judge("signature", async () => judgeSignature(evidence, readable())),
  ];
  const worst = (["fail", "unable"] as const).find((state) => steps.some((step) => step.state === state));
  return { state: worst ?? "pass", steps, checkpoint: proof instanceof FormatError ? null : proof.checkpoint };
}
