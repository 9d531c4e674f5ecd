// The verifier against published vectors (transparency-dev/merkle and tessera, Apache-2.0; C2SP signed-note; Go's checksum database) and
// against every single-bit change of a proof.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { generateKeyPairSync, sign, createHash } from "node:crypto";
import { test } from "node:test";
import {
  decodeBase64, encodeBase64, leafHash, nodeHash, parseCheckpoint, parseEntry, parseNote, parseProof, parseVerifierKey, rootFromInclusion,
  toHex, verifyNote, verifyReceipt, FormatError, type Bytes,
} from "../src/verify.ts";

const utf8 = (text: string): Bytes => new TextEncoder().encode(text);
const fromHex = (hex: string): Bytes => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

const LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"].map(fromHex);
const ROOTS = [
  "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
  "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
  "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const split = (n: number): number => 2 ** Math.floor(Math.log2(n - 1));

async function rootOf(leaves: readonly Bytes[]): Promise<Bytes> {
  const [first] = leaves;
  if (leaves.length === 1 && first) return leafHash(first);
  const k = split(leaves.length);
  return nodeHash(await rootOf(leaves.slice(0, k)), await rootOf(leaves.slice(k)));
}

async function proofOf(leaves: readonly Bytes[], index: number): Promise<Bytes[]> {
  if (leaves.length === 1) return [];
  const k = split(leaves.length);
  const [same, other] = index < k ? [leaves.slice(0, k), leaves.slice(k)] : [leaves.slice(k), leaves.slice(0, k)];
  return [...(await proofOf(same, index < k ? index : index - k)), await rootOf(other)];
}

test("leaf and node hashes are those of RFC 6962", async () => {
  assert.equal(toHex(await leafHash(utf8(""))), ROOTS[0]);
  assert.equal(toHex(await leafHash(utf8("L123456"))), "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56");
  assert.equal(toHex(await nodeHash(utf8("N123"), utf8("N456"))), "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb");
});

test("every leaf of the reference trees leads to the published root, and to no other", async () => {
  for (let size = 1; size <= LEAVES.length; size += 1) {
    for (let index = 0; index < size; index += 1) {
      const leaves = LEAVES.slice(0, size);
      const hashes = await proofOf(leaves, index);
      const leaf = await leafHash(leaves[index] as Bytes);
      assert.equal(toHex((await rootFromInclusion(leaf, BigInt(index), BigInt(size), hashes)) as Bytes), ROOTS[size - 1]);
      assert.equal(await rootFromInclusion(leaf, BigInt(size), BigInt(size), hashes), null);
      assert.equal(await rootFromInclusion(leaf, BigInt(index), BigInt(size), [...hashes, leaf]), null);
      if (hashes.length > 0) assert.equal(await rootFromInclusion(leaf, BigInt(index), BigInt(size), hashes.slice(1)), null);
    }
  }
});

const EXAMPLE_NOTE =
  "This is an example message.\n\n\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const TESSERA_KEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
const TESSERA_NOTE =
  "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n\n\u2014 example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n";

test("published signed notes verify under their keys and under no others", async () => {
  assert.equal(await verifyNote(parseNote(EXAMPLE_NOTE), await parseVerifierKey(EXAMPLE_KEY)), "signed");
  assert.equal(await verifyNote(parseNote(TESSERA_NOTE), await parseVerifierKey(TESSERA_KEY)), "signed");
  assert.equal(await verifyNote(parseNote(TESSERA_NOTE), await parseVerifierKey(EXAMPLE_KEY)), "no known signature");
  assert.equal(await verifyNote(parseNote(EXAMPLE_NOTE.replace("an example", "no example")), await parseVerifierKey(EXAMPLE_KEY)), "bad signature");
  assert.deepEqual(parseCheckpoint(parseNote(TESSERA_NOTE).text).size, 15n);
});

test("a key that is not what it says is refused", async () => {
  for (const key of ["", "no-plus", "name+00000000+AAAA", EXAMPLE_KEY.replace("530d903a", "530d903b"), EXAMPLE_KEY.slice(0, -4), EXAMPLE_KEY.replace("foo", "bar")]) {
    await assert.rejects(parseVerifierKey(key), FormatError, key);
  }
});

test("malformed notes, checkpoints and base64 are refused", () => {
  for (const note of ["", "text", "text\n\n", "text\n\n\u2014 a\n", "text\n\n- name AAAAAAAA\n", "text\n\n\u2014 name AAAA\n", "te\u0001xt\n\n\u2014 n AAAAAAAA\n", EXAMPLE_NOTE.trimEnd()]) {
    assert.throws(() => parseNote(note), FormatError, JSON.stringify(note));
  }
  const root = encodeBase64(new Uint8Array(32));
  for (const text of ["", "o\n1\n", `o\n01\n${root}\n`, `o\n-1\n${root}\n`, `\n1\n${root}\n`, `o\n1\nAAAA\n`, `o\n1\n${root}`, `o\n1\n${root}\n\nx\n`]) {
    assert.throws(() => parseCheckpoint(text), FormatError, JSON.stringify(text));
  }
  for (const text of ["A", "AA", "A A=", "AB==", "AAAA\n", "-_-_"]) assert.throws(() => decodeBase64(text), FormatError, text);
  for (const entry of ["", "[]", "null", "1", "{"]) assert.throws(() => parseEntry(utf8(entry)), FormatError, entry);
  assert.throws(() => parseEntry(Uint8Array.of(0x7b, 0xff, 0x7d)), FormatError);
});

/** A receipt in a small real log with a key of its own. */
async function receipt(size: number, index: number) {
  const origin = "log.example/one";
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.concat([Buffer.of(1), Buffer.from((publicKey.export({ format: "jwk" }) as { x: string }).x, "base64url")]);
  const keyId = createHash("sha256").update(`${origin}\n`).update(raw).digest().subarray(0, 4);
  const entries = Array.from({ length: size }, (_, i) => utf8(JSON.stringify({ id: `r-${i}`, n: i })));
  const text = `${origin}\n${size}\n${encodeBase64(await rootOf(entries))}\n`;
  const blob = Buffer.concat([keyId, sign(null, Buffer.from(text), privateKey)]);
  const note = `${text}\n\u2014 ${origin} ${blob.toString("base64")}\n`;
  const hashes = (await proofOf(entries, index)).map((hash) => `${encodeBase64(hash)}\n`).join("");
  return {
    receipt: `r-${index}`, entry: entries[index] as Bytes, origin, vkey: `${origin}+${keyId.toString("hex")}+${raw.toString("base64")}`,
    proof: `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes}\n${note}`,
  };
}

const states = (v: Awaited<ReturnType<typeof verifyReceipt>>): string => v.steps.map((step) => step.state).join(" ");

test("a receipt verifies, also the only one of its log, and with an extra line", async () => {
  for (const [size, index] of [[1, 0], [2, 1], [7, 6], [13, 4]] as const) {
    const good = await receipt(size, index);
    assert.equal(states(await verifyReceipt(good)), "pass pass pass");
    const extra = { ...good, proof: good.proof.replace("@v1\n", "@v1\nextra AAAA\n") };
    assert.equal(states(await verifyReceipt(extra)), "pass pass pass");
  }
});

test("each kind of tampering fails the step that it touches", async () => {
  const good = await receipt(13, 4);
  const other = await receipt(13, 5);
  assert.equal(states(await verifyReceipt({ ...good, entry: utf8(`{"id":"r-4","n":5}`) })), "pass fail pass");
  assert.equal(states(await verifyReceipt({ ...good, receipt: "r-9" })), "fail pass pass");
  assert.equal(states(await verifyReceipt({ ...good, vkey: other.vkey })), "pass pass fail");
  assert.equal(states(await verifyReceipt({ ...good, origin: "log.example/two" })), "pass pass fail");
  assert.equal(states(await verifyReceipt({ ...good, vkey: "" })), "pass pass fail");
  assert.equal(states(await verifyReceipt({ ...good, proof: "" })), "pass fail fail");
  assert.equal(states(await verifyReceipt({ ...good, proof: good.proof.replace("index 4", "index 5") })), "pass fail pass");
  assert.equal(states(await verifyReceipt({ ...good, proof: good.proof.replace("index 4", "index 99") })), "pass fail pass");
  assert.equal(states(await verifyReceipt({ ...good, proof: good.proof.replace("\n13\n", "\n14\n") })), "pass pass fail");
});

test("no single changed bit of record or proof verifies", async () => {
  const good = await receipt(5, 2);
  const proof = utf8(good.proof);
  for (const [what, bytes] of [["entry", good.entry], ["proof", proof]] as const) {
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ (1 << at % 8);
      const evidence = what === "entry" ? { ...good, entry: changed } : { ...good, proof: new TextDecoder().decode(changed) };
      const found = await verifyReceipt(evidence);
      assert.equal(found.state, "fail", `${what}, byte ${at}`);
    }
  }
});

