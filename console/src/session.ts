/** The key of this tab: taken from the address's fragment, kept in sessionStorage, gone with the tab. Never in an address that is kept. */

const SLOT = "tiffin.key";

/** Takes `#key=…` out of the address, so that it stays out of history, bookmarks and screen shares. */
export function takeKeyFromAddress(): string | null {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key === null) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return key.trim() || null;
}

export function savedKey(): string | null {
  return sessionStorage.getItem(SLOT);
}

export function saveKey(key: string): void {
  sessionStorage.setItem(SLOT, key);
}

export function forgetKey(): void {
  sessionStorage.removeItem(SLOT);
}
