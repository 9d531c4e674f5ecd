/**
 * What this browser remembers of a log: the key that it saw first and the largest checkpoint that it verified.
 *
 * Key and checkpoint come from the same server, so a check against them alone cannot notice that the whole log was replaced. Memory can:
 * another key, another root at the same size, or a shorter log is a reason to ask the operator.
 */
import { encodeBase64, type Checkpoint } from "./verify.ts";

export interface Memory {
  readonly vkey: string;
  /** Decimal, because sizes can pass what a JavaScript number holds. */
  readonly size: string;
  readonly root: string;
  readonly since: string;
}

export type Recollection =
  | { readonly kind: "first" }
  | { readonly kind: "known"; readonly since: string; readonly size: string }
  | { readonly kind: "key-changed"; readonly since: string; readonly vkey: string }
  | { readonly kind: "forked"; readonly since: string; readonly size: string }
  | { readonly kind: "shrunk"; readonly since: string; readonly size: string };

export interface Sighting {
  readonly vkey: string;
  /** A checkpoint whose signature was verified. */
  readonly checkpoint: Checkpoint;
  /** The log's size as the server states it now. */
  readonly stated: number;
  readonly now: string;
}

type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

function slot(origin: string): string {
  return `tiffin.log.${origin}`;
}

function recall(store: Store, origin: string): Memory | null {
  const text = store.getItem(slot(origin));
  if (text === null) return null;
  try {
    const found = JSON.parse(text) as Partial<Memory> | null;
    const whole = found && typeof found.vkey === "string" && /^\d+$/.test(found.size ?? "") && found.root && found.since;
    return whole ? (found as Memory) : null;
  } catch {
    return null; // written by something else: as good as nothing remembered
  }
}

function write(store: Store, origin: string, memory: Memory): void {
  try {
    store.setItem(slot(origin), JSON.stringify(memory));
  } catch {
    // Storage is full or switched off: nothing is remembered, and the next visit says "first" again.
  }
}

/** Compares a verified checkpoint with memory, and remembers it when it agrees. */
export function recollect(store: Store, sighting: Sighting): Recollection {
  const { checkpoint, vkey } = sighting;
  const fresh: Memory = { vkey, size: String(checkpoint.size), root: encodeBase64(checkpoint.root), since: sighting.now };
  const memory = recall(store, checkpoint.origin);
  if (memory === null) {
    write(store, checkpoint.origin, fresh);
    return { kind: "first" };
  }
  const { since, size } = memory;
  if (memory.vkey !== vkey) return { kind: "key-changed", since, vkey: memory.vkey };
  const seen = BigInt(size);
  if (checkpoint.size === seen && memory.root !== fresh.root) return { kind: "forked", since, size };
  // An older checkpoint is a fair answer; only a log that also states fewer entries has lost some.
  if (checkpoint.size < seen && BigInt(sighting.stated) < seen) return { kind: "shrunk", since, size };
  if (checkpoint.size > seen) write(store, checkpoint.origin, { ...fresh, since });
  return { kind: "known", since, size };
}

export function forget(store: Store, origin: string): void {
  store.removeItem(slot(origin));
}
