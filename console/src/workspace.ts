/** What the signed-in page holds: the lists of the server, the conversation, and what is open beside and over it. */
import { useCallback, useState } from "react";
import type { Api, Collection, DocumentRow, ReceiptRow } from "./api.ts";
import { referencesOf, type Citation, type Turn } from "./ask.ts";
import { useConversation, type Conversation } from "./conversation.ts";
import { useLoaded, type Loaded } from "./load.ts";

/** What the source pane shows: a document as such, or one of an answer's citations. */
export interface Source {
  readonly collection: string;
  readonly document: string;
  readonly title: string;
  /** Null is the current version. */
  readonly version: number | null;
  readonly citations: readonly Citation[];
  readonly current: number;
}

export interface OpenReceipt {
  /** The receipts walked through, the shown one last. */
  readonly path: readonly string[];
  /** The citations of the answer that the first one belongs to, when it is on the page. */
  readonly citations: readonly Citation[] | null;
}

export interface Lists {
  readonly collections: Loaded<readonly Collection[]>;
  readonly documents: Loaded<readonly DocumentRow[]>;
  readonly receipts: Loaded<readonly ReceiptRow[]>;
  /** The chosen collection; null while there is none. */
  readonly collection: string | null;
  readonly choose: (collection: string) => void;
  readonly refresh: () => void;
}

const RECEIPTS_ASKED_FOR = 60; // rows; an ask leaves three or more, and only whole calls are shown
const COLLECTION_SLOT = "tiffin.collection";

function useLists(api: Api): Lists {
  const [round, setRound] = useState(0); // an ended answer or a retry: the lists may have changed
  const [chosen, setChosen] = useState(() => sessionStorage.getItem(COLLECTION_SLOT));
  const collections = useLoaded({ subject: "collections", round }, (signal) => api.collections(signal));
  const receipts = useLoaded({ subject: "receipts", round }, (signal) => api.receipts(RECEIPTS_ASKED_FOR, signal));
  const names = collections.value?.map((row) => row.name) ?? [];
  const collection = names.find((name) => name === chosen) ?? names[0] ?? null;
  const documents = useLoaded({ subject: collection, round }, (signal) => api.documents(collection ?? "", signal));
  const choose = useCallback((name: string) => {
    sessionStorage.setItem(COLLECTION_SLOT, name);
    setChosen(name);
  }, []);
  return { collections, documents, receipts, collection, choose, refresh: useCallback(() => setRound((n) => n + 1), []) };
}

export interface WorkspaceState {
  readonly lists: Lists;
  readonly conversation: Conversation;
  readonly source: Source | null;
  readonly setSource: (source: Source | null) => void;
  readonly receipt: OpenReceipt | null;
  readonly setReceipt: (receipt: OpenReceipt | null) => void;
  readonly openDocument: (id: string, title: string) => void;
  readonly openCitation: (turn: Turn, citation: Citation) => void;
  /** With the turn that the receipt belongs to, its quotes are checked too. */
  readonly openReceipt: (id: string, turn: Turn | null) => void;
}

export function useWorkspace(api: Api): WorkspaceState {
  const lists = useLists(api);
  const conversation = useConversation(api, lists.refresh);
  const [source, setSource] = useState<Source | null>(null);
  const [receipt, setReceipt] = useState<OpenReceipt | null>(null);
  const openDocument = (id: string, title: string) => {
    if (lists.collection === null) return;
    setSource({ collection: lists.collection, document: id, title, version: null, citations: [], current: 0 });
  };
  const openCitation = useCallback((turn: Turn, citation: Citation) => {
    const citations = citationsOf(turn);
    setSource(sourceAt(citations, citations.indexOf(citation)));
  }, []);
  const openReceipt = useCallback((id: string, turn: Turn | null) => {
    setReceipt({ path: [id], citations: turn?.phase === "answered" ? citationsOf(turn) : null });
  }, []);
  return { lists, conversation, source, setSource, receipt, setReceipt, openDocument, openCitation, openReceipt };
}

function citationsOf(turn: Turn): readonly Citation[] {
  return [...referencesOf(turn).values()].map((reference) => reference.citation);
}

/** The source that shows one of the citations; null for an index that there is not. */
export function sourceAt(citations: readonly Citation[], current: number): Source | null {
  const citation = citations[current];
  if (citation === undefined) return null;
  const { collection, document, title, version } = citation;
  return { collection, document, title, version, citations, current };
}
