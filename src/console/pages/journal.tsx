/** What was moved, who did what, and what went wrong. The newest entries appear by themselves; older ones by a cursor. */
import { ENTRY_KINDS } from "../../journal/entries.ts";
import { explain } from "../../operations/explain.ts";
import { journal, type JournalInput, type JournalOutput } from "../../operations/journal.ts";
import { Entries } from "../entries.tsx";
import type { Html, Page, PageVisit } from "../page.ts";
import { Card, Empty, Trouble } from "../parts.tsx";
import { isError, settle, type Settled } from "../readings.ts";

/** Entries of a page. */
const SIZE = 50;
/** Fields of the filter that are text. */
const TEXTS = [
  ["actor", "Actor", "m.okafor"],
  ["message", "Message", "m_0123456789abcdef"],
  ["job", "Job", "id of a job"],
] as const;
const FIELDS = ["source", "kind", "actor", "message", "job", "from", "to"] as const;
type Field = typeof FIELDS[number];
type Filter = Readonly<Partial<Record<Field, string>>>;

/** The journal. */
export const journalPage: Page = {
  path: "/journal",
  section: "/journal",
  isLive: true,
  title: () => "Journal",
  async render(visit) {
    const { reader, live, url } = visit, filter = filterOf(url), cursor = url.searchParams.get("cursor");
    const { sources } = await reader.read(explain, {});
    const input = { ...toInput(filter), limit: SIZE, ...(cursor === null ? {} : { cursor }) };
    const found = await settle(reader.read(journal, input as JournalInput));
    const list = <Found found={found} filter={filter} isOlder={cursor !== null} />;
    return (
      <>
        <FilterForm filter={filter} sources={sources.map(({ source }) => source)} />
        {cursor === null ? live("entries", list as Html) : list}
      </>
    ) as Html;
  },
  refresh: refreshEntries,
};

/** The form does not change by itself. */
async function refreshEntries({ reader, live, url }: PageVisit): Promise<Html> {
  const filter = filterOf(url);
  if (url.searchParams.has("cursor")) return "" as unknown as Html;
  const found = await settle(reader.read(journal, { ...toInput(filter), limit: SIZE } as JournalInput));
  return live("entries", <Found found={found} filter={filter} isOlder={false} /> as Html);
}

function filterOf(url: URL): Filter {
  return Object.fromEntries(FIELDS.flatMap((field) => {
    const value = url.searchParams.get(field)?.trim() ?? "";
    return value === "" ? [] : [[field, value]];
  }));
}

/** A browser's instant is without seconds and zone; here it is UTC. */
function toInput({ from, to, ...filter }: Filter): Record<string, string> {
  const instant = (text: string) => /^[\d-]{10}T\d{2}:\d{2}$/.test(text) ? `${text}:00Z` : text;
  return {
    ...filter,
    ...(from === undefined ? {} : { from: instant(from) }),
    ...(to === undefined ? {} : { to: instant(to) }),
  };
}

function FilterForm({ filter, sources }: { filter: Filter; sources: readonly string[] }): Html {
  return (
    <form class="card filter" action="/journal" role="search">
      <Choice name="source" label="Source" options={sources} chosen={filter.source} />
      <Choice name="kind" label="Kind" options={[...ENTRY_KINDS, "invalid"]} chosen={filter.kind} />
      {TEXTS.map(([name, label, placeholder]) => (
        <label class="field">
          {label}
          <input type="search" name={name} value={filter[name] ?? ""} placeholder={placeholder} autocomplete="off" />
        </label>
      ))}
      {(["from", "to"] as const).map((name) => (
        <label class="field when">
          <span>
            {name === "from" ? "From" : "To"} <small>UTC</small>
          </span>
          <input type="datetime-local" name={name} value={(filter[name] ?? "").slice(0, 16)} />
        </label>
      ))}
      <div class="acts">
        <button class="btn go" type="submit">Filter</button>
        {Object.keys(filter).length > 0 && <a class="btn" href="/journal">All entries</a>}
        <a class="btn" href="/journal/verify">Verify…</a>
      </div>
    </form>
  ) as Html;
}

function Choice(
  { name, label, options, chosen }: {
    name: Field;
    label: string;
    options: readonly string[];
    chosen: string | undefined;
  },
): Html {
  return (
    <label class="field">
      {label}
      <select name={name}>
        <option value="">all</option>
        {options.map((option) => <option value={option} selected={option === chosen}>{option}</option>)}
      </select>
    </label>
  ) as Html;
}

function Found(
  { found, filter, isOlder }: { found: Settled<JournalOutput>; filter: Filter; isOlder: boolean },
): Html {
  const newest = isOlder ? <a href={pathOf(filter)}>newest entries</a> : <span class="k">newest first</span>;
  return (
    <Card title={isOlder ? "Older entries" : "Journal"} aside={newest}>
      {isError(found)
        ? <Trouble error={found} />
        : found.entries.length === 0
        ? <Nothing filter={filter} isOlder={isOlder} />
        : (
          <>
            <Entries entries={found.entries} />
            <More found={found} filter={filter} isOlder={isOlder} />
          </>
        )}
    </Card>
  ) as Html;
}

/**
 * Among older entries, the next ones come when the link is reached. The newest ones move while they are looked at, so that what
 * follows them is a page of its own.
 */
function More({ found, filter, isOlder }: { found: JournalOutput; filter: Filter; isOlder: boolean }): Html {
  if (found.complete) return <p class="footnote">These are all.</p> as Html;
  const path = pathOf(filter, found.cursor);
  const loads = isOlder
    ? { "hx-get": path, "hx-trigger": "revealed", "hx-target": "closest .more", "hx-swap": "outerHTML" }
    : {};
  return (
    <p class="more footnote" {...(isOlder ? { "hx-select": ".entries, .more, .footnote", ...loads } : {})}>
      <a href={path}>{isOlder ? "More" : "Older entries"}</a>
    </p>
  ) as Html;
}

function Nothing({ filter, isOlder }: { filter: Filter; isOlder: boolean }): Html {
  if (isOlder) return <Empty>No older entries.</Empty> as Html;
  if (Object.keys(filter).length > 0) {
    return (
      <Empty>
        No entry fits. Loosen the filter, or look at <a href="/journal">all entries</a>.
      </Empty>
    ) as Html;
  }
  return (
    <Empty>
      No entries yet. Every move of messages, every action of a person, and every incident is written here.
    </Empty>
  ) as Html;
}

function pathOf(filter: Filter, cursor?: string): string {
  const query = new URLSearchParams({ ...filter, ...(cursor === undefined ? {} : { cursor }) }).toString();
  return query === "" ? "/journal" : `/journal?${query}`;
}
