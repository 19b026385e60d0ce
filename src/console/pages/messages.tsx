/** Finds messages, looks at them, and acts on them: groups that failed alike, the list itself, and one message beside it. */
import { LIST_NAMES, LIST_WORDS, type ListName } from "../../message/source_policy.ts";
import { browse, type BrowsedPage } from "../../operations/browse.ts";
import { explain } from "../../operations/explain.ts";
import { OperationError } from "../../operations/operation.ts";
import { search } from "../../operations/search.ts";
import { count, plural } from "../format.ts";
import { aboutGroup, GroupsCard, groupSteps } from "../message_groups.tsx";
import {
  ExportSheet,
  Foot,
  FOOT_ID,
  FOUND_ID,
  FoundWords,
  ListChoice,
  SearchForms,
  type ShownSource,
  Verbs,
  VERBS_ID,
} from "../message_listing.tsx";
import { askPart, canSelect, comparePart, panelPart, rawPart, renderPanel, rowsPart } from "../message_parts.tsx";
import {
  countGroups,
  type FoundGroups,
  type FoundMessages,
  readSteps,
  searchMessages,
  signalOf,
} from "../message_search.ts";
import { MessageTable, NoRows, PageRows, Row, ROWS_ID, type TableFacts } from "../message_table.tsx";
import { type MessagesView, pageInput, readView, viewPath } from "../messages_view.ts";
import type { Html, Page, PageVisit } from "../page.ts";
import { Empty, Trouble } from "../parts.tsx";
import { isError, settle } from "../readings.ts";
import type { Step } from "../steps.ts";

/** Messages of a list whose groups are counted before the page is sent. */
const COUNTED_AT_ONCE = 20_000;

/** The page of messages. */
export const messages: Page = {
  path: "/messages",
  section: "/messages",
  isLive: true,
  title: ({ url }) => url.searchParams.get("message") ? "Message" : "Messages",
  render: renderMessages,
  refresh: async (visit) => {
    const sources = await readSources(visit);
    if (sources.length > 0) await liveChoice(visit, { sources, view: viewOf(visit, sources) });
  },
  parts: { rows: rowsPart, panel: panelPart, ask: askPart, raw: rawPart, compare: comparePart },
  streams: { found: streamFound, groups: streamGroups },
};

/** What the table shows: a page of the list, or what a search has found so far. */
type Shown =
  | { readonly kind: "page"; readonly page: BrowsedPage }
  | { readonly kind: "found"; readonly found: FoundMessages; readonly members: readonly string[] }
  | { readonly kind: "problem"; readonly problem: string; readonly members: readonly string[] };

async function renderMessages(visit: PageVisit): Promise<Html> {
  const sources = await readSources(visit);
  if (sources.length === 0) return <Empty>No source is enabled, so there are no messages to look at.</Empty> as Html;
  const view = viewOf(visit, sources);
  if (view.wait) visit.call?.stay();
  const [choice, shown, groups, panel] = await Promise.all([
    liveChoice(visit, { sources, view }),
    readShown(visit, view),
    settle(readGroups(visit, view)),
    renderPanel(visit, view),
  ]);
  return (
    <>
      {choice}
      <div class={`messages ${view.view}`}>
        {isError(groups) ? <Trouble error={groups} /> : <GroupsCard view={view} found={groups} />}
        <Listing visit={visit} view={view} shown={shown} groups={isError(groups) ? null : groups} />
        <aside id="panel" class="card" aria-label="Message">{panel}</aside>
      </div>
      <div id="ask" popover="auto" class="sheet" role="dialog" aria-label="Plan">
        <div id="ask-body"></div>
      </div>
      <ExportSheet view={view} role={visit.role} />
    </>
  ) as Html;
}

async function readSources({ reader }: PageVisit): Promise<readonly ShownSource[]> {
  return (await reader.read(explain, {})).sources.map(({ source, depth }) => ({ name: source, depth }));
}

function viewOf({ url }: PageVisit, sources: readonly ShownSource[]): MessagesView {
  return readView(url.searchParams, sources.map(({ name }) => name));
}

