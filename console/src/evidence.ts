/** Fetches all that a receipt's check needs, judges it, and compares the log with what this browser remembers. */
import { ApiError, type Api, type CallNode } from "./api.ts";
import type { Citation } from "./ask.ts";
import { judgeQuotes } from "./quotes.ts";
import { recollect, type Recollection } from "./trust.ts";
import { FormatError, parseEntry, verifyReceipt, type Bytes, type Step, type StepState, type Verification } from "./verify.ts";

export interface Evidence {
  readonly id: string;
  readonly state: StepState;
  readonly steps: readonly Step[];
  readonly entryBytes: Bytes;
  /** Parsed from the exact bytes, never from another answer of the server; null when they are not a record. */
  readonly entry: Record<string, unknown> | null;
  readonly proof: string;
  readonly vkey: string;
  readonly origin: string;
  readonly children: readonly CallNode[];
}

export async function gather(api: Api, id: string, citations: readonly Citation[] | null, signal: AbortSignal): Promise<Evidence> {
  const info = await api.receipt(id, signal);
  // The proof waits for a checkpoint; ask for the log's size only then, so that it cannot look behind.
  const [entryBytes, proof] = await Promise.all([api.entry(id, signal), api.proof(id, signal)]);
  const log = (await api.logs(signal)).find((row) => row.name === info.log);
  if (log === undefined) {
    throw new ApiError(0, { type: "unknown_log", message: `The server does not list the log ${info.log} that holds this receipt.`, hint: "Without the log’s key nothing can be checked." });
  }
  const { vkey, origin } = log;
  const verification = await verifyReceipt({ receipt: id, entry: entryBytes, proof, origin, vkey });
  const entry = readEntry(entryBytes);
  const steps = [...verification.steps];
  // Only a proved record can say anything about the quotes or the log.
  if (citations !== null && citations.length > 0 && verification.state === "pass") {
    steps.push(await judgeQuotes(entryBytes, citations, await api.salt(id, signal)));
  }
  if (verification.state === "pass") steps.push(judgeMemory(verification, vkey, log.size));
  return { id, state: worst(steps), steps, entryBytes, entry, proof, vkey, origin, children: info.children };
}

function readEntry(bytes: Bytes): Record<string, unknown> | null {
  try {
    return parseEntry(bytes);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}

/** Whether this browser's memory or the quotes could be looked at does not decide the verdict; whether they disagree does. */
function worst(steps: readonly Step[]): StepState {
  if (steps.some((step) => step.state === "fail")) return "fail";
  const core = steps.filter((step) => step.id !== "quotes" && step.id !== "memory");
  return core.every((step) => step.state === "pass") ? "pass" : "unable";
}

function judgeMemory({ checkpoint }: Verification, vkey: string, stated: number): Step {
  const frame = { id: "memory", title: "Log remembered", facts: [], proves: "This is the log, with the key, that this browser saw before, and it has lost nothing since." } as const;
  if (checkpoint === null) return { ...frame, state: "unable", detail: "There is no checkpoint to compare." };
  let found: Recollection;
  try {
    found = recollect(localStorage, { vkey, checkpoint, stated, now: new Date().toISOString() });
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return { ...frame, state: "unable", detail: "This browser does not let the page remember anything." };
  }
  const since = "since" in found ? found.since.slice(0, 10) : "";
  switch (found.kind) {
    case "first":
      return { ...frame, state: "pass", title: "First sight of this log", detail: "Nothing was remembered of this log before.", proves: "Its key is remembered from now on, so a later visit notices another key, another history, or a shorter log. Compare the key with the operator’s to be sure today." };
    case "known":
      return { ...frame, state: "pass", detail: `Same key as on ${since}, and no shorter than then.` };
    case "key-changed":
      return { ...frame, state: "fail", detail: `The log has another key than on ${since}. After a reinstallation that is expected; otherwise its history was replaced.`, facts: [["Key before", found.vkey]] };
    case "forked":
      return { ...frame, state: "fail", detail: `At ${found.size} entries the log had another root on an earlier visit: there are two histories.` };
    case "shrunk":
      return { ...frame, state: "fail", detail: `The log had ${found.size} entries on an earlier visit and has fewer now.` };
  }
}
