// Offsets across the border of code points and UTF-16, blocks, and the unfinished tail of a stream.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, pagesInUnits, spansInUnits, unfinished, utf16Offsets } from "../src/text.ts";

/** A small deterministic generator, so that a failure can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const ALPHABET = ["a", "ß", "\n", " ", "語", "𝛽", "🧪", "👩‍🔬", "é", "\ud800", "\udc00"];

test("offsets agree with counting code points one by one", () => {
  const next = random(7);
  for (let round = 0; round < 300; round += 1) {
    const text = Array.from({ length: Math.floor(next() * 60) }, () => ALPHABET[Math.floor(next() * ALPHABET.length)]).join("");
    const points = Array.from(text);
    const wanted = Array.from({ length: 6 }, () => Math.floor(next() * (points.length + 1)));
    assert.deepEqual(utf16Offsets(text, wanted), wanted.map((n) => points.slice(0, n).join("").length));
  }
  assert.deepEqual(utf16Offsets("𝛽a", [99, -1, 1]), [3, 0, 2]);
  assert.deepEqual(utf16Offsets("ab", [99, -1]), [2, 0]);
});

test("a quote behind characters beyond the basic plane is found where Python put it", () => {
  const text = "🧪🧪 𝛽-release: dose is 150 mg.";
  const quote = "dose is 150 mg.";
  const start = Array.from(text).join("\u0000").split("\u0000").length - Array.from(quote).length; // as Python counts
  const [span] = spansInUnits(text, [{ start, end: start + quote.length }]);
  assert.equal(text.slice(span?.start, span?.end), quote);
});

test("blocks hold the whole page, in order, with each mark in one piece or more", () => {
  const next = random(11);
  for (let round = 0; round < 60; round += 1) {
    const line = () => "word 🧪 ".repeat(Math.floor(next() * 900)) + (next() < 0.7 ? "\n" : "");
    const text = Array.from({ length: 12 }, line).join("");
    const cut = () => Math.floor(next() * text.length);
    const spans = Array.from({ length: 3 }, () => {
      const [start, end] = [cut(), cut()].sort((a, b) => a - b) as [number, number];
      return { start, end };
    });
    const runs = blocksOf(text, { start: 0, end: text.length }, spans).flatMap((block) => block.runs);
    assert.equal(runs.map((run) => text.slice(run.start, run.end)).join(""), text);
    const marked = runs.filter((run) => run.span === 0).map((run) => text.slice(run.start, run.end)).join("");
    assert.equal(marked, text.slice(spans[0]?.start, spans[0]?.end));
    assert.ok(runs.every((run) => !/^[\udc00-\udfff]/.test(text.slice(run.start)) || spans.some((s) => s.start === run.start || s.end === run.start)));
  }
  assert.deepEqual(blocksOf("", { start: 0, end: 0 }, []), []);
});

test("a document without pages is one page", () => {
  assert.deepEqual(pagesInUnits("🧪a", []), [{ number: 1, start: 0, end: 3, label: null }]);
});

test("the tail is what no finished sentence covers", () => {
  assert.equal(unfinished("First one. Second", ["First one."]), "Second");
  assert.equal(unfinished("First  one.\nSecond one. ", ["First one.", "Second one."]), "");
  assert.equal(unfinished("Half", []), "Half");
  assert.equal(unfinished("The name is John. He", ["The name is [redacted]."]), "");
});
