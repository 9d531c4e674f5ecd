/** Questions and answers, newest at the bottom, with the box to ask in. */
import { useEffect, useLayoutEffect, useRef, useState, type FormEvent, type KeyboardEvent } from "react";
import { citationKey, type Turn } from "../ask.ts";
import type { Conversation } from "../conversation.ts";
import { count } from "../format.ts";
import type { Lists, WorkspaceState } from "../workspace.ts";
import { AnswerView } from "./answer-view.tsx";
import { DocumentIcon, SendIcon, StopIcon } from "./icons.tsx";
import { CopyButton, ProblemNote, Skeleton } from "./parts.tsx";

const WELCOME_DOCUMENTS_MAX = 6; // rows

export function ConversationView({ state }: { readonly state: WorkspaceState }) {
  const { conversation, lists, source } = state;
  const { turns } = conversation;
  const scroller = useRef<HTMLDivElement>(null);
  const last = turns.at(-1);
  const open = source?.citations[source.current];
  const openKey = open === undefined ? null : citationKey(open);
  const lastId = last?.id;

  // A new question goes to the top and its answer grows below it: what is being read never moves.
  useLayoutEffect(() => {
    const box = scroller.current;
    if (box && lastId !== undefined) box.scrollTop = box.scrollHeight;
  }, [lastId]);

  return (
    <main className="conversation">
      {/* Scrollable areas must be reachable by keyboard. */}
      <div className="turns" ref={scroller} tabIndex={0} role="region" aria-label="Conversation">
        <div className="column">
          {turns.length === 0 && <Welcome lists={lists} onDocument={state.openDocument} />}
          {turns.map((turn) => (
            <AnswerView
              key={turn.id}
              turn={turn}
              openKey={openKey}
              onCitation={state.openCitation}
              onReceipt={state.openReceipt}
              onRetry={conversation.running ? null : conversation.ask}
            />
          ))}
        </div>
      </div>
      <Announcer turn={last ?? null} />
      <Composer conversation={conversation} collection={lists.collection} />
    </main>
  );
}

function Welcome({ lists, onDocument }: { readonly lists: Lists; readonly onDocument: (id: string, title: string) => void }) {
  const { collections, collection, documents } = lists;
  if (collections.waiting) return <div className="welcome"><Skeleton lines={5} label="Loading" /></div>;
  if (collections.problem) return <div className="welcome"><ProblemNote problem={collections.problem} /></div>;
  if (collection === null) return <NoCollections />;
  const rows = documents.value?.slice(0, WELCOME_DOCUMENTS_MAX) ?? [];
  return (
    <div className="welcome">
      <h2>Ask <span className="welcome-name">{collection}</span></h2>
      <p className="quiet">
        Answers quote only what is in this collection. Each sentence shows the passage it stands on, and each answer leaves a receipt that this page can verify.
      </p>
      <ul className="welcome-documents" aria-label={`Documents in ${collection}`}>
        {rows.map((row) => (
          <li key={row.id}>
            <button type="button" className="row document-row" onClick={() => onDocument(row.id, row.title)}>
              <DocumentIcon />
              <span className="row-name">{row.title || row.id}</span>
              <span className="row-detail">{row.pages > 1 ? `${row.kind}, ${count(row.pages, "page")}` : row.kind}</span>
            </button>
          </li>
        ))}
      </ul>
      {documents.value !== null && documents.value.length > rows.length && (
        <p className="quiet small-text">and {count(documents.value.length - rows.length, "more document")}</p>
      )}
    </div>
  );
}

function NoCollections() {
  const command = "tiffin ingest FOLDER --collection NAME";
  return (
    <div className="welcome">
      <h2>Nothing to ask yet</h2>
      <p className="quiet">Put documents into a collection: PDF, Word, PowerPoint, Excel, CSV, HTML, Markdown, text or e-mail. Then reload this page.</p>
      <p className="command"><code>{command}</code><CopyButton text={command} label="Copy the command" /></p>
    </div>
  );
}

/** Reads out finished sentences rather than every token. */
function Announcer({ turn }: { readonly turn: Turn | null }) {
  return <p className="hidden" role="status" aria-live="polite" aria-atomic="true">{turn === null ? "" : announcement(turn)}</p>;
}

function announcement(turn: Turn): string {
  switch (turn.phase) {
    case "searching":
      return turn.hits === null ? "Searching the collection." : `${count(turn.hits.length, "passage")} found. Writing the answer.`;
    case "writing":
      return turn.sentences.at(-1)?.text ?? "Writing the answer.";
    case "answered":
      return `Answer complete, ${count(turn.sentences.length, "sentence")}.`;
    case "refused":
      return "No answer: the collection does not hold it.";
    case "failed":
      return ""; // the problem is an alert of its own
    case "stopped":
      return "Stopped.";
  }
}

function Composer({ conversation, collection }: { readonly conversation: Conversation; readonly collection: string | null }) {
  const [question, setQuestion] = useState("");
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) box.current?.focus(); // a touch keyboard would cover the page
  }, []);

  const send = () => {
    const text = question.trim();
    if (text === "" || collection === null || conversation.running) return;
    conversation.ask(collection, text);
    setQuestion("");
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    send();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <form className="composer" onSubmit={onSubmit}>
      <div className="column">
        <div className="composer-box">
          <label htmlFor="question" className="hidden">Question{collection === null ? "" : ` to ${collection}`}</label>
          <textarea
            id="question"
            ref={box}
            rows={1}
            value={question}
            placeholder={collection === null ? "No collection to ask" : `Ask ${collection}`}
            onChange={(event) => setQuestion(event.target.value)}
            onKeyDown={onKeyDown}
          />
          {conversation.running ? (
            <button type="button" className="send stop" onClick={conversation.stop} aria-label="Stop the answer"><StopIcon /></button>
          ) : (
            <button type="submit" className="send" disabled={collection === null || question.trim() === ""} aria-label="Ask"><SendIcon /></button>
          )}
        </div>
        <p className="composer-hint">
          <span>Each question stands alone</span>
          <span className="keys"><kbd>Enter</kbd> asks</span>
          <span className="keys"><kbd>/</kbd> returns here</span>
        </p>
      </div>
    </form>
  );
}
