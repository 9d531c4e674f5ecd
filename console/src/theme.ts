/** Light, dark, or as the system says. Kept in this browser. */

export type Theme = "auto" | "light" | "dark";

const SLOT = "tiffin.theme";
const ORDER: readonly Theme[] = ["auto", "light", "dark"];

export function savedTheme(): Theme {
  const saved = localStorage.getItem(SLOT);
  return ORDER.find((theme) => theme === saved) ?? "auto";
}

export function nextTheme(theme: Theme): Theme {
  return ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length] ?? "auto";
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(SLOT, theme);
  document.documentElement.dataset["theme"] = theme;
}
