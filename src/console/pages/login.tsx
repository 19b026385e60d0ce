/** The login: a key once, then a session. */
import type { Html } from "../page.ts";

/** The form. `next`: where to go afterwards. */
export function LoginPage({ next, problem }: { next: string; problem: string | null }): Html {
  return (
    <main class="login">
      <form class="card" method="post" action={next === "/" ? "/login" : `/login?next=${encodeURIComponent(next)}`}>
        <h1>remediation</h1>
        <p>
          Log in with your API key. An admin makes one with <code>mutt-remediation key new</code>.
        </p>
        <label class="field">
          Key
          <input type="password" name="key" required autofocus autocomplete="current-password" spellcheck={false} />
        </label>
        <input type="hidden" name="next" value={next} />
        {problem && <p class="trouble" role="alert">{problem}</p>}
        <button class="btn go" type="submit">Log in</button>
      </form>
    </main>
  ) as Html;
}
