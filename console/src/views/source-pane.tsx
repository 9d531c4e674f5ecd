/** The stored document with the cited quote marked in it, after comparing the quote with the stored text once more. */
import { memo, useEffect, useMemo, useRef } from "react";
import type { Api, StoredDocument } from "../api.ts";
import type { Citation } from "../ask.ts";
import { count, pageName } from "../format.ts";
import { useLoaded } from "../load.ts";
import { blocksOf, pagesInUnits, spansInUnits, type Page, type Span } from "../text.ts";
import { sourceAt, type Source } from "../workspace.ts";
import { BackIcon, CheckIcon, CloseIcon, CrossIcon, DocumentIcon, NextIcon } from "./icons.tsx";
import { ProblemNote, Skeleton } from "./parts.tsx";

interface Props {
  readonly api: Api;
  readonly source: Source | null;
  readonly onSource: (source: Source) => void;
  readonly onClose: () => void;
}

export function SourcePane({ api, source, onSource, onClose }: Props) {
  const key = source === null ? null : JSON.stringify([source.collection, source.document, source.version]);
  const { value: stored, problem } = useLoaded({ subject: key, round: 0 }, (signal) => api.document(source?.collection ?? "", source?.document ?? "", source?.version ?? null, signal));
  if (source === null) return <EmptyPane />;
  return (
    <>
      <PaneHeader source={source} stored={stored} onSource={onSource} onClose={onClose} />
      {problem && <div className="pane-body"><ProblemNote problem={problem} /></div>}
      {!problem && stored === null && <div className="pane-body"><Skeleton lines={12} label="Loading the document" /></div>}
      {stored !== null && <DocumentText key={key} stored={stored} citations={source.citations} current={source.current} />}
    </>
  );
}

function EmptyPane() {
  return (
    <div className="pane-empty">
      <DocumentIcon />
      <p>The source opens here</p>
      <p className="quiet small-text">Choose a citation to see its quote in the stored document, or a document to read it.</p>
    </div>
  );
}

interface HeaderProps {
  readonly source: Source;
  readonly stored: StoredDocument | null;
  readonly onSource: (source: Source) => void;
  readonly onClose: () => void;
}

function PaneHeader({ source, stored, onSource, onClose }: HeaderProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  const { citations, current } = source;
  useEffect(() => heading.current?.focus({ preventScroll: true }), [source.collection, source.document, current]);
  const step = (by: number) => {
    const next = sourceAt(citations, current + by);
    if (next !== null) onSource(next);
  };
  return (
    <header className="pane-header">
      <div className="pane-title">
        <h2 ref={heading} tabIndex={-1}>{stored?.title || source.title || source.document}</h2>
        <p className="quiet small-text">{stored === null ? source.document : describe(stored)}</p>
      </div>
      {citations.length > 1 && (
        <div className="stepper" role="group" aria-label="Citations of this answer">
          <button type="button" className="icon-button" disabled={current === 0} onClick={() => step(-1)} aria-label="Previous citation"><BackIcon /></button>
          <span aria-live="polite">{current + 1} of {citations.length}</span>
          <button type="button" className="icon-button" disabled={current === citations.length - 1} onClick={() => step(1)} aria-label="Next citation"><NextIcon /></button>
        </div>
      )}
      <button type="button" className="icon-button" onClick={onClose} aria-label="Close the source"><CloseIcon /></button>
    </header>
  );
}

function describe(stored: StoredDocument): string {
  const pages = stored.pages.length > 1 ? count(stored.pages.length, "page") : null;
  return [stored.kind, pages, `version ${stored.version}`, stored.id].filter(Boolean).join(", ");
}

interface TextProps {
  readonly stored: StoredDocument;
  readonly citations: readonly Citation[];
  readonly current: number;
}