test("without WebCrypto nothing is said to be proved", async () => {
  const good = await receipt(3, 1);
  const original = Object.getOwnPropertyDescriptor(globalThis, "crypto") as PropertyDescriptor;
  Object.defineProperty(globalThis, "crypto", { value: {}, configurable: true });
  try {
    const found = await verifyReceipt(good);
    assert.equal(found.state, "unable");
    assert.equal(states(found), "unable unable unable");
  } finally {
    Object.defineProperty(globalThis, "crypto", original);
  }
});

const SHARED = new URL("../../../shared/data/dev/audit_log/merkle_proof_vectors.jsonl", import.meta.url);

test("all published inclusion vectors agree", { skip: existsSync(SHARED) ? false : "the vector file is not here" }, async () => {
  interface Vector { kind: string; desc: string; leafIdx: number; treeSize: number; root: string; leafHash: string; proof: string[] | null; wantErr: boolean }
  const vectors = readFileSync(SHARED, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Vector).filter((v) => v.kind === "inclusion");
  assert.ok(vectors.length > 20);
  for (const v of vectors) {
    const bytes = (text: string): Bytes => Uint8Array.from(Buffer.from(text ?? "", "base64"));
    const reached = await rootFromInclusion(bytes(v.leafHash), BigInt(v.leafIdx), BigInt(v.treeSize), (v.proof ?? []).map(bytes));
    assert.equal(reached !== null && toHex(reached) === toHex(bytes(v.root)), !v.wantErr, `${v.desc} ${v.leafIdx}/${v.treeSize}`);
  }
});

test("proofs that are no proofs are refused", () => {
  for (const text of ["", "c2sp.org/tlog-proof@v2\nindex 0\n\n" + TESSERA_NOTE, "c2sp.org/tlog-proof@v1\n\n" + TESSERA_NOTE, "c2sp.org/tlog-proof@v1\nindex 01\n\n" + TESSERA_NOTE,
    "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\n" + TESSERA_NOTE, `c2sp.org/tlog-proof@v1\nindex 0\n${`${encodeBase64(new Uint8Array(32))}\n`.repeat(65)}\n${TESSERA_NOTE}`]) {
    assert.throws(() => parseProof(text), FormatError, text.slice(0, 60));
  }
});
