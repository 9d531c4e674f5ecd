/** Numbers, times and names as the reader sees them. Times are always UTC and say so: a record must read the same in every office. */

export function utc(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** For narrow lists: the clock for today (UTC), the date otherwise. */
export function utcShort(iso: string, now: Date): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const text = time.toISOString();
  return text.slice(0, 10) === now.toISOString().slice(0, 10) ? `${text.slice(11, 19)} UTC` : text.slice(0, 10);
}

export function duration(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return "–";
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}

/** The end of an id: the start of a UUIDv7 is only its time. */
export function shortId(id: string): string {
  return id.length > 12 ? `…${id.slice(-8)}` : id;
}

export function pageName(page: number | null, label?: string | null): string {
  if (label && label !== String(page)) return label;
  return page === null || page < 1 ? "" : `page ${page}`;
}

/** `model_digest` → `Model digest`. */
export function titled(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