async function liveChoice(
  visit: PageVisit,
  { sources, view }: { sources: readonly ShownSource[]; view: MessagesView },
): Promise<Html> {
  const counted = await Promise.all(LIST_NAMES.map((list) => readDepth(visit, view.source, list)));
  const depths = Object.fromEntries(LIST_NAMES.map((list, i) => [list, counted[i]!])) as Record<ListName, number>;
  return visit.live("choice", <ListChoice view={view} sources={sources} depths={depths} /> as Html);
}

async function readDepth(visit: PageVisit, source: string, list: ListName): Promise<number> {
  for await (const item of visit.reader.stream(search, { source, list, limit: 0 }, signalOf(visit))) {
    if (item.kind === "end") return item.matched;
  }
  return 0;
}

async function readShown(visit: PageVisit, view: MessagesView): Promise<Shown> {
  const { reader } = visit, { source, list, query } = view;
  if (query === "") {
    try {
      return { kind: "page", page: await reader.read(browse, pageInput(view)) };
    } catch (error) {
      if (!isInvalid(error) || view.from === "") throw error;
      return { kind: "problem", problem: error.message, members: [] };
    }
  }
  const { members } = await reader.read(browse, { source, list, size: 1 });
  try {
    const steps = await readSteps(searchMessages(visit, view), view.wait), last = steps.at(-1)!;
    return { kind: "found", members, found: { ...last, rows: steps.flatMap(({ rows }) => rows) } };
  } catch (error) {
    if (!isInvalid(error)) throw error;
    const problem = error.problems.map(({ wanted }) => wanted).join("; ");
    return { kind: "problem", problem: `The query cannot be used: ${problem || error.message}`, members };
  }
}

function isInvalid(error: unknown): error is OperationError {
  return error instanceof OperationError && error.code === "invalid";
}

/** Counted at once if the list is short; else the browser follows. A list that cannot be grouped can still be shown. */
async function readGroups(visit: PageVisit, view: MessagesView): Promise<FoundGroups> {
  const total = await readDepth(visit, view.source, view.list);
  if (total > COUNTED_AT_ONCE && !view.wait) return { groups: [], scanned: 0, total, sampled: false };
  return (await readSteps(countGroups(visit, view), true)).at(-1)!;
}

/** The search, its rows, and what can be done with them. */
function Listing({ visit, view, shown, groups }: {
  visit: PageVisit;
  view: MessagesView;
  shown: Shown;
  groups: FoundGroups | null;
}): Html {
  const { role, nowMs } = visit, isFollowed = shown.kind === "found" && shown.found.total !== null;
  const members = shown.kind === "page" ? shown.page.members : shown.members;
  const facts: TableFacts = { view, members, nowMs, isSelectable: canSelect(view, role) };
  const total = totalOf(shown), about = groups && aboutGroup({ view, found: groups, nowMs });
  return (
    <section class="card listing" aria-label="Messages">
      <SearchForms view={view} members={members} problem={shown.kind === "problem" ? shown.problem : null} />
      {shown.kind !== "problem" && (
        <form
          id="chosen"
          method="post"
          action="/messages/ask"
          hx-post="/messages/ask"
          hx-target="#ask-body"
          data-stream={isFollowed ? viewPath(view, "found") : undefined}
        >
          <div class="bar">
            <div class="what">
              <p id="about">{about ?? <Title view={view} />}</p>
              <p class="k">
                <span id={FOUND_ID}>
                  {shown.kind === "page"
                    ? plural(shown.page.depth, "message")
                    : <FoundWords view={view} found={shown.found} />}
                </span>{" "}
                <button class="btn when-running" type="button" data-stop>Stop</button>
                <span class="when-stopped">
                  · Stopped. <a href={viewPath(view)}>Search again</a>
                </span>
                <span class="when-lost">
                  · The connection was lost. <a href={viewPath(view)}>Search again</a>
                </span>
              </p>
              <div id="trouble"></div>
            </div>
            <div id={VERBS_ID} class="acts">
              <Verbs view={view} total={total} role={role} />
            </div>
          </div>
          <Rows shown={shown} facts={facts} visit={visit} />
          <footer id={FOOT_ID} class="foot">
            <Foot
              view={view}
              total={total}
              shown={shown.kind === "found" ? shown.found.rows.length : null}
              role={role}
            />
          </footer>
        </form>
      )}
    </section>
  ) as Html;
}

