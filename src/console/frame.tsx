/** What every page has around it. */
import type { Child } from "hono/jsx";
import { type AssetName, assetPath } from "./assets.ts";
import { type Html, type Section, SECTIONS } from "./page.ts";

/** Who looks at the page, and from which instance. */
export interface FrameFacts {
  readonly actor: { readonly name: string; readonly role: string } | null;
  /** Whether a session can be ended here: not one of a proxy. */
  readonly canLogOut: boolean;
  readonly pod: string;
  readonly version: string;
}

/** Settings of htmx that the content security policy demands, and none of its styles. It keeps no page: messages hold secrets. */
const HTMX = JSON.stringify({
  ...{ includeIndicatorStyles: false, allowEval: false, selfRequestsOnly: true },
  ...{ historyCacheSize: 0, refreshOnHistoryMiss: true },
});

const KEYS = [
  ["/", "search"],
  ["j  k", "next, previous row"],
  ["Enter", "open the row"],
  ["x", "select the row"],
  ["r", "replay or revive what is selected, or all"],
  ["c", "to the confirmation of a plan; Enter confirms"],
  ["Esc", "close the message"],
  ["g o", "overview"],
  ["g m", "messages"],
  ["g b", "jobs"],
  ["g l", "journal"],
  ["?", "this list"],
] as const;

/** A whole document. `live`: address of the stream that keeps it up to date. */
export function Document(
  { title, live, children }: { title: string; live?: string | null; children?: Child },
): Html {
  const asset = (name: AssetName) => assetPath(name);
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="htmx-config" content={HTMX} />
        <title>{`${title} · remediation`}</title>
        <link rel="icon" href={asset("icon.svg")} type="image/svg+xml" />
        <link rel="stylesheet" href={asset("style.css")} />
        <script src={asset("console.js")} defer></script>
      </head>
      <body data-live={live ?? undefined}>{children}</body>
    </html>
  ) as Html;
}

/** Head, navigation and main part. */
export function Frame(
  { title, section, facts, isLive, children }: {
    title: string;
    section: Section | null;
    facts: FrameFacts;
    isLive: boolean;
    children?: Child;
  },
): Html {
  return (
    <>
      <a class="skip" href="#main">Skip to content</a>
      <header class="top">
        <a class="logo" href="/">
          <Logo />remediation
        </a>
        <nav aria-label="Main">
          {SECTIONS.map(([href, name]) => <a href={href} aria-current={href === section ? "page" : undefined}>{name}
          </a>)}
        </nav>
        <div class="right">
          {isLive && (
            <span class="lamp" id="lamp" role="status">
              <i />
              <span>live</span>
            </span>
          )}
          <span class="who" title={`${facts.pod}, version ${facts.version}`}>{facts.pod}</span>
          {facts.actor && <span class="chip role">{`${facts.actor.role} · ${facts.actor.name}`}</span>}
          <button class="plain" type="button" popovertarget="keys" aria-label="Keys">?</button>
          {facts.canLogOut && (
            <form method="post" action="/logout">
              <button class="plain" type="submit">Log out</button>
            </form>
          )}
        </div>
      </header>
      <main id="main" tabindex={-1}>
        <h1 class="vh">{title}</h1>
        {children}
      </main>
      <div id="keys" popover="auto" class="sheet">
        <h2>Keys</h2>
        <dl class="keys">
          {KEYS.map(([key, what]) => (
            <div>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </div>
    </>
  ) as Html;
}

function Logo(): Html {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <path d="M4 12a8 8 0 0114-5.3M20 12a8 8 0 01-14 5.3" />
      <path d="M18 2.5v4.6h-4.6M6 21.5v-4.6h4.6" />
    </svg>
  ) as Html;
}
