/** One receipt: first whether it holds, step by step, then what it says, then its calls and its raw form. */
import { useEffect, useRef, useState } from "react";
import type { Api, CallNode } from "../api.ts";
import type { Citation } from "../ask.ts";
import { gather, type Evidence } from "../evidence.ts";
import { duration, shortId } from "../format.ts";
import { useLoaded } from "../load.ts";
import { forget } from "../trust.ts";
import { BackIcon, CheckIcon, CloseIcon, CrossIcon, DashIcon, DownloadIcon } from "./icons.tsx";
import { CopyButton, Outcome, ProblemNote, Skeleton } from "./parts.tsx";
import { RecordView } from "./record-view.tsx";
import type { Step, StepState } from "../verify.ts";

interface Props {
  readonly api: Api;
  readonly id: string;
  readonly citations: readonly Citation[] | null;
  readonly canGoBack: boolean;
  readonly onBack: () => void;
  readonly onOpen: (id: string) => void;
  readonly onClose: () => void;
}

export function ReceiptView({ api, id, citations, canGoBack, onBack, onOpen, onClose }: Props) {
  const [round, setRound] = useState(0);
  const { value: evidence, problem } = useLoaded({ subject: `${id} ${round}`, round: 0 }, (signal) => gather(api, id, citations, signal));
  const again = () => setRound((n) => n + 1);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), [id]);
  return (
    <>
      <header className="receipt-header">
        {canGoBack && <button type="button" className="icon-button" onClick={onBack} aria-label="Back to the receipt before"><BackIcon /></button>}
        <div>
          <h2 ref={heading} tabIndex={-1}>Receipt</h2>
          <p className="receipt-id"><span className="mono">{id}</span><CopyButton text={id} label="Copy the receipt’s id" /></p>
        </div>
        <button type="button" className="icon-button" onClick={onClose} aria-label="Close the receipt"><CloseIcon /></button>
      </header>
      <div className="receipt-body">
        {problem && <ProblemNote problem={problem}><button type="button" className="button" onClick={again}>Try again</button></ProblemNote>}
        {!problem && <VerdictView evidence={evidence} onForget={again} />}
        {!problem && evidence === null && <Skeleton lines={8} label="Loading the record" />}
        {evidence?.entry && <RecordView entry={evidence.entry} proved={evidence.state === "pass"} citations={citations} onOpen={onOpen} />}
        {evidence && evidence.children.length > 0 && (
          <section aria-labelledby="calls-heading">
            <h3 id="calls-heading">Calls made for it</h3>
            <CallTree calls={evidence.children} onOpen={onOpen} />
          </section>
        )}
        {evidence && <RawRecord evidence={evidence} />}
      </div>
    </>
  );
}

const VERDICTS: Record<StepState, { readonly title: string; readonly says: string }> = {
  pass: { title: "Verified in this browser", says: "This record was in the log, unchanged, when the log’s key signed the checkpoint." },
  fail: { title: "Does not verify", says: "Do not rely on this record. The step marked below shows where the evidence breaks." },
  unable: { title: "Could not be checked here", says: "Nothing was found wrong, and nothing was proved. Download the proof and check it elsewhere." },
};

const WAITING: readonly string[] = ["Record hashed", "Included in the log", "Checkpoint signed", "Log remembered"];

