/** The only module that talks to the server: one function a route, errors as ApiError, nothing cached. */
import type { AskEvent, Citation, Done, Hit, Problem, Sentence } from "./ask.ts";
import { readEvents, StreamError } from "./sse.ts";
import type { Page } from "./text.ts";
import type { Bytes } from "./verify.ts";

export interface Collection {
  readonly name: string;
  readonly documents: number;
  readonly chunks: number;
  readonly updated: string | null;
}

export interface DocumentRow {
  readonly id: string;
  readonly title: string;
  readonly kind: string;
  readonly pages: number;
  readonly version: number;
  /** Where the next page of the list begins. */
  readonly cursor: string;
}

export interface StoredDocument {
  readonly id: string;
  readonly title: string;
  readonly kind: string;
  readonly version: number;
  readonly text: string;
  readonly pages: readonly Page[];
}

export interface ReceiptRow {
  readonly id: string;
  readonly time: string;
  readonly operation: string;
  readonly model: string | null;
  readonly outcome: string;
  readonly duration_ms: number | null;
  readonly parent: string | null;
}

export interface CallNode {
  readonly id: string;
  readonly operation: string;
  readonly outcome: string;
  readonly duration_ms: number | null;
  readonly children: readonly CallNode[];
}

export interface ReceiptInfo {
  readonly id: string;
  readonly log: string;
  readonly index: number | null;
  readonly children: readonly CallNode[];
}

export interface LogInfo {
  readonly name: string;
  readonly origin: string;
  readonly vkey: string;
  readonly size: number;
}

export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem;
  readonly receipt: string | null;

  constructor(status: number, problem: Problem, receipt: string | null = null) {
    super(problem.message);
    this.status = status;
    this.problem = problem;
    this.receipt = receipt;
  }
}

/** A problem to show for anything that a request can throw. */
export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: "console", message: "The console made a mistake.", hint: `Reload the page. Detail: ${detail}` };
}

const RECEIPT_HEADER = "tiffin-receipt";
const DOCUMENTS_A_PAGE = 1_000; // rows; what the server gives at most
const DOCUMENT_PAGES_MAX = 10; // pages; a longer list is for search, not for a column on a screen
const READ_TIMEOUT_MS = 30_000; // ms; a proof waits up to a second for its checkpoint, a large document can take a few

const UNREACHABLE: Problem = {
  type: "unreachable",
  message: "The server does not answer.",
  hint: "See whether `tiffin up` still runs on this address, then try again.",
};

function unreadable(what: string): ApiError {
  return new ApiError(0, { type: "unreadable", message: `The server sent ${what} that this console cannot read.`, hint: "Reload the page: console and server may be of different versions." });
}

export class Api {
  readonly #key: string;
  readonly #onKeyRefused: (problem: Problem) => void;

  /** `onKeyRefused` hears when the server no longer knows the key. */
  constructor(key: string, onKeyRefused: (problem: Problem) => void) {
    this.#key = key;
    this.#onKeyRefused = onKeyRefused;
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${this.#key}`);
    let response: Response;
    try {
      response = await fetch(`/api/v1/${path}`, { ...init, headers, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (init.signal?.aborted && !(error instanceof DOMException && error.name === "TimeoutError")) throw error;
      throw new ApiError(0, UNREACHABLE);
    }
    if (response.ok) return response;
    const error = await refusal(response);
    if (error.status === 401) this.#onKeyRefused(error.problem);
    throw error;
  }

  #read(path: string, signal?: AbortSignal): Promise<Response> {
    const limit = AbortSignal.timeout(READ_TIMEOUT_MS);
    return this.#send(path, { signal: signal ? AbortSignal.any([signal, limit]) : limit });
  }

  async #list<Row>(path: string, name: string, signal?: AbortSignal): Promise<readonly Row[]> {
    const body = await json<Record<string, unknown>>(await this.#read(path, signal));
    const rows = body[name];
    if (!Array.isArray(rows)) throw unreadable(`a list of ${name}`);
    return rows as Row[];
  }

  collections(signal?: AbortSignal): Promise<readonly Collection[]> {
    return this.#list("collections", "collections", signal);
  }

  /** All documents by id, up to a bound: the server hands out a page at a time. */
  async documents(collection: string, signal?: AbortSignal): Promise<readonly DocumentRow[]> {
    const rows: DocumentRow[] = [];
    for (let page = 0; page < DOCUMENT_PAGES_MAX; page += 1) {
      const after = rows.at(-1)?.cursor;
      const query = `limit=${DOCUMENTS_A_PAGE}${after === undefined ? "" : `&after=${encodeURIComponent(after)}`}`;
      const path = `collections/${encodeURIComponent(collection)}/documents?${query}`;
      const found = await this.#list<DocumentRow>(path, "documents", signal);
      rows.push(...found);
      if (found.length < DOCUMENTS_A_PAGE) break;
    }
    return rows;
  }

  async document(collection: string, id: string, version: number | null, signal?: AbortSignal): Promise<StoredDocument> {
    const query = version === null ? "" : `?version=${version}`;
    const path = `collections/${encodeURIComponent(collection)}/documents/${encodeURIComponent(id)}${query}`;
    const body = await json<StoredDocument>(await this.#read(path, signal));
    if (typeof body.text !== "string" || !Array.isArray(body.pages)) throw unreadable("a document");
    return body;
  }

  receipts(limit: number, signal?: AbortSignal): Promise<readonly ReceiptRow[]> {
    return this.#list(`receipts?limit=${limit}`, "receipts", signal);
  }

  async receipt(id: string, signal?: AbortSignal): Promise<ReceiptInfo> {
    const body = await json<ReceiptInfo>(await this.#read(`receipts/${encodeURIComponent(id)}`, signal));
    if (typeof body.log !== "string") throw unreadable("a receipt");
    return { ...body, children: body.children ?? [] };
  }

  async entry(id: string, signal?: AbortSignal): Promise<Bytes> {
    const response = await this.#read(`receipts/${encodeURIComponent(id)}/entry`, signal);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** The salt of a receipt's digests, from its payload; null where the payload was erased or may not be read. */
  async salt(id: string, signal?: AbortSignal): Promise<string | null> {
    try {
      const response = await this.#read(`receipts/${encodeURIComponent(id)}/payload`, signal);
      const payload: unknown = await response.json();
      const salt = typeof payload === "object" && payload !== null ? (payload as { salt?: unknown }).salt : undefined;
      return typeof salt === "string" ? salt : null;
    } catch (error) {
      if (error instanceof ApiError || error instanceof SyntaxError) return null;
      throw error;
    }
  }

  async proof(id: string, signal?: AbortSignal): Promise<string> {
    const response = await this.#read(`receipts/${encodeURIComponent(id)}/proof`, signal);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await response.arrayBuffer());
    } catch (error) {
      if (error instanceof TypeError) throw unreadable("a proof");
      throw error;
    }
  }

  logs(signal?: AbortSignal): Promise<readonly LogInfo[]> {
    return this.#list("ledger", "logs", signal);
  }

  /** Asks and yields the events as they come. `onReceipt` hears the receipt's id as soon as the server names it. */
  async *ask(
    collection: string,
    question: string,
    signal: AbortSignal,
    onReceipt: (id: string) => void,
  ): AsyncGenerator<AskEvent> {
    const response = await this.#send("ask", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ collection, question, stream: true }),
      signal,
    });
    const receipt = response.headers.get(RECEIPT_HEADER);
    if (receipt) onReceipt(receipt);
    try {
      for await (const { event, data } of readEvents(chunksOf(response.body))) yield decode(event, data);
    } catch (error) {
      if (signal.aborted || error instanceof ApiError) throw error;
      if (error instanceof StreamError) throw unreadable("an answer");
      throw new ApiError(0, BROKEN_OFF, receipt);
    }
  }
}

export const BROKEN_OFF: Problem = {
  type: "broken_off",
  message: "The connection ended before the answer did.",
  hint: "What you see is incomplete. Ask again, or open the receipt to see what was recorded.",
};

/** A body's chunks; leaving the loop early cancels the request. */
async function* chunksOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => undefined); // already closed or broken: nothing is left to cancel
  }
}

