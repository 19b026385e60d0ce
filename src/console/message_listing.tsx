/** What is around the table of messages: which list, the search, what was found, and the actions on it. Pure. */
import type { Role } from "../config/api_keys.ts";
import { QUERY_FIELDS } from "../message/query.ts";
import { MAX_QUERY_CHARACTERS } from "../message/query_syntax.ts";
import { DEAD_REASONS, LIST_NAMES, LIST_WORDS, type ListName } from "../message/source_policy.ts";
import { count } from "./format.ts";
import { mayDo, Opener, Sheet } from "./forms.tsx";
import type { FoundMessages } from "./message_search.ts";
import { type MessagesView, MOST_FOUND_ROWS, viewPath } from "./messages_view.ts";
import type { Html } from "./page.ts";
import { VERBS } from "./verbs.ts";

/** Elements that the steps of a search fill. */
export const FOUND_ID = "found", VERBS_ID = "verbs", FOOT_ID = "foot";

/** A source with the messages of its DLQ. */
export interface ShownSource {
  readonly name: string;
  readonly depth: number | null;
}

/** Sources and lists, with their depths. */
export function ListChoice({ view, sources, depths }: {
  view: MessagesView;
  sources: readonly ShownSource[];
  depths: Readonly<Record<ListName, number>>;
}): Html {
  return (
    <div class="choice">
      {sources.length > 1 && (
        <nav class="segs" aria-label="Source">
          {sources.map(({ name, depth }) => (
            <a href={viewPath({ source: name })} aria-current={name === view.source ? "true" : undefined}>
              {name} <b>{depth === null ? "?" : count(depth)}</b>
            </a>
          ))}
        </nav>
      )}
      <nav class="segs" aria-label="List">
        {LIST_NAMES.map((list) => (
          <a href={viewPath({ source: view.source, list })} aria-current={list === view.list ? "true" : undefined}>
            {LIST_WORDS[list]} <b>{count(depths[list])}</b>
          </a>
        ))}
      </nav>
      <nav class="segs narrow" aria-label="View">
        {(["list", "groups"] as const).map((one) => (
          <a href={viewPath({ ...view, view: one })} aria-current={one === view.view ? "true" : undefined}>
            {one === "list" ? "messages" : "groups"}
          </a>
        ))}
      </nav>
    </div>
  ) as Html;
}

/** The search, the order, and the jump to a place. */
export function SearchForms({ view, members, problem }: {
  view: MessagesView;
  members: readonly string[];
  problem: string | null;
}): Html {
  const { source, list, query, order } = view, kept = { source, list, order };
  return (
    <div class="searches">
      <form class="search" role="search" action="/messages">
        {Object.entries(kept).map(([name, value]) => <input type="hidden" name={name} value={value} />)}
        <input
          id="q"
          type="search"
          name="query"
          value={query}
          maxlength={MAX_QUERY_CHARACTERS}
          placeholder="Search: text, reason:poison, age:>1h, host:core* AND NOT severity:5"
          aria-label="Search"
          aria-controls="q-menu"
          aria-invalid={problem === null ? undefined : "true"}
          autocomplete="off"
          spellcheck={false}
          role="combobox"
          aria-expanded="false"
          data-words={JSON.stringify(wordsOf(members))}
        />
        <ul id="q-menu" class="menu" role="listbox" hidden></ul>
        <button class="btn" type="submit">Search</button>
        {query !== "" && <a class="btn" href={viewPath(kept)}>Clear</a>}
      </form>
      {query === "" && (
        <>
          <nav class="segs" aria-label="Order">
            {(["newest", "oldest"] as const).map((one) => (
              <a
                href={viewPath({ source, list, order: one })}
                aria-current={one === order ? "true" : undefined}
              >
                {one}
              </a>
            ))}
          </nav>
          <form class="jump" action="/messages">
            {Object.entries(kept).map(([name, value]) => <input type="hidden" name={name} value={value} />)}
            <input
              type="text"
              inputmode="numeric"
              pattern="[1-9][0-9]*"
              name="from"
              required
              placeholder="place"
              aria-label="Go to a place; 1 is the oldest message"
            />
            <button class="btn" type="submit">Go</button>
          </form>
        </>
      )}
      {problem !== null && <Problem problem={problem} />}
    </div>
  ) as Html;
}

const FIELD_WORDS: Readonly<Record<(typeof QUERY_FIELDS)[number], string>> = {
  id: "id of a message",
  group: "messages that failed alike",
  reason: "why it is dead, or was refused",
  age: "since the event, e.g. >1h",
  size: "in bytes, e.g. >10k",
  failures: "failed replays, e.g. >2",
  host: "hostname or host",
  severity: "member of the message",
  source: "member of the message",
};

const EXAMPLES = [
  ["timeout", "the text is anywhere in the message"],
  ['"read timed out"', "these words, in this order"],
  ["reason:poison age:>1h", "dead for failing too often, and older than an hour"],
  ["host:core* AND NOT severity:5", "a value is the whole field; * is any text"],
  ["(failures:>2 OR size:>10k) retries:[1 TO 3]", "any member of the message is a field"],
] as const;