function DocumentText({ stored, citations, current }: TextProps) {
  const body = useRef<HTMLDivElement>(null);
  const pages = useMemo(() => pagesInUnits(stored.text, stored.pages), [stored]);
  const citation = citations[current] ?? null;
  const spans = useMemo(() => marksOf(stored, citations, current), [stored, citations, current]);

  useEffect(() => {
    const target = body.current?.querySelector("mark.current") ?? null;
    const show = () => target?.scrollIntoView({ block: "center" });
    show();
    // Blocks off screen have guessed heights until they are drawn once: settle on the second frame.
    const frame = requestAnimationFrame(() => requestAnimationFrame(show));
    return () => cancelAnimationFrame(frame);
  }, [spans]);

  const goTo = (index: number) => body.current?.querySelectorAll("section")[index]?.scrollIntoView({ block: "start" });
  return (
    <>
      <div className="pane-bar">
        {citation === null ? <span className="quiet small-text">{count(Array.from(stored.text).length, "character")}</span> : <QuoteCheck stored={stored} citation={citation} span={spans[0] ?? null} pages={pages} />}
        {pages.length > 1 && <PageChooser pages={pages} at={citation?.page ?? null} onPage={goTo} />}
      </div>
      <div className={`pane-body document ${isTable(stored.kind) ? "table" : ""}`} ref={body} tabIndex={0} role="region" aria-label="Document text">
        {stored.text.trim() === "" && <p className="quiet">This document holds no text.</p>}
        {pages.map((page) => <PageText key={page.number} text={stored.text} page={page} spans={spans} alone={pages.length === 1} />)}
      </div>
    </>
  );
}

function isTable(kind: string): boolean {
  return ["csv", "tsv", "xlsx", "xls"].includes(kind);
}

/** The spans to mark in this document version, the current citation first. */
function marksOf(stored: StoredDocument, citations: readonly Citation[], current: number): Span[] {
  const [chosen] = citations.slice(current, current + 1);
  if (chosen === undefined) return [];
  const others = citations.filter((c) => c !== chosen && c.collection === chosen.collection && c.document === chosen.document && c.version === chosen.version);
  return spansInUnits(stored.text, [chosen, ...others]);
}

interface CheckProps {
  readonly stored: StoredDocument;
  readonly citation: Citation;
  readonly span: Span | null;
  readonly pages: readonly Page[];
}

function QuoteCheck({ stored, citation, span, pages }: CheckProps) {
  const matches = span !== null && span.start < span.end && stored.text.slice(span.start, span.end) === citation.quote;
  const label = pages.find((page) => page.number === citation.page)?.label ?? null;
  const place = [pageName(citation.page, label), `characters ${citation.start.toLocaleString("en")}–${citation.end.toLocaleString("en")}`].filter(Boolean).join(", ");
  return (
    <p className={`quote-check ${matches ? "good" : "bad"}`} role={matches ? undefined : "alert"}>
      {matches ? <CheckIcon /> : <CrossIcon />}
      <span>{matches ? "Quote matches the stored text" : "The quote differs from the stored text here"}<span className="quiet small-text"> {place}</span></span>
    </p>
  );
}

interface ChooserProps {
  readonly pages: readonly Page[];
  readonly at: number | null;
  readonly onPage: (index: number) => void;
}

function PageChooser({ pages, at, onPage }: ChooserProps) {
  const start = Math.max(0, pages.findIndex((page) => page.number === at));
  return (
    <select key={start} aria-label="Go to page" defaultValue={start} onChange={(event) => onPage(Number(event.target.value))}>
      {pages.map((page, i) => <option key={page.number} value={i}>{capital(pageName(page.number, page.label))}</option>)}
    </select>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

interface PageProps {
  readonly text: string;
  readonly page: Page;
  readonly spans: readonly Span[];
  readonly alone: boolean;
}

/** Each page is drawn once per set of marks; long documents have hundreds. */
const PageText = memo(function PageText({ text, page, spans, alone }: PageProps) {
  const blocks = blocksOf(text, page, spans);
  const name = capital(pageName(page.number, page.label));
  return (
    <section aria-label={name}>
      {!alone && <h3 className="page-name">{name}</h3>}
      {blocks.map((block) => (
        <div key={block.start} className="block">
          {block.runs.map((run) => {
            const words = text.slice(run.start, run.end);
            if (run.span === null) return words;
            return <mark key={run.start} className={run.span === 0 ? "current" : "other"}>{words}</mark>;
          })}
        </div>
      ))}
    </section>
  );
});