function VerdictView({ evidence, onForget }: { readonly evidence: Evidence | null; readonly onForget: () => void }) {
  const verdict = evidence && VERDICTS[evidence.state];
  return (
    <section className={`verdict ${evidence?.state ?? "waiting"}`} aria-labelledby="verdict-heading" aria-busy={evidence === null}>
      <div role="status">
        <h3 id="verdict-heading">
          {evidence && <StateIcon state={evidence.state} />}
          {verdict?.title ?? "Checking in this browser"}
        </h3>
        <p className="verdict-says">{verdict?.says ?? "Fetching the record’s exact bytes, its proof and the signed checkpoint."}</p>
      </div>
      <ol className="steps">
        {evidence ? evidence.steps.map((step) => <StepView key={step.id} step={step} />) : WAITING.map((title) => <li key={title} className="step waiting"><span className="step-mark" /><div><p className="step-title">{title}</p><p className="step-detail quiet">Waiting for the evidence</p></div></li>)}
      </ol>
      {evidence?.steps.some((step) => step.id === "memory" && step.state === "fail") && (
        <button type="button" className="button" onClick={() => { forget(localStorage, evidence.origin); onForget(); }}>
          I know why: remember the log as it is now
        </button>
      )}
      <p className="limits quiet small-text">
        Not proved by this: that the answer is true, or that everyone is shown the same log. For the latter compare the checkpoint with one that somebody else kept.
      </p>
    </section>
  );
}

function StateIcon({ state }: { readonly state: StepState }) {
  const word = state === "pass" ? "Passed" : state === "fail" ? "Failed" : "Not checked";
  return (
    <span className={`step-mark ${state}`}>
      {state === "pass" ? <CheckIcon /> : state === "fail" ? <CrossIcon /> : <DashIcon />}
      <span className="hidden">{word}: </span>
    </span>
  );
}

function StepView({ step }: { readonly step: Step }) {
  return (
    <li className={`step ${step.state}`} data-step={step.id} data-state={step.state}>
      <StateIcon state={step.state} />
      <div>
        <p className="step-title">{step.title}</p>
        <p className="step-detail">{step.state === "pass" ? step.proves : step.detail}</p>
        <details>
          <summary>{step.state === "pass" ? "How it was checked" : "What was compared"}</summary>
          <p>{step.state === "pass" ? step.detail : `A pass would have proved: ${step.proves}`}</p>
          {step.facts.length > 0 && (
            <dl className="facts">
              {step.facts.map(([label, value]) => (
                <div key={label}><dt>{label}</dt><dd className="mono">{value}<CopyButton text={value} label={`Copy: ${label}`} /></dd></div>
              ))}
            </dl>
          )}
        </details>
      </div>
    </li>
  );
}

function CallTree({ calls, onOpen }: { readonly calls: readonly CallNode[]; readonly onOpen: (id: string) => void }) {
  return (
    <ul className="calls">
      {calls.map((call) => (
        <li key={call.id}>
          <button type="button" className="call" onClick={() => onOpen(call.id)} title={call.id}>
            <span className="call-name">{call.operation}</span>
            <Outcome outcome={call.outcome} />
            <span className="quiet small-text">{duration(call.duration_ms)}</span>
            <span className="quiet small-text mono">{shortId(call.id)}</span>
          </button>
          {call.children.length > 0 && <CallTree calls={call.children} onOpen={onOpen} />}
        </li>
      ))}
    </ul>
  );
}

function RawRecord({ evidence }: { readonly evidence: Evidence }) {
  const { id, entryBytes, entry, proof, vkey } = evidence;
  return (
    <section aria-labelledby="raw-heading">
      <h3 id="raw-heading">Take it with you</h3>
      <div className="downloads">
        <button type="button" className="button" onClick={() => save(`${id}.tlog-proof`, proof)}><DownloadIcon />Proof (.tlog-proof)</button>
        <button type="button" className="button" onClick={() => save(`${id}.json`, entryBytes)}><DownloadIcon />Record, exact bytes</button>
      </div>
      <p className="quiet small-text">Any transparency-log client can check these two files against the log’s key, offline:</p>
      <p className="command"><code className="mono">{vkey}</code><CopyButton text={vkey} label="Copy the log’s key" /></p>
      {entry && (
        <details className="raw">
          <summary>Raw record</summary>
          <pre tabIndex={0} aria-label="Raw record, indented for reading">{JSON.stringify(entry, null, 2)}</pre>
        </details>
      )}
    </section>
  );
}

const SAVE_GRACE_MS = 60_000; // ms; browsers read the blob some time after the click

function save(name: string, content: string | Uint8Array<ArrayBuffer>): void {
  const address = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(address), SAVE_GRACE_MS);
}
