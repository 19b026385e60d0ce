/** One message beside the table: what it is, what the service would do with it, and what happened to it. Pure. */
import type { Role } from "../config/api_keys.ts";
import type { ShownMessage } from "../operations/show.ts";
import { bytes, count, plural, span } from "./format.ts";
import { mayDo } from "./forms.tsx";
import { JsonText } from "./json_text.tsx";
import { EntryList } from "./lists.tsx";
import { type MessagesView, viewPath } from "./messages_view.ts";
import type { Html } from "./page.ts";
import { Chip, ReasonChip } from "./parts.tsx";
import type { JournalEntry } from "./readings.ts";
import { VERBS } from "./verbs.ts";

/** What the panel shows. */
export interface PanelFacts {
  readonly view: MessagesView;
  readonly shown: ShownMessage;
  /** Those that name the message, the newest first. */
  readonly entries: readonly JournalEntry[];
  readonly role: Role;
}

/** The panel. */
export function MessagePanel({ view, shown, entries, role }: PanelFacts): Html {
  const { id, text, isCut, sizeBytes, enclosed, stamp } = shown;
  return (
    <article class="msg" aria-label={`Message ${id}`}>
      <Head view={view} shown={shown} />
      <div class="body">
        <Fate shown={shown} />
        <OneActions view={view} id={id} role={role} />
        <h3>Message</h3>
        <JsonText text={text} />
        {isCut && <p class="k">Cut: the first {count(text.length)} characters of {bytes(sizeBytes)}.</p>}
        {enclosed !== null && (
          <>
            <h3>The original in it</h3>
            <JsonText text={enclosed} />
          </>
        )}
        <h3>Stamp</h3>
        <p>{stamp}</p>
        <h3>Journal</h3>
        {entries.length === 0
          ? <p class="k">No entry names it. An entry of many messages names only a few of them.</p>
          : <EntryList entries={entries} />}
        <RawOpener view={view} role={role} />
      </div>
    </article>
  ) as Html;
}

/** What is shown instead of a message that cannot be shown. */
export function PanelTrouble({ view, message }: { view: MessagesView; message: string }): Html {
  const { source, list, query } = view;
  return (
    <article class="msg">
      <header>
        <h2>Not here any more</h2>
        <Close view={view} />
      </header>
      <div class="body">
        <p>{message}</p>
        <p>
          <a class="btn" href={viewPath({ source, list, query: `id:${view.message}` })}>Search the whole list</a>{" "}
          <a class="btn" href={`/journal?${new URLSearchParams({ source, message: view.message })}`}>
            What the journal says
          </a>
        </p>
        {query !== "" && <p class="k">Your search stays as it is when you close this panel.</p>}
      </div>
    </article>
  ) as Html;
}

function Head({ view, shown: { id, places, sizeBytes, ageMs, reason, failures } }: {
  view: MessagesView;
  shown: ShownMessage;
}): Html {
  const copies = places.length > 1 ? `, ${count(places.length)} equal ones near by` : "";
  return (
    <header>
      <div>
        <h2>
          <code>{id}</code>
          <button class="plain" type="button" data-copy={id}>Copy id</button>
        </h2>
        <p class="k">
          place {count(places[0] ?? view.near ?? 0)}
          {copies} · {bytes(sizeBytes)}
          {ageMs !== null && ` · ${span(ageMs)} old`} · {plural(failures, "failure")} <ReasonChip reason={reason} />
        </p>
      </div>
      <Close view={view} />
    </header>
  ) as Html;
}

function Close({ view }: { view: MessagesView }): Html {
  const state = { ...view, message: "", near: null };
  return (
    <a
      class="plain close"
      href={viewPath(state)}
      hx-get={viewPath(state, "panel")}
      hx-target="#panel"
      hx-push-url={viewPath(state)}
      data-close
      aria-label="Close the panel"
      title="Close (Esc)"
    >
      ×
    </a>
  ) as Html;
}

/** What would happen to it, and what it waits for. */
function Fate({ shown: { verdict, heldBy } }: { shown: ShownMessage }): Html | null {
  if (verdict === null) return null;
  const isReplay = verdict.action === "replay";
  return (
    <div class={`fate ${isReplay ? heldBy.length > 0 ? "warn" : "good" : "bad"}`}>
      <p>
        <b>{verdict.text}</b>
      </p>
      {isReplay && heldBy.length > 0 && <p class="k">It waits for {plural(heldBy.length, "gate")}:</p>}
      {isReplay && heldBy.length > 0 && (
        <ul>
          {heldBy.map(({ gate, detail }) => (
            <li>
              <Chip mood="bad">{gate}</Chip> {detail}
            </li>
          ))}
        </ul>
      )}
      {isReplay && heldBy.length === 0 && <p class="k">No gate holds it now.</p>}
    </div>
  ) as Html;
}

/** The verbs on this message alone. */
function OneActions({ view: { source, list, query }, id, role }: {
  view: MessagesView;
  id: string;
  role: Role;
}): Html | null {
  const offered = VERBS.filter((one) => one.lists.includes(list) && mayDo(role, one.role));
  if (offered.length === 0) return null;
  return (
    <form class="acts" method="post" action="/messages/ask" hx-post="/messages/ask" hx-target="#ask-body">
      {Object.entries({ source, list, query, ids: id }).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      {offered.map(({ verb, name, kind }) => (
        <button class={`btn ${kind}`} type="submit" name="verb" value={verb}>{name}…</button>
      ))}
    </form>
  ) as Html;
}

/** Offers the raw bytes, with their secrets. It says first that the journal records this. */
function RawOpener({ view: { source, list, message, near }, role }: { view: MessagesView; role: Role }): Html | null {
  if (!mayDo(role, "admin")) return null;
  const fields = { source, list, id: message, ...(near === null ? {} : { near: String(near) }) };
  return (
    <>
      <h3>{list === "target" ? "Raw bytes" : "Raw bytes, and edit"}</h3>
      <form
        class="raw"
        method="post"
        action="/messages/raw"
        hx-post="/messages/raw"
        hx-target="this"
        hx-swap="outerHTML"
      >
        {Object.entries(fields).map(([name, value]) => <input type="hidden" name={name} value={value} />)}
        <p class="k">
          They show the secrets that are hidden above. The journal records that you looked.
        </p>
        <button class="btn" type="submit">Show raw…</button>
      </form>
    </>
  ) as Html;
}