/** What is wrong with a query, and how queries are written. */
function Problem({ problem }: { problem: string }): Html {
  return (
    <div class="problem">
      <p class="refusal" role="alert">{problem}</p>
      <dl class="examples">
        {EXAMPLES.map(([query, what]) => (
          <div>
            <dt>
              <code>{query}</code>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </div>
  ) as Html;
}

/** Reasons that a message may have. */
const REASONS = [...DEAD_REASONS, "shed"];

function wordsOf(members: readonly string[]): { readonly word: string; readonly what: string }[] {
  const own = Object.entries(FIELD_WORDS), names = own.map(([name]) => name);
  return [
    ...own.map(([name, what]) => ({ word: `${name}:`, what })),
    ...members.filter((name) => !names.includes(name)).map((name) => ({
      word: `${name}:`,
      what: "member of the message",
    })),
    ...REASONS.map((reason) => ({ word: `reason:${reason}`, what: "" })),
  ];
}

/** How far a search is. */
export function FoundWords({ view, found: { matched, scanned, total, movedOn } }: {
  view: MessagesView;
  found: FoundMessages;
}): Html {
  if (total !== null) {
    return (
      <>
        <progress max={Math.max(1, total)} value={scanned} aria-label="How far the search is" /> {count(matched)}{" "}
        match so far; looked at {count(scanned)} of {count(total)}
        <noscript>
          {" "}
          <a href={viewPath({ ...view, wait: true })}>Look at all of them; this takes some seconds</a>
        </noscript>
      </>
    ) as Html;
  }
  return (
    <>
      {count(matched)} match; looked at {count(scanned)}
      {movedOn && ". The list moved meanwhile: search again to be sure"}
    </>
  ) as Html;
}

/** The actions. `total`: messages that they would take if none is selected; `null`: not counted yet. */
export function Verbs({ view: { source, list, query }, total, role }: {
  view: MessagesView;
  total: number | null;
  role: Role;
}): Html | null {
  if (total === 0) return null;
  const all = total === null ? "all that match" : query === "" ? `all ${count(total)}` : count(total);
  return (
    <>
      {Object.entries({ source, list, query, total: total === null ? "" : String(total) }).map(([name, value]) => (
        <input type="hidden" name={name} value={value} />
      ))}
      {VERBS.filter((one) => one.lists.includes(list) && mayDo(role, one.role)).map(({ verb, name, kind }) => (
        <button class={`btn ${kind}`} type="submit" name="verb" value={verb}>
          {name}
          {kind === "go" && <span data-if-none>{` ${all}`}</span>}
          <span data-if-selected hidden>
            {" "}
            <span data-selected>0</span>
          </span>…
        </button>
      ))}
      <Opener sheet="export">Export…</Opener>
    </>
  ) as Html;
}

/** What the actions take. `shown`: rows of a search that are shown; `null`: it is no search. */
export function Foot({ view, total, shown, role }: {
  view: MessagesView;
  total: number | null;
  shown: number | null;
  role: Role;
}): Html {
  const { query, list, limit } = view, more = Math.min(MOST_FOUND_ROWS, limit * 5);
  const mayAct = list !== "target" && mayDo(role, "operator");
  const isCut = shown !== null && total !== null && shown < total && more > limit;
  return (
    <>
      {mayAct && <Takes query={query} total={total} />}
      {list === "target" && <span>The target is for looking: its consumer takes what is in it.</span>}
      {list !== "target" && !mayAct && <span>You may look and export. Acting needs the role operator.</span>}
      {isCut && (
        <span>
          the oldest {count(shown)} are shown · <a href={viewPath({ ...view, limit: more })}>show {count(more)}</a>
        </span>
      )}
      {!isCut && mayAct && <span class="k">every action shows its plan first</span>}
    </>
  ) as Html;
}

function Takes({ query, total }: { query: string; total: number | null }): Html {
  return (
    <span>
      <b data-selected>0</b> selected
      <span data-if-none>
        {total !== null && total > 0 && (
          <>
            {" · all "}
            <b>{count(total)}</b> {query === "" ? "in the list" : "that match"} can be acted on
          </>
        )}
      </span>
      <span data-if-selected hidden>: actions take only these</span>
    </span>
  ) as Html;
}

/** Where an export is downloaded. */
export function ExportSheet({ view: { source, list, query }, role }: { view: MessagesView; role: Role }): Html {
  const path = `/api/v1/sources/${encodeURIComponent(source)}/${list}/export`;
  const href = (raw: boolean) => {
    const params = new URLSearchParams({ ...(query === "" ? {} : { query }), ...(raw ? { raw: "true" } : {}) });
    return `${path}${params.size > 0 ? `?${params}` : ""}`;
  };
  const what = query === "" ? `every message of the ${LIST_WORDS[list]}` : "every message that matches";
  return (
    <Sheet id="export" title={`Export ${what}`}>
      <p>
        Lines of JSON, the oldest message first. Without its last line, <code>end</code>, a file is not complete.
      </p>
      <p>
        <a class="btn go" href={href(false)} download={`${source}-${list}.ndjson`}>Download, secrets hidden</a>
      </p>
      {mayDo(role, "admin") && (
        <>
          <p>
            The raw bytes hold the secrets of the messages. Only a raw export can be imported. The journal keeps that
            you took one.
          </p>
          <p>
            <a class="btn danger" href={href(true)} download={`${source}-${list}-raw.ndjson`}>Download raw</a>
          </p>
        </>
      )}
    </Sheet>
  ) as Html;
}
