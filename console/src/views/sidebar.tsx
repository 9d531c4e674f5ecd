/** Collections, the documents of the chosen one, and the latest receipts. */
import { useState } from "react";
import { count, utcShort } from "../format.ts";
import type { Lists } from "../workspace.ts";
import { DocumentIcon, SearchIcon } from "./icons.tsx";
import { ProblemNote, Skeleton } from "./parts.tsx";

const DOCUMENTS_SHOWN_MAX = 200; // rows; more would only be scrolled past, the filter finds the rest
const FILTER_FROM = 9; // documents; fewer are seen at a glance
const RECEIPTS_SHOWN_MAX = 12; // rows

interface Props {
  readonly lists: Lists;
  readonly openDocumentId: string | null;
  readonly onDocument: (id: string, title: string) => void;
  readonly onReceipt: (id: string) => void;
}

export function Sidebar(props: Props) {
  const { collections, collection, choose, refresh } = props.lists;
  return (
    <>
      <section aria-labelledby="collections-heading">
        <h2 id="collections-heading">Collections</h2>
        {collections.problem && (
          <ProblemNote problem={collections.problem}><button type="button" className="button" onClick={refresh}>Try again</button></ProblemNote>
        )}
        {collections.waiting && <Skeleton lines={2} label="Loading collections" />}
        {collections.value?.length === 0 && <p className="quiet small-text">None yet.</p>}
        <ul className="rows">
          {collections.value?.map((row) => (
            <li key={row.name}>
              <button type="button" className="row" aria-current={row.name === collection} onClick={() => choose(row.name)}>
                <span className="row-name">{row.name}</span>
                <span className="row-detail">{count(row.documents, "document")}, {count(row.chunks, "passage")}</span>
              </button>
            </li>
          ))}
        </ul>
      </section>
      {collection !== null && <Documents key={collection} {...props} />}
      <Receipts {...props} />
    </>
  );
}

function Documents({ lists: { documents }, openDocumentId, onDocument }: Props) {
  const [filter, setFilter] = useState("");
  const all = documents.value ?? [];
  const needle = filter.trim().toLowerCase();
  const found = needle === "" ? all : all.filter((row) => `${row.title} ${row.id}`.toLowerCase().includes(needle));
  const shown = found.slice(0, DOCUMENTS_SHOWN_MAX);
  return (
    <section aria-labelledby="documents-heading">
      <h2 id="documents-heading">Documents</h2>
      {documents.problem && <ProblemNote problem={documents.problem} />}
      {documents.waiting && <Skeleton lines={4} label="Loading documents" />}
      {all.length >= FILTER_FROM && (
        <div className="filter">
          <SearchIcon />
          <input type="search" aria-label="Find a document" placeholder="Find" value={filter} onChange={(event) => setFilter(event.target.value)} />
        </div>
      )}
      <ul className="rows">
        {shown.map((row) => (
          <li key={row.id}>
            <button type="button" className="row document-row" aria-current={row.id === openDocumentId} onClick={() => onDocument(row.id, row.title)} title={`${row.title}, ${row.kind}, ${row.id}`}>
              <DocumentIcon />
              <span className="row-name">{row.title || row.id}</span>
            </button>
          </li>
        ))}
      </ul>
      {shown.length < found.length && (
        <p className="quiet small-text">The first {shown.length} of {found.length.toLocaleString("en")}; type to find the others.</p>
      )}
      {needle !== "" && found.length === 0 && <p className="quiet small-text">No title holds “{filter.trim()}”.</p>}
    </section>
  );
}

function Receipts({ lists: { receipts }, onReceipt }: Props) {
  const now = new Date();
  const calls = receipts.value?.filter((row) => row.parent === null).slice(0, RECEIPTS_SHOWN_MAX) ?? [];
  return (
    <section aria-labelledby="receipts-heading">
      <h2 id="receipts-heading">Recent receipts</h2>
      {receipts.problem && <ProblemNote problem={receipts.problem} />}
      {receipts.waiting && <Skeleton lines={3} label="Loading receipts" />}
      {receipts.value !== null && calls.length === 0 && <p className="quiet small-text">Every call leaves one; there are none yet.</p>}
      <ul className="rows">
        {calls.map((row) => (
          <li key={row.id}>
            <button type="button" className="row receipt-row" onClick={() => onReceipt(row.id)} title={row.id}>
              <span className={`dot ${row.outcome}`} />
              <span className="row-name">{row.operation}<span className={row.outcome === "completed" ? "hidden" : "quiet"}> {row.outcome}</span></span>
              <span className="row-detail">{utcShort(row.time, now)}</span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
