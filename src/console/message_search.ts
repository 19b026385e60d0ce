/** Reads searches and groups of the page of messages: completely if the list is short, else as steps for the browser. */
import { groups, type GroupsInput, type GroupsItem } from "../operations/groups.ts";
import type { MessageRow } from "../operations/message_row.ts";
import { search, type SearchInput } from "../operations/search.ts";
import type { MessagesView } from "./messages_view.ts";
import type { PageVisit } from "./page.ts";
import type { FoundGroup } from "./readings.ts";

/** How far a search is. */
export interface FoundMessages {
  readonly rows: readonly MessageRow[];
  readonly matched: number;
  readonly scanned: number;
  /** `null`: the search has ended. */
  readonly total: number | null;
  readonly movedOn: boolean;
}

/** Age up to which all who look share a count of groups, in seconds: as on the overview. */
const MAX_AGE_SECONDS = 10;

/** How far a count of groups is. */
export interface FoundGroups {
  readonly groups: readonly FoundGroup[];
  readonly scanned: number;
  /** `null`: the count has ended. */
  readonly total: number | null;
  /** Whether the counts are estimates. */
  readonly sampled: boolean;
}

/** Searches a list. Yields whenever there are rows or progress to show, with the new rows only; the last one has no total. */
export async function* searchMessages(visit: PageVisit, view: MessagesView): AsyncGenerator<FoundMessages> {
  const { source, list, query, limit } = view;
  const input: SearchInput = { source, list, query, limit };
  let rows: MessageRow[] = [];
  for await (const item of visit.reader.stream(search, input, signalOf(visit))) {
    if (item.kind === "row") {
      const { kind: _, ...row } = item;
      rows.push(row);
      continue;
    }
    const total = item.kind === "end" ? null : item.total;
    yield {
      ...{ rows, matched: item.matched, scanned: item.scanned, total },
      movedOn: item.kind === "end" && item.movedOn,
    };
    rows = [];
  }
}

/** Counts the groups of a list. Yields how far it is; the last one has the groups and no total. */
export async function* countGroups(visit: PageVisit, view: MessagesView): AsyncGenerator<FoundGroups> {
  const { source, list } = view, input: GroupsInput = { source, list, maxAge: MAX_AGE_SECONDS };
  const found: FoundGroup[] = [];
  for await (const item of visit.reader.stream(groups, input, signalOf(visit))) {
    if (item.kind === "group") found.push(toGroup(item, view));
    else if (item.kind === "progress") yield { groups: [], scanned: item.scanned, total: item.total, sampled: false };
    else yield { groups: found, scanned: item.scanned, total: null, sampled: item.sampled };
  }
}

/** The first of the steps, which is all if the list is short; with `isWhole`, all of them. */
export async function readSteps<Step>(steps: AsyncGenerator<Step>, isWhole: boolean): Promise<readonly Step[]> {
  const read: Step[] = [];
  for await (const step of steps) {
    read.push(step);
    if (!isWhole) break;
  }
  return read;
}

/** Ends with the request; of a part that is rendered for everybody, with the rendering. */
export function signalOf({ call }: Pick<PageVisit, "call">): AbortSignal {
  return call?.signal ?? new AbortController().signal;
}

function toGroup(
  { group, reason, text, count, firstSeen, lastSeen, trend }: Extract<GroupsItem, { kind: "group" }>,
  { source, list }: MessagesView,
): FoundGroup {
  return { source, list, group, reason, text, count, firstSeen, lastSeen, trend };
}
