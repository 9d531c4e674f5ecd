/** Ties the answer on the screen to its record: every quote must have the digest, collection, version and place that the record names. */
import type { Citation } from "./ask.ts";
import { parseEntry, sha256, toHex, type Bytes, type Step } from "./verify.ts";

export interface EntrySource {
  readonly collection: string;
  readonly digest: string;
  readonly version: number;
  readonly chunk: string;
  readonly start: number;
  readonly end: number;
}

const FRAME = {
  id: "quotes",
  title: "Quotes recorded",
  proves: "The quotes you read are the ones that the record names: same text, same document version, same place.",
  facts: [],
} as const;

/** The record's sources, or null where it is too long to list them and holds one digest of all. */
export function sourcesOf(entry: Record<string, unknown>): readonly EntrySource[] | null {
  const sources = entry["sources"];
  if (sources === undefined) return [];
  if (!Array.isArray(sources)) return null;
  return sources.map((value: unknown) => {
    const { collection, digest, version, chunk, start, end } = value as Partial<EntrySource>;
    // The log leaves out fields at their default.
    return { collection: collection ?? "", digest: digest ?? "", version: version ?? 0, chunk: chunk ?? "", start: start ?? 0, end: end ?? 0 };
  });
}

/** SHA-256 of the receipt's salt and the quote: without the salt, nobody can test guesses against the public log. */
export async function quoteDigest(salt: string, quote: string): Promise<string> {
  const bytes = salt.match(/[0-9a-f]{2}/g) ?? [];
  return toHex(await sha256(new Uint8Array([...bytes.map((pair) => Number.parseInt(pair, 16)), ...new TextEncoder().encode(quote)])));
}

/** Compares the citations of an answer with its verified entry bytes. */
export async function judgeQuotes(entry: Bytes, citations: readonly Citation[], salt: string | null): Promise<Step> {
  const sources = sourcesOf(parseEntry(entry));
  if (sources === null) {
    return { ...FRAME, state: "unable", detail: "The record holds too many sources to list them one by one." };
  }
  if (salt === null) {
    return { ...FRAME, state: "unable", detail: "The content of this call cannot be read any more, and without its salt no quote can be compared." };
  }
  const missing: string[] = [];
  for (const citation of citations) {
    const digest = await quoteDigest(salt, citation.quote);
    if (!sources.some((source) => source.digest === digest && samePlace(source, citation))) missing.push(citation.quote);
  }
  const [first] = missing;
  if (first !== undefined) {
    const detail = `${missing.length} of ${citations.length} quotes are not in the record, the first: “${first.slice(0, 80)}”.`;
    return { ...FRAME, state: "fail", detail };
  }
  const all = citations.length === 1 ? "The quote of the answer is" : `All ${citations.length} quotes of the answer are`;
  return { ...FRAME, state: "pass", detail: `${all} in the record, by salted SHA-256 and place.` };
}

function samePlace(source: EntrySource, citation: Citation): boolean {
  return (
    source.collection === citation.collection &&
    source.version === citation.version &&
    source.start === citation.start &&
    source.end === citation.end
  );
}
