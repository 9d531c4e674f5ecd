/** Loads a value for a view: aborts what is no longer wanted, keeps the last value while reloading, so that nothing jumps. */
import { useEffect, useState } from "react";
import { problemOf } from "./api.ts";
import type { Problem } from "./ask.ts";

export interface Loaded<Value> {
  readonly value: Value | null;
  readonly problem: Problem | null;
  /** Nothing has come yet, neither value nor problem. */
  readonly waiting: boolean;
}

/** What is wanted: the same subject in a later round may show the old value until the new one is there; another subject may not. */
export interface Wanted {
  readonly subject: string | null;
  readonly round: number;
}

interface State<Value> extends Loaded<Value> {
  readonly subject: string | null;
}

const WAITING = { value: null, problem: null, waiting: true } as const;

/** `load` is called whenever subject or round change; a null subject wants nothing. */
export function useLoaded<Value>({ subject, round }: Wanted, load: (signal: AbortSignal) => Promise<Value>): Loaded<Value> {
  const [state, setState] = useState<State<Value>>({ ...WAITING, subject: null });
  useEffect(() => {
    if (subject === null) return;
    const abort = new AbortController();
    load(abort.signal).then(
      (value) => {
        if (!abort.signal.aborted) setState({ value, problem: null, waiting: false, subject });
      },
      (error: unknown) => {
        if (!abort.signal.aborted) setState({ value: null, problem: problemOf(error), waiting: false, subject });
      },
    );
    return () => abort.abort();
    // `load` closes over what the subject names; listing it would load on every drawing.
  }, [subject, round]);
  return subject !== null && state.subject === subject ? state : WAITING;
}
