/** Who is here: the sign-in screen without a key, the workspace with one. */
import { Component, useCallback, useEffect, useMemo, useState, type ReactNode } from "react";
import { Api, problemOf } from "../api.ts";
import type { Problem } from "../ask.ts";
import { forgetKey, saveKey, savedKey, takeKeyFromAddress } from "../session.ts";
import { applyTheme, nextTheme, savedTheme } from "../theme.ts";
import { ProblemNote } from "./parts.tsx";
import { SignIn } from "./sign-in.tsx";
import { Workspace } from "./workspace.tsx";

function startingKey(): string | null {
  const key = takeKeyFromAddress();
  if (key === null) return savedKey();
  saveKey(key);
  return key;
}

/** A mistake of the console, or an answer of the server that it did not foresee, is said in words instead of a white page. */
export class Guard extends Component<{ readonly children: ReactNode }, { readonly problem: Problem | null }> {
  override state = { problem: null };

  static getDerivedStateFromError(error: unknown): { problem: Problem } {
    return { problem: problemOf(error) };
  }

  override render(): ReactNode {
    if (this.state.problem === null) return this.props.children;
    return <main className="sign-in"><div className="sign-in-card"><ProblemNote problem={this.state.problem} /></div></main>;
  }
}

export function App() {
  const [key, setKey] = useState(startingKey);
  const [refusal, setRefusal] = useState<Problem | null>(null);
  const [theme, setTheme] = useState(savedTheme);
  useEffect(() => applyTheme(theme), [theme]);

  const signIn = useCallback((newKey: string) => {
    saveKey(newKey);
    setRefusal(null);
    setKey(newKey);
  }, []);
  const signOut = useCallback((problem: Problem | null) => {
    forgetKey();
    setRefusal(problem);
    setKey(null);
  }, []);

  useEffect(() => {
    const onHash = () => {
      const found = takeKeyFromAddress();
      if (found !== null) signIn(found);
    };
    window.addEventListener("hashchange", onHash);
    return () => window.removeEventListener("hashchange", onHash);
  }, [signIn]);

  const api = useMemo(() => (key === null ? null : new Api(key, signOut)), [key, signOut]);
  if (api === null) return <SignIn refusal={refusal} onSignIn={signIn} />;
  return (
    <Workspace
      key={key}
      api={api}
      theme={theme}
      onTheme={() => setTheme(nextTheme)}
      onSignOut={() => signOut(null)}
    />
  );
}
