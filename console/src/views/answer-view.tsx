/** One turn: the question, the answer as it grows, its sources, and the way to its receipt. */
import { memo, useMemo } from "react";
import { citationKey, isRunning, referencesOf, tailOf, type Citation, type Reference, type Sentence, type Turn } from "../ask.ts";
import { count, duration, pageName, shortId } from "../format.ts";
import { RetryIcon, SealIcon } from "./icons.tsx";
import { ProblemNote } from "./parts.tsx";

interface Props {
  readonly turn: Turn;
  /** The key of the citation that the source pane shows, of whichever turn. */
  readonly openKey: string | null;
  readonly onCitation: (turn: Turn, citation: Citation) => void;
  readonly onReceipt: (id: string, turn: Turn | null) => void;
  /** Null while another answer is being written. */
  readonly onRetry: ((collection: string, question: string) => void) | null;
}

export const AnswerView = memo(function AnswerView({ turn, openKey, onCitation, onReceipt, onRetry }: Props) {
  const references = useMemo(() => referencesOf(turn), [turn]);
  const open = (citation: Citation) => onCitation(turn, citation);
  const retry = (
    <button type="button" className="button" disabled={onRetry === null} onClick={() => onRetry?.(turn.collection, turn.question)}><RetryIcon />Ask again</button>
  );
  const heading = `question-${turn.id}`;
  return (
    <article className="turn" aria-labelledby={heading}>
      <h2 className="question" id={heading}>{turn.question}</h2>
      <div className="answer" aria-busy={isRunning(turn)}>
        {turn.phase === "refused" ? <Refusal turn={turn} /> : <AnswerText turn={turn} references={references} openKey={openKey} onOpen={open} />}
        {turn.phase === "failed" && turn.problem && <ProblemNote problem={turn.problem}>{retry}</ProblemNote>}
        {turn.phase === "stopped" && (
          <div className="note calm"><div><p className="note-title">You stopped this answer.</p><div className="note-actions">{retry}</div></div></div>
        )}
        {!isRunning(turn) && <Sources references={[...references.values()]} openKey={openKey} onOpen={open} />}
      </div>
      <TurnFooter turn={turn} onReceipt={onReceipt} />
    </article>
  );
});

interface CitedProps {
  readonly openKey: string | null;
  readonly onOpen: (citation: Citation) => void;
}

function AnswerText({ turn, references, ...cited }: CitedProps & { readonly turn: Turn; readonly references: Map<string, Reference> }) {
  const tail = tailOf(turn);
  if (turn.sentences.length === 0 && tail === "") {
    return turn.phase === "searching" || turn.phase === "writing" ? <p className="progress">{progress(turn)}</p> : null;
  }
  return (
    <p className="answer-text">
      {turn.sentences.map((sentence, i) => <SentenceView key={i} sentence={sentence} references={references} {...cited} />)}
      {tail !== "" && <span className="tail">{tail}</span>}
      {isRunning(turn) && <span className="caret" />}
    </p>
  );
}

function progress(turn: Turn): string {
  if (turn.hits === null) return `Searching ${turn.collection}`;
  const documents = new Set(turn.hits.map((hit) => hit.document)).size;
  return `Reading ${count(turn.hits.length, "passage")} from ${count(documents, "document")}`;
}

function SentenceView({ sentence, references, openKey, onOpen }: CitedProps & { readonly sentence: Sentence; readonly references: Map<string, Reference> }) {
  const bare = plain(sentence.text);
  const verbatim = sentence.citations.some((citation) => plain(citation.quote).includes(bare));
  const kind = !sentence.supported ? "unsupported" : verbatim ? "verbatim" : "";
  const chips = sentence.citations.flatMap((citation) => references.get(citationKey(citation)) ?? []);
  return (
    <span className="sentence">
      <span className={kind}>{sentence.text}</span>
      {chips.map((reference) => (
        <CitationChip key={reference.n} reference={reference} open={citationKey(reference.citation) === openKey} onOpen={onOpen} />
      ))}
      {!sentence.supported && <span className="tag" title="No passage of the collection supports this sentence.">no source</span>}
      {" "}
    </span>
  );
}

/** For comparing words only: quotation marks and line breaks of a source are not part of what it says. */
function plain(text: string): string {
  return text.replace(/[“”"«»\s]+/g, " ").trim();
}

function CitationChip({ reference, open, onOpen }: { readonly reference: Reference; readonly open: boolean; readonly onOpen: (citation: Citation) => void }) {
  const { n, citation } = reference;
  const where = [citation.title, pageName(citation.page)].filter(Boolean).join(", ");
  return (
    <button type="button" className="chip" aria-pressed={open} aria-label={`Source ${n}: ${where}`} title={where} onClick={() => onOpen(citation)}>{n}</button>
  );
}

function Sources({ references, openKey, onOpen }: CitedProps & { readonly references: readonly Reference[] }) {
  if (references.length === 0) return null;
  return (
    <ol className="sources" aria-label="Sources">
      {references.map(({ n, citation }) => (
        <li key={n}>
          <button type="button" className="source" aria-pressed={citationKey(citation) === openKey} onClick={() => onOpen(citation)}>
            <span className="source-n">{n}</span>
            <span className="source-title">{citation.title || citation.document}</span>
            <span className="source-place">{[pageName(citation.page), `version ${citation.version}`].filter(Boolean).join(", ")}</span>
            <span className="source-quote">{citation.quote}</span>
          </button>
        </li>
      ))}
    </ol>
  );
}

function Refusal({ turn }: { readonly turn: Turn }) {
  return (
    <div className="note calm">
      <div>
        <p className="note-title">{turn.collection} does not hold the answer.</p>
        <p>{turn.reason || turn.streamed || "No passage supports one, so none was given."}</p>
        {turn.hits !== null && turn.hits.length > 0 && (
          <p className="quiet small-text">Closest documents: {[...new Set(turn.hits.map((hit) => hit.title || hit.document))].slice(0, 3).join("; ")}</p>
        )}
      </div>
    </div>
  );
}

function TurnFooter({ turn, onReceipt }: { readonly turn: Turn; readonly onReceipt: Props["onReceipt"] }) {
  const { usage, receipt } = turn;
  const facts = [
    turn.model,
    turn.endedMs === null ? null : duration(turn.endedMs - turn.startedMs),
    usage && `${usage.input_tokens.toLocaleString("en")} tokens in, ${usage.output_tokens.toLocaleString("en")} out`,
  ].filter(Boolean);
  return (
    <footer className="turn-footer">
      {receipt !== null && !isRunning(turn) && (
        <button type="button" className="button receipt-button" onClick={() => onReceipt(receipt, turn)}>
          <SealIcon />Receipt <span className="mono">{shortId(receipt)}</span>
        </button>
      )}
      <span className="quiet small-text">{facts.join(" · ")}</span>
    </footer>
  );
}
