/** The login: a key once, then a session. */
import type { Html } from "../page.ts";

/** The form. `next`: where to go afterwards. */
export function LoginPage(
  { next, problem, once }: { next: string; problem: string | null; once: string | null },
): Html {
  if (once !== null) return <LinkPage once={once} next={next} /> as Html;
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

/** A link changes nothing by itself: previews and scanners open links too. The script sends the form. */
function LinkPage({ once, next }: { once: string; next: string }): Html {
  return (
    <main class="login">
      <form class="card" method="post" action="/login" data-submit-now>
        <h1>remediation</h1>
        <p>This link logs you in once.</p>
        <input type="hidden" name="once" value={once} />
        <input type="hidden" name="next" value={next} />
        <button class="btn go" type="submit">Log in</button>
      </form>
    </main>
  ) as Html;
}
