/** Small shared pieces: copyable text, a problem with its hint, an outcome, a skeleton. */
import { useEffect, useRef, useState, type ReactNode } from "react";
import type { Problem } from "../ask.ts";
import { AlertIcon, CheckIcon, CopyIcon } from "./icons.tsx";

const COPIED_MS = 1_600; // ms; long enough to be noticed

export function CopyButton({ text, label }: { readonly text: string; readonly label: string }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef<number | undefined>(undefined);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const clipboard: Clipboard | undefined = navigator.clipboard; // browsers offer none to pages over plain HTTP
  if (!clipboard) return null;
  const copy = async () => {
    try {
      await clipboard.writeText(text);
    } catch {
      return; // the reader did not allow it: the text can be selected
    }
    setCopied(true);
    timer.current = window.setTimeout(() => setCopied(false), COPIED_MS);
  };
  return (
    <button type="button" className="icon-button small" onClick={copy} aria-label={copied ? "Copied" : label} title={label}>
      {copied ? <CheckIcon /> : <CopyIcon />}
    </button>
  );
}

/** Words in `code marks` of a hint are commands to type. */
export function Hint({ text }: { readonly text: string }) {
  return <>{text.split("`").map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part))}</>;
}

export function ProblemNote({ problem, children }: { readonly problem: Problem; readonly children?: ReactNode }) {
  return (
    <div className="note bad" role="alert">
      <AlertIcon />
      <div>
        <p className="note-title">{problem.message}</p>
        {problem.hint && <p><Hint text={problem.hint} /></p>}
        {children && <div className="note-actions">{children}</div>}
      </div>
    </div>
  );
}

export function Outcome({ outcome }: { readonly outcome: string }) {
  const tone = outcome === "completed" ? "good" : outcome === "refused" ? "calm" : "bad";
  return <span className={`outcome ${tone}`}>{outcome}</span>;
}

export function Skeleton({ lines, label }: { readonly lines: number; readonly label: string }) {
  return (
    <div className="skeleton" role="status">
      <span className="hidden">{label}</span>
      {Array.from({ length: lines }, (_, i) => <span key={i} className="bone" />)}
    </div>
  );
}
