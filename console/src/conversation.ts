/** The conversation of this tab: asks, feeds the events into turns, stops. A turn that ended never changes again. */
import { useCallback, useEffect, useRef, useState } from "react";
import { BROKEN_OFF, problemOf, type Api, ApiError } from "./api.ts";
import { advance, fail, isRunning, newTurn, stop, type Turn } from "./ask.ts";

export interface Conversation {
  readonly turns: readonly Turn[];
  readonly running: boolean;
  readonly ask: (collection: string, question: string) => void;
  readonly stop: () => void;
}

const TURNS_MAX = 100; // turns kept on the page; older ones have their receipts

export function useConversation(api: Api, onEnded: () => void): Conversation {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const abort = useRef<AbortController | null>(null);
  const lastId = useRef(0);

  useEffect(() => () => abort.current?.abort(), []);

  const change = useCallback((id: number, how: (turn: Turn) => Turn) => {
    setTurns((all) => all.map((turn) => (turn.id === id && isRunning(turn) ? how(turn) : turn)));
  }, []);

  const ask = useCallback(
    (collection: string, question: string) => {
      abort.current?.abort();
      const control = new AbortController();
      abort.current = control;
      const id = ++lastId.current;
      setTurns((all) => [...all, newTurn(id, collection, question, Date.now())].slice(-TURNS_MAX));
      void follow(api, { id, collection, question, signal: control.signal, change }).then(onEnded);
    },
    [api, change, onEnded],
  );

  return { turns, running: turns.some(isRunning), ask, stop: useCallback(() => abort.current?.abort(), []) };
}

interface Following {
  readonly id: number;
  readonly collection: string;
  readonly question: string;
  readonly signal: AbortSignal;
  readonly change: (id: number, how: (turn: Turn) => Turn) => void;
}

async function follow(api: Api, { id, collection, question, signal, change }: Following): Promise<void> {
  const onReceipt = (receipt: string) => change(id, (turn) => ({ ...turn, receipt }));
  try {
    for await (const event of api.ask(collection, question, signal, onReceipt)) {
      change(id, (turn) => advance(turn, event, Date.now()));
    }
    // A stream that ended without `done` or `error` told less than all: a turn still running here is cut short.
    change(id, (turn) => fail(turn, BROKEN_OFF, null, Date.now()));
  } catch (error) {
    if (signal.aborted) {
      change(id, (turn) => stop(turn, Date.now()));
      return;
    }
    const receipt = error instanceof ApiError ? error.receipt : null;
    change(id, (turn) => fail(turn, problemOf(error), receipt, Date.now()));
  }
}
