/**
 * Text positions. The platform counts Unicode code points, JavaScript counts UTF-16 units: every offset that crosses the border goes
 * through here. Also cuts long pages into blocks, so that the browser lays out only what is on screen.
 */

export interface Page {
  readonly number: number;
  readonly start: number;
  readonly end: number;
  readonly label: string | null;
}

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A run of text that is plain or belongs to one highlighted span. Offsets are UTF-16. */
export interface Run extends Span {
  /** Index into the spans that were asked for, or null for plain text. */
  readonly span: number | null;
}

export interface Block {
  readonly start: number;
  readonly runs: readonly Run[];
}

const BLOCK_UNITS_MIN = 3_000; // UTF-16 units; about two screens, so that layout work stays small in long pages
const BLOCK_UNITS_MAX = 12_000; // UTF-16 units; cut a text without line ends here
const SURROGATE = /[\ud800-\udfff]/;

/** Turns code point offsets into UTF-16 offsets; offsets beyond the text become its end. */
export function utf16Offsets(text: string, codePoints: readonly number[]): number[] {
  if (!SURROGATE.test(text)) return codePoints.map((offset) => Math.min(Math.max(offset, 0), text.length));
  const order = codePoints.map((offset, i) => [offset, i] as const).sort((a, b) => a[0] - b[0]);
  const result = new Array<number>(codePoints.length).fill(text.length);
  let unit = 0;
  let point = 0;
  for (const [offset, i] of order) {
    while (point < offset && unit < text.length) {
      unit += isPair(text, unit) ? 2 : 1;
      point += 1;
    }
    result[i] = unit;
  }
  return result;
}

function isPair(text: string, unit: number): boolean {
  const high = text.charCodeAt(unit);
  const low = text.charCodeAt(unit + 1);
  return high >= 0xd800 && high <= 0xdbff && low >= 0xdc00 && low <= 0xdfff;
}

/** The pages with UTF-16 offsets; a document without pages is one page. */
export function pagesInUnits(text: string, pages: readonly Page[]): Page[] {
  if (pages.length === 0) return [{ number: 1, start: 0, end: text.length, label: null }];
  const units = utf16Offsets(text, pages.flatMap((page) => [page.start, page.end]));
  return pages.map((page, i) => ({ ...page, start: units[2 * i] ?? 0, end: units[2 * i + 1] ?? 0 }));
}

export function spansInUnits(text: string, spans: readonly Span[]): Span[] {
  const units = utf16Offsets(text, spans.flatMap((span) => [span.start, span.end]));
  return spans.map((_, i) => ({ start: units[2 * i] ?? 0, end: units[2 * i + 1] ?? 0 }));
}

/** Cuts a page at line ends into blocks, and each block into plain and highlighted runs. Nothing of the text is lost or repeated. */
export function blocksOf(text: string, page: Span, spans: readonly Span[]): Block[] {
  const blocks: Block[] = [];
  let start = page.start;
  while (start < page.end) {
    const end = blockEnd(text, start, page.end);
    blocks.push({ start, runs: runsOf({ start, end }, spans) });
    start = end;
  }
  return blocks;
}

function blockEnd(text: string, start: number, limit: number): number {
  if (limit - start <= BLOCK_UNITS_MAX) return limit;
  const newline = text.indexOf("\n", start + BLOCK_UNITS_MIN);
  if (newline >= 0 && newline < start + BLOCK_UNITS_MAX) return newline + 1;
  const cut = start + BLOCK_UNITS_MAX;
  return isPair(text, cut - 1) ? cut + 1 : cut;
}

function runsOf(block: Span, spans: readonly Span[]): Run[] {
  const edges = new Set([block.start, block.end]);
  for (const span of spans) {
    if (span.start > block.start && span.start < block.end) edges.add(span.start);
    if (span.end > block.start && span.end < block.end) edges.add(span.end);
  }
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(0, -1).map((start, i) => {
    const end = sorted[i + 1] ?? block.end;
    const index = spans.findIndex((span) => span.start <= start && end <= span.end);
    return { start, end, span: index < 0 ? null : index };
  });
}

/**
 * What of the streamed text is not yet covered by finished sentences. White space is ignored in the comparison, because sentences are
 * joined anew; text that a guard rewrote matches nothing and is not shown twice.
 */
export function unfinished(streamed: string, sentences: readonly string[]): string {
  let at = 0;
  for (const character of sentences.join("")) {
    if (/\s/.test(character)) continue;
    while (at < streamed.length && /\s/.test(streamed.charAt(at))) at += 1;
    if (!streamed.startsWith(character, at)) return "";
    at += character.length;
  }
  return streamed.slice(at).trimStart();
}