/** `null`: not counted yet. */
function totalOf(shown: Shown): number | null {
  if (shown.kind === "page") return shown.page.depth;
  return shown.kind === "found" && shown.found.total === null ? shown.found.matched : null;
}

function Title({ view: { source, list, query } }: { view: MessagesView }): Html {
  return (
    <b>
      {query === "" ? "All messages" : "Messages that match"} in the {LIST_WORDS[list]} of {source}
    </b>
  ) as Html;
}

function Rows({ shown, facts, visit: { role } }: {
  shown: Exclude<Shown, { kind: "problem" }>;
  facts: TableFacts;
  visit: PageVisit;
}): Html {
  const { view } = facts;
  if (shown.kind === "found") {
    const { rows, total } = shown.found;
    if (rows.length === 0 && total === null) return <NoRows view={view} role={role} /> as Html;
    return <MessageTable facts={facts}>{rows.map((row) => <Row row={row} facts={facts} />)}</MessageTable> as Html;
  }
  const { page } = shown;
  if (page.movedOn) {
    return (
      <Empty>
        The list has moved on since: the message at this place has left it.{" "}
        <a href={viewPath({ ...view, from: "", direction: "" })}>Begin at the {view.order}</a>
      </Empty>
    ) as Html;
  }
  if (page.rows.length === 0) return <NoRows view={view} role={role} /> as Html;
  return (
    <MessageTable facts={facts}>
      <Back page={page} view={view} />
      <PageRows page={page} facts={facts} />
    </MessageTable>
  ) as Html;
}

/** The way back towards the end that comes first. */
function Back({ page, view }: { page: BrowsedPage; view: MessagesView }): Html | null {
  const back = view.order === "newest" ? "newer" : "older", from = page[back];
  if (from === null) return null;
  const { source, list, order } = view;
  return (
    <tr class="more">
      <td colspan={page.members.length + 6}>
        <a href={viewPath({ source, list, order, from, direction: back })}>{count(100)} {back}</a> ·{" "}
        <a href={viewPath({ source, list, order })}>the {order}</a>
      </td>
    </tr>
  ) as Html;
}

/** The rows that a search finds, and how far it is. */
async function* streamFound(visit: PageVisit): AsyncGenerator<readonly Step[]> {
  const { role, nowMs } = visit, view = viewOf(visit, []);
  const { members } = await visit.reader.read(browse, { source: view.source, list: view.list, size: 1 });
  const facts: TableFacts = { view, members, nowMs, isSelectable: canSelect(view, role) };
  let shown = 0, isFirst = true;
  for await (const found of searchMessages(visit, view)) {
    shown += found.rows.length;
    const html = <>{found.rows.map((row) => <Row row={row} facts={facts} />)}</> as Html;
    const isEnd = found.total === null;
    yield [
      ...isFirst || found.rows.length > 0 ? [{ id: ROWS_ID, how: isFirst ? "set" : "append", html } as const] : [],
      { id: FOUND_ID, how: "set", html: <FoundWords view={view} found={found} /> as Html },
      ...isEnd
        ? [
          { id: VERBS_ID, how: "set", html: <>{<Verbs view={view} total={found.matched} role={role} />}</> as Html },
          {
            id: FOOT_ID,
            how: "set",
            html: <Foot view={view} total={found.matched} shown={shown} role={role} /> as Html,
          },
        ] as const
        : [],
    ];
    isFirst = false;
  }
}

async function* streamGroups(visit: PageVisit): AsyncGenerator<readonly Step[]> {
  const view = viewOf(visit, []);
  for await (const found of countGroups(visit, view)) yield groupSteps({ view, found, nowMs: visit.nowMs });
}
