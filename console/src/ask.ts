/** One question and its answer as a value, and how each event of the stream changes it. Pure: views draw it, api.ts feeds it. */
import { unfinished } from "./text.ts";

export interface Citation {
  readonly collection: string;
  readonly document: string;
  readonly title: string;
  readonly version: number;
  readonly page: number | null;
  readonly start: number;
  readonly end: number;
  readonly quote: string;
  readonly score: number;
}

export interface Sentence {
  readonly text: string;
  readonly supported: boolean;
  readonly citations: readonly Citation[];
}

export interface Hit {
  readonly document: string;
  readonly title: string;
  readonly chunk: string | number;
  readonly score: number;
  readonly text: string;
  readonly page: number | null;
  readonly start: number;
  readonly end: number;
}

export interface Usage {
  readonly input_tokens: number;
  readonly output_tokens: number;
}

export interface Problem {
  readonly type: string;
  readonly message: string;
  readonly hint: string | null;
}

/** Closed set; anything else that the stream brings is an error. */
export type AskEvent =
  | { readonly kind: "sources"; readonly hits: readonly Hit[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "sentence"; readonly sentence: Sentence }
  | { readonly kind: "done"; readonly done: Done }
  | { readonly kind: "error"; readonly problem: Problem; readonly receipt: string | null };

export interface Done {
  readonly answer: string;
  readonly refused: boolean;
  readonly reason: string | null;
  readonly sentences: readonly Sentence[];
  readonly citations: readonly Citation[];
  readonly receipt: string;
  readonly model: string | null;
  readonly usage: Usage | null;
}

export type Phase = "searching" | "writing" | "answered" | "refused" | "failed" | "stopped";

export interface Turn {
  readonly id: number;
  readonly collection: string;
  readonly question: string;
  readonly phase: Phase;
  readonly hits: readonly Hit[] | null;
  readonly streamed: string;
  readonly sentences: readonly Sentence[];
  readonly reason: string | null;
  readonly problem: Problem | null;
  readonly receipt: string | null;
  readonly model: string | null;
  readonly usage: Usage | null;
  readonly startedMs: number;
  readonly endedMs: number | null;
}

export function newTurn(id: number, collection: string, question: string, nowMs: number): Turn {
  return {
    id,
    collection,
    question,
    phase: "searching",
    hits: null,
    streamed: "",
    sentences: [],
    reason: null,
    problem: null,
    receipt: null,
    model: null,
    usage: null,
    startedMs: nowMs,
    endedMs: null,
  };
}

export function isRunning(turn: Turn): boolean {
  return turn.phase === "searching" || turn.phase === "writing";
}

export function advance(turn: Turn, event: AskEvent, nowMs: number): Turn {
  switch (event.kind) {
    case "sources":
      return { ...turn, hits: event.hits };
    case "text":
      return { ...turn, phase: "writing", streamed: turn.streamed + event.text };
    case "sentence":
      return { ...turn, phase: "writing", sentences: [...turn.sentences, event.sentence] };
    case "done":
      return finish(turn, event.done, nowMs);
    case "error":
      return fail(turn, event.problem, event.receipt, nowMs);
    default:
      return event satisfies never;
  }
}

function finish(turn: Turn, done: Done, nowMs: number): Turn {
  const { sentences, reason, receipt, model, usage } = done;
  return {
    ...turn,
    phase: done.refused ? "refused" : "answered",
    streamed: done.answer,
    sentences,
    reason,
    receipt,
    model,
    usage,
    endedMs: nowMs,
  };
}

export function fail(turn: Turn, problem: Problem, receipt: string | null, nowMs: number): Turn {
  return { ...turn, phase: "failed", problem, receipt: receipt ?? turn.receipt, endedMs: nowMs };
}

export function stop(turn: Turn, nowMs: number): Turn {
  return { ...turn, phase: "stopped", endedMs: nowMs };
}

/** The text behind the last finished sentence, for as long as the answer is being written. */
export function tailOf(turn: Turn): string {
  if (turn.phase === "answered" || turn.phase === "refused") return turn.sentences.length > 0 ? "" : turn.streamed;
  return unfinished(turn.streamed, turn.sentences.map((sentence) => sentence.text));
}

export interface Reference {
  readonly n: number;
  readonly citation: Citation;
}

export function citationKey(citation: Citation): string {
  return JSON.stringify([citation.collection, citation.document, citation.version, citation.start, citation.end]);
}

/** The cited spans, each once, numbered in order of first use; numbers therefore never change while an answer grows. */
export function referencesOf(turn: Turn): Map<string, Reference> {
  const references = new Map<string, Reference>();
  for (const citation of turn.sentences.flatMap((sentence) => sentence.citations)) {
    const key = citationKey(citation);
    if (!references.has(key)) references.set(key, { n: references.size + 1, citation });
  }
  return references;
}