async function json<Body>(response: Response): Promise<Body> {
  let body: unknown;
  try {
    body = await response.json();
  } catch (error) {
    if (error instanceof SyntaxError) throw unreadable("an answer");
    throw new ApiError(0, UNREACHABLE);
  }
  if (typeof body !== "object" || body === null) throw unreadable("an answer");
  return body as Body;
}

async function refusal(response: Response): Promise<ApiError> {
  const receipt = response.headers.get(RECEIPT_HEADER);
  const fallback: Problem = { type: "http", message: `The server answered with status ${response.status}.`, hint: null };
  try {
    const body = (await response.json()) as { error?: Partial<Problem> };
    return new ApiError(response.status, asProblem(body.error, fallback), receipt);
  } catch {
    return new ApiError(response.status, fallback, receipt); // not our error shape: a proxy's page, or nothing
  }
}

function asProblem(value: unknown, fallback: Problem): Problem {
  const { type, message, hint } = (value ?? {}) as Partial<Record<keyof Problem, unknown>>;
  if (typeof message !== "string") return fallback;
  return { type: typeof type === "string" ? type : "error", message, hint: typeof hint === "string" ? hint : null };
}

/** One event of the ask stream; a name or shape that is not in the contract is an error, never skipped. */
export function decode(event: string, data: string): AskEvent {
  const body = parseRecord(data);
  switch (event) {
    case "sources":
      if (!areRecords(body["hits"])) break;
      return { kind: "sources", hits: body["hits"] as unknown as Hit[] };
    case "text":
      if (typeof body["text"] !== "string") break;
      return { kind: "text", text: body["text"] };
    case "sentence":
      if (!isSentence(body)) break;
      return { kind: "sentence", sentence: body };
    case "done":
      if (typeof body["answer"] !== "string" || typeof body["receipt"] !== "string" || !areRecords(body["sentences"])) break;
      if (!body["sentences"].every(isSentence)) break;
      return { kind: "done", done: body as unknown as Done };
    case "error": {
      if (!isRecord(body["error"])) break;
      const problem = asProblem(body["error"], { type: "error", message: "The answer failed.", hint: null });
      return { kind: "error", problem, receipt: typeof body["receipt"] === "string" ? body["receipt"] : null };
    }
  }
  throw unreadable(`an event “${event}”`);
}

type Fields = Record<string, unknown>;

/** The fields of one JSON object; anything else has none, and then lacks what the event needs. */
function parseRecord(data: string): Fields {
  try {
    const value: unknown = JSON.parse(data);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function areRecords(value: unknown): value is Fields[] {
  return Array.isArray(value) && value.every(isRecord);
}

function isSentence(value: unknown): value is Sentence & Fields {
  return isRecord(value) && typeof value["text"] === "string" && Array.isArray(value["citations"]) && value["citations"].every(isCitation);
}

function isCitation(value: unknown): value is Citation {
  return (
    isRecord(value) &&
    ["collection", "document", "quote"].every((name) => typeof value[name] === "string") &&
    ["version", "start", "end"].every((name) => Number.isInteger(value[name]))
  );
}
