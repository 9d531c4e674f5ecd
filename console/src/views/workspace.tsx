/** The signed-in page: collections on the left, the conversation in the middle, the source on the right, receipts in a drawer over it. */
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Api } from "../api.ts";
import type { Theme } from "../theme.ts";
import { useWorkspace, type WorkspaceState } from "../workspace.ts";
import { ConversationView } from "./conversation-view.tsx";
import { Drawer } from "./drawer.tsx";
import { ExitIcon, Logo, MenuIcon, ThemeIcon } from "./icons.tsx";
import { ReceiptView } from "./receipt-view.tsx";
import { Sidebar } from "./sidebar.tsx";
import { SourcePane } from "./source-pane.tsx";

interface Props {
  readonly api: Api;
  readonly theme: Theme;
  readonly onTheme: () => void;
  readonly onSignOut: () => void;
}

function useMedia(query: string): boolean {
  const subscribe = useCallback(
    (onChange: () => void) => {
      const list = matchMedia(query);
      list.addEventListener("change", onChange);
      return () => list.removeEventListener("change", onChange);
    },
    [query],
  );
  return useSyncExternalStore(subscribe, () => matchMedia(query).matches);
}

export function Workspace({ api, theme, onTheme, onSignOut }: Props) {
  const state = useWorkspace(api);
  const { lists, source, setSource } = state;
  const [menuOpen, setMenuOpen] = useState(false);
  const wide = useMedia("(min-width: 1180px)");
  const narrow = useMedia("(max-width: 859px)");
  const closeMenu = () => setMenuOpen(false);
  const closeSource = () => setSource(null);
  const sidebar = <Sidebar lists={lists} openDocumentId={source?.collection === lists.collection ? source.document : null} onDocument={state.openDocument} onReceipt={(id) => state.openReceipt(id, null)} />;
  const pane = <SourcePane api={api} source={source} onSource={setSource} onClose={closeSource} />;
  return (
    <div className="workspace">
      <a className="skip" href="#question" onClick={focusQuestion}>Skip to the question</a>
      <Topbar narrow={narrow} theme={theme} onTheme={onTheme} onSignOut={onSignOut} onMenu={() => setMenuOpen(true)} />
      {!narrow && <nav className="sidebar" aria-label="Collections and receipts">{sidebar}</nav>}
      <ConversationView state={state} />
      {wide && <aside className="pane" aria-label="Source document">{pane}</aside>}
      {!wide && source !== null && <Drawer label="Source document" side="right" className="pane" onClose={closeSource}>{pane}</Drawer>}
      {narrow && menuOpen && (
        <Drawer label="Collections and receipts" side="left" className="sidebar" onClose={closeMenu}>
          {/* Whatever is chosen in the menu is seen behind it. */}
          <div onClick={(event) => event.target instanceof Element && event.target.closest("button.row") && closeMenu()}>{sidebar}</div>
        </Drawer>
      )}
      <ReceiptDrawer api={api} state={state} />
      <Shortcuts onEscape={source === null ? null : closeSource} />
    </div>
  );
}

function ReceiptDrawer({ api, state }: { readonly api: Api; readonly state: WorkspaceState }) {
  const { receipt, setReceipt } = state;
  const id = receipt?.path.at(-1);
  if (receipt === null || id === undefined) return null;
  const close = () => setReceipt(null);
  return (
    <Drawer label="Receipt" side="right" className="receipt" onClose={close}>
      <ReceiptView
        api={api}
        id={id}
        citations={receipt.path.length === 1 ? receipt.citations : null}
        canGoBack={receipt.path.length > 1}
        onBack={() => setReceipt({ ...receipt, path: receipt.path.slice(0, -1) })}
        onOpen={(next) => setReceipt({ ...receipt, path: [...receipt.path, next] })}
        onClose={close}
      />
    </Drawer>
  );
}

function focusQuestion(event?: { preventDefault: () => void }): void {
  event?.preventDefault(); // the fragment is for the key alone
  document.getElementById("question")?.focus();
}

/** `/` goes to the question, Escape closes the source; neither while something is typed or a dialog is open. */
function Shortcuts({ onEscape }: { readonly onEscape: (() => void) | null }) {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const typing = event.target instanceof Element && event.target.matches("input, textarea, select");
      if (event.key === "/" && !typing) {
        event.preventDefault();
        focusQuestion();
      }
      if (event.key === "Escape" && onEscape) onEscape();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [onEscape]);
  return null;
}

interface TopbarProps {
  readonly narrow: boolean;
  readonly theme: Theme;
  readonly onTheme: () => void;
  readonly onSignOut: () => void;
  readonly onMenu: () => void;
}

function Topbar({ narrow, theme, onTheme, onSignOut, onMenu }: TopbarProps) {
  return (
    <header className="topbar">
      {narrow && <button type="button" className="icon-button" onClick={onMenu} aria-label="Collections and receipts"><MenuIcon /></button>}
      <div className="brand"><Logo /><h1>Tiffin</h1></div>
      <button type="button" className="text-button" onClick={onTheme} aria-label={`Theme: ${theme}. Change`}>
        <ThemeIcon /><span className="button-word">{theme === "auto" ? "Auto" : theme === "light" ? "Light" : "Dark"}</span>
      </button>
      <button type="button" className="text-button" onClick={onSignOut} aria-label="Sign out"><ExitIcon /><span className="button-word">Sign out</span></button>
    </header>
  );
}
