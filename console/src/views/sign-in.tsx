/** Asks for the key, tries it before keeping it, and says where to find it. */
import { useState, type FormEvent } from "react";
import { Api, problemOf } from "../api.ts";
import type { Problem } from "../ask.ts";
import { Logo } from "./icons.tsx";
import { ProblemNote } from "./parts.tsx";

interface Props {
  readonly refusal: Problem | null;
  readonly onSignIn: (key: string) => void;
}

export function SignIn({ refusal, onSignIn }: Props) {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(refusal);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const wanted = key.trim();
    if (wanted === "") return;
    setBusy(true);
    setProblem(null);
    try {
      await new Api(wanted, () => undefined).collections();
      onSignIn(wanted);
    } catch (error) {
      setProblem(problemOf(error));
      setBusy(false);
    }
  };

  return (
    <main className="sign-in">
      <form className="sign-in-card" onSubmit={submit}>
        <Logo size={40} />
        <h1>Sign in to Tiffin</h1>
        <p className="quiet">Ask your documents. Every answer cites its source and leaves a receipt that you can check yourself.</p>
        <label htmlFor="key">Access key</label>
        <input id="key" name="key" type="password" autoComplete="off" spellCheck={false} autoFocus required value={key} onChange={(event) => setKey(event.target.value)} />
        <button type="submit" className="button primary" disabled={busy}>{busy ? "Checking…" : "Sign in"}</button>
        {problem && <ProblemNote problem={problem} />}
        <p className="quiet small-text">
          The administrator’s key is in <code>$TIFFIN_HOME/admin.key</code> on the server. The address that <code>tiffin up</code> prints carries it already.
          The key stays in this tab and is forgotten when the tab closes.
        </p>
      </form>
    </main>
  );
}
