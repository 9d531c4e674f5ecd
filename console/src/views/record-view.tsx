/** What a record says, in a reader's order. Fields that this console does not know are in the raw record, so nothing is hidden. */
import type { ReactNode } from "react";
import type { Citation } from "../ask.ts";
import { duration, shortId, titled, utc } from "../format.ts";
import { sourcesOf, type EntrySource } from "../quotes.ts";
import { CopyButton, Outcome } from "./parts.tsx";

type Fields = Record<string, unknown>;

interface Props {
  readonly entry: Fields;
  readonly proved: boolean;
  readonly citations: readonly Citation[] | null;
  readonly onOpen: (id: string) => void;
}

export function RecordView({ entry, proved, citations, onOpen }: Props) {
  const model = asFields(entry["model"]);
  const parent = asText(entry["parent"]);
  return (
    <section aria-labelledby="record-heading">
      <h3 id="record-heading">{proved ? "What it records" : "What it claims, unproved"}</h3>
      <dl className="record">
        <Fact name="Operation">{asText(entry["operation"])}</Fact>
        <Fact name="Outcome">{asText(entry["outcome"]) && <Outcome outcome={asText(entry["outcome"]) ?? ""} />}{asText(entry["error"]) && <> {asText(entry["error"])}</>}</Fact>
        <Fact name="Time">{asText(entry["time"]) && utc(asText(entry["time"]) ?? "")}</Fact>
        <Fact name="Duration">{asNumber(entry["duration_us"]) !== null && duration((asNumber(entry["duration_us"]) ?? 0) / 1000)}</Fact>
        <Fact name="Caller">{asText(entry["caller"])}</Fact>
        <Fact name="Project">{asText(entry["project"])}</Fact>
        <Fact name="Model">{model && <ModelName model={model} />}</Fact>
        <Fact name="Usage">{usage(asFields(entry["usage"]))}</Fact>
        <Fact name="Cost">{cost(asNumber(entry["cost_microusd"]))}</Fact>
        <Fact name="Part of">{parent && <button type="button" className="link" onClick={() => onOpen(parent)}>receipt {shortId(parent)}</button>}</Fact>
        <Fact name="Parameters">{pairs(asFields(entry["parameters"]))}</Fact>
        <Fact name="Versions">{pairs(asFields(entry["versions"]))}</Fact>
      </dl>
      <Decisions decisions={entry["decisions"]} />
      <SourceTable sources={sourcesOf(entry)} citations={citations} />
    </section>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  const empty = children === null || children === undefined || children === false || children === "";
  return empty || (Array.isArray(children) && children.every((child) => !child)) ? null : <div><dt>{name}</dt><dd>{children}</dd></div>;
}

function ModelName({ model }: { readonly model: Fields }) {
  const digest = asText(model["digest"]);
  return (
    <>
      {asText(model["name"])} <span className="quiet">at {asText(model["provider"]) ?? "?"}</span>
      {digest && <span className="digest mono" title={digest}>{digest}<CopyButton text={digest} label="Copy the model’s digest" /></span>}
    </>
  );
}

function usage(fields: Fields | null): string | null {
  if (fields === null) return null;
  const used = Object.entries(fields).filter(([, value]) => typeof value === "number" && value > 0);
  return used.map(([name, value]) => `${Number(value).toLocaleString("en")} ${name.replaceAll("_", " ")}`).join(", ") || null;
}

function cost(micro: number | null): string | null {
  return micro === null || micro === 0 ? null : `$${(micro / 1_000_000).toFixed(6)}`;
}

function pairs(fields: Fields | null): string | null {
  if (fields === null) return null;
  return Object.entries(fields).map(([name, value]) => `${titled(name).toLowerCase()} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ") || null;
}

function Decisions({ decisions }: { readonly decisions: unknown }) {
  if (!Array.isArray(decisions) || decisions.length === 0) return null;
  return (
    <>
      <h4>Decisions</h4>
      <ul className="decisions">
        {decisions.map((value: unknown, i) => {
          const { stage, verdict, by, reason } = asFields(value) ?? {};
          return (
            <li key={i}>
              <span className="decision-stage">{asText(stage) ?? "?"}</span> {asText(verdict)}
              <span className="quiet">{[asText(by) && ` by ${asText(by)}`, asText(reason) && `: ${asText(reason)}`].filter(Boolean).join("")}</span>
            </li>
          );
        })}
      </ul>
    </>
  );
}

function SourceTable({ sources, citations }: { readonly sources: readonly EntrySource[] | null; readonly citations: readonly Citation[] | null }) {
  if (sources === null) return <p className="quiet small-text">The sources are too many to list; the record holds one digest of all of them.</p>;
  if (sources.length === 0) return null;
  return (
    <>
      <h4>Sources</h4>
      <div className="table-scroll" tabIndex={0} role="region" aria-label="Sources of the record">
        <table>
          <thead><tr><th scope="col">Where</th><th scope="col">Characters</th><th scope="col">SHA-256 of the quote</th></tr></thead>
          <tbody>
            {sources.map((source, i) => (
              <tr key={i}>
                <td>{titleOf(source, citations)} <span className="quiet">version {source.version}</span></td>
                <td className="mono">{source.start.toLocaleString("en")}–{source.end.toLocaleString("en")}</td>
                <td className="mono" title={source.digest}>{source.digest.slice(0, 16)}…</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Records name no documents, for privacy; the answer on the page can. */
function titleOf(source: EntrySource, citations: readonly Citation[] | null): string {
  const match = citations?.find((c) => c.collection === source.collection && c.version === source.version && c.start === source.start && c.end === source.end);
  return match?.title ?? `${source.collection}${source.chunk ? `, passage ${shortId(source.chunk)}` : ""}`;
}

function asFields(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

function asText(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function asNumber(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
