// The stream as it comes: cut anywhere, and the turn that it makes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode } from "../src/api.ts";
import { advance, fail, newTurn, referencesOf, tailOf, type Citation } from "../src/ask.ts";
import { readEvents, StreamError, type ServerEvent } from "../src/sse.ts";

async function read(chunks: readonly Uint8Array[]): Promise<ServerEvent[]> {
  async function* body() {
    yield* chunks;
  }
  const events: ServerEvent[] = [];
  for await (const event of readEvents(body())) events.push(event);
  return events;
}

const STREAM = 'event: text\ndata: {"text":"𝛽 é"}\n\n: comment\r\nevent: done\r\ndata: one\r\ndata:two\r\n\r\ndata: bare\r\rid: 7\nevent: ignored\n\nevent: unfinished\ndata: x\n';
const EXPECTED = [
  { event: "text", data: '{"text":"𝛽 é"}' },
  { event: "done", data: "one\ntwo" },
  { event: "message", data: "bare" },
];

test("events are the same wherever the network cuts the stream", async () => {
  const bytes = new TextEncoder().encode(STREAM);
  assert.deepEqual(await read([bytes]), EXPECTED);
  assert.deepEqual(await read(Array.from(bytes, (byte) => Uint8Array.of(byte))), EXPECTED);
  for (let at = 1; at < bytes.length; at += 1) assert.deepEqual(await read([bytes.slice(0, at), bytes.slice(at)]), EXPECTED, `cut at ${at}`);
});

test("an event without an end does not fill the memory", async () => {
  const piece = new TextEncoder().encode("x".repeat(1 << 20));
  await assert.rejects(read(Array.from({ length: 20 }, () => piece)), StreamError);
  const line = new TextEncoder().encode(`data: ${"x".repeat(1 << 20)}\n`);
  await assert.rejects(read(Array.from({ length: 20 }, () => line)), StreamError);
});

test("events outside the contract are errors", () => {
  for (const [event, data] of [["text", "{"], ["text", "{}"], ["text", "null"], ["surprise", "{}"], ["sources", "{}"], ["sentence", '{"text":"x"}'], ["sentence", '{"text":"x","citations":[{}]}'], ["sentence", '{"text":"x","citations":[null]}'], ["sources", '{"hits":[null]}'], ["done", "{}"], ["done", '{"answer":"","receipt":"r","sentences":[{}]}'], ["error", "null"]] as const) {
    assert.throws(() => decode(event, data), /cannot read/, `${event} ${data}`);
  }
  assert.deepEqual(decode("error", '{"error":{"type":"t","message":"m"},"receipt":null}'), { kind: "error", problem: { type: "t", message: "m", hint: null }, receipt: null });
});

const CITATION: Citation = { collection: "c", document: "d", title: "D", version: 1, page: 1, start: 0, end: 5, quote: "Hello", score: 1 };
const OTHER: Citation = { ...CITATION, start: 9 };

test("a turn grows, keeps its numbers, and ends as the stream says", () => {
  let turn = newTurn(1, "c", "q", 0);
  turn = advance(turn, { kind: "text", text: "Hello. Wor" }, 1);
  assert.equal(tailOf(turn), "Hello. Wor");
  turn = advance(turn, { kind: "sentence", sentence: { text: "Hello.", supported: true, citations: [CITATION] } }, 2);
  assert.equal(tailOf(turn), "Wor");
  const done = { answer: "Hello. World.", refused: false, reason: null, citations: [], receipt: "r", model: "m", usage: null };
  const sentences = [{ text: "Hello.", supported: true, citations: [CITATION] }, { text: "World.", supported: true, citations: [OTHER, { ...CITATION }] }];
  turn = advance(turn, { kind: "done", done: { ...done, sentences } }, 3);
  assert.equal(turn.phase, "answered");
  assert.deepEqual([...referencesOf(turn).values()].map((r) => [r.n, r.citation.start]), [[1, 0], [2, 9]]);
  assert.equal(tailOf(turn), "");
});

test("a failure keeps what was seen and the receipt that was named", () => {
  const turn = { ...newTurn(1, "c", "q", 0), receipt: "r-1", streamed: "Half an" };
  const failed = fail(turn, { type: "t", message: "m", hint: null }, null, 5);
  assert.deepEqual([failed.phase, failed.receipt, failed.streamed, failed.endedMs], ["failed", "r-1", "Half an", 5]);
});
