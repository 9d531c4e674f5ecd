// What the browser remembers of a log, and whether an answer's quotes are the record's.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { judgeQuotes } from "../src/quotes.ts";
import { forget, recollect, type Sighting } from "../src/trust.ts";

function store() {
  const map = new Map<string, string>();
  return { getItem: (k: string) => map.get(k) ?? null, setItem: (k: string, v: string) => void map.set(k, v), removeItem: (k: string) => void map.delete(k) };
}

function sighting(size: number, { vkey = "k1", root = size, stated = size } = {}): Sighting {
  return { vkey, stated, now: "2026-11-25T12:00:00Z", checkpoint: { origin: "log", size: BigInt(size), root: new Uint8Array(32).fill(root) } };
}

test("a log is remembered, grows, and is noticed when it changes", () => {
  const memory = store();
  assert.equal(recollect(memory, sighting(5)).kind, "first");
  assert.equal(recollect(memory, sighting(9)).kind, "known");
  assert.equal(recollect(memory, sighting(7, { stated: 9 })).kind, "known", "an older checkpoint of a log that has not shrunk");
  assert.equal(recollect(memory, sighting(9, { root: 200 })).kind, "forked");
  assert.equal(recollect(memory, sighting(7, { stated: 7 })).kind, "shrunk");
  assert.equal(recollect(memory, sighting(12, { vkey: "k2" })).kind, "key-changed");
  assert.equal(recollect(memory, sighting(9)).kind, "known", "what disagreed was not remembered");
  forget(memory, "log");
  assert.equal(recollect(memory, sighting(3, { vkey: "k2" })).kind, "first");
});

test("memory that is damaged or full is as good as none", () => {
  for (const text of ["", "{", "null", "[]", '{"vkey":1}', '{"vkey":"k","size":"x","root":"r","since":"s"}']) {
    const memory = store();
    memory.setItem("tiffin.log.log", text);
    assert.equal(recollect(memory, sighting(5)).kind, "first", text);
  }
  const full = { ...store(), setItem: () => { throw new DOMException("full", "QuotaExceededError"); } };
  assert.equal(recollect(full, sighting(5)).kind, "first");
});

test("quotes must have the digest and the place that the record names", async () => {
  const quote = "ALT \u{1d6fd} above three times the limit";
  const salt = "00ff10";
  const digest = createHash("sha256").update(Buffer.from(salt, "hex")).update(quote).digest("hex");
  const citation = { collection: "c", document: "d", title: "D", version: 2, page: 1, start: 4, end: 40, quote, score: 1 };
  const entry = (sources: unknown) => new TextEncoder().encode(JSON.stringify({ id: "r", sources }));
  const source = { collection: "c", digest, version: 2, chunk: "x", start: 4, end: 40 };
  assert.equal((await judgeQuotes(entry([source]), [citation], salt)).state, "pass");
  for (const change of [{ quote: `${quote}.` }, { version: 1 }, { start: 5 }, { end: 41 }, { collection: "e" }]) {
    assert.equal((await judgeQuotes(entry([source]), [citation, { ...citation, ...change }], salt)).state, "fail", JSON.stringify(change));
  }
  assert.equal((await judgeQuotes(entry([]), [citation], salt)).state, "fail");
  assert.equal((await judgeQuotes(entry([source]), [citation], "00ff11")).state, "fail");
  assert.equal((await judgeQuotes(entry([source]), [citation], null)).state, "unable");
  assert.equal((await judgeQuotes(entry({ count: 900, digest }), [citation], salt)).state, "unable");
});
