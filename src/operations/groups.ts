/**
 * Operation `groups`: messages that failed alike, counted. In a list above the limit it looks at neighbouring messages at even
 * distances, says so, and estimates the counts. With `maxAge`, all who look at a list share one count of it.
 */
import Type, { type Static } from "typebox";
import { type CountedGroup, GroupTable, MAX_GROUPS, TREND_PARTS } from "../message/group_table.ts";
import type { MessageView } from "../message/message_view.ts";
import { toIso } from "../runtime/clock.ts";
import type { LookContext } from "./context.ts";
import { createListViewer, MESSAGE_ID, SHOWN, shownMembers } from "./looked_source.ts";
import type { StreamOperation } from "./operation.ts";
import { type OpenSelection, openSelection, scan, type ScannedChunk, SELECTION_MEMBERS } from "./selection.ts";
import { INSTANT, orNull, WHOLE } from "./typed_schema.ts";

/** A shared count keeps this many groups. */
const DEFAULT_GROUPS = 100;
const DEFAULT_LIMIT = 1_000_000, MAX_LIMIT = 10_000_000;
/** Messages of a sample, and neighbours in one read. */
const SAMPLE_MESSAGES = 100_000, NEIGHBOURS = 16;
const NEIGHBOUR_BYTES = 102_400;
const MAX_AGE_SECONDS = 3_600;
/** Messages between two reports of progress. */
const PROGRESS_EVERY = 20_000;

const INPUT = Type.Object({
  ...SELECTION_MEMBERS,
  limit: Type.Optional(Type.Integer({
    ...{ minimum: 1_000, maximum: MAX_LIMIT },
    description: `Look at a sample if the list has more messages; default: ${DEFAULT_LIMIT}`,
  })),
  top: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_GROUPS, description: `Most groups; default: ${DEFAULT_GROUPS}` }),
  ),
  maxAge: Type.Optional(
    Type.Integer({
      ...{ minimum: 0, maximum: MAX_AGE_SECONDS },
      description:
        "Accept a shared count up to this age, in seconds. Ignored with a query, a limit, or more groups than the " +
        "default. Default: 0 (count now)",
    }),
  ),
}, { additionalProperties: false });

const SAMPLE = Type.Object({ id: MESSAGE_ID, place: Type.Integer({ minimum: 1 }), shown: SHOWN }, {
  additionalProperties: false,
});
const ITEM = Type.Union([
  Type.Object({ kind: Type.Literal("progress"), scanned: WHOLE, total: WHOLE }, { additionalProperties: false }),
  Type.Object({
    kind: Type.Literal("group"),
    group: Type.String(),
    reason: Type.Union([Type.String(), Type.Null()]),
    text: Type.String({ description: "The text that they share; • stands for numbers, addresses, ids and times" }),
    count: WHOLE,
    share: Type.Number({ minimum: 0, maximum: 1, description: "Of the matching messages" }),
    firstSeen: orNull(INSTANT),
    lastSeen: orNull(INSTANT),
    trend: Type.Array(WHOLE, {
      description: `Count in each of ${TREND_PARTS} equal parts of the list, from the oldest part to the newest`,
    }),
    sample: SAMPLE,
  }, { additionalProperties: false }),
  Type.Object({
    ...{ kind: Type.Literal("end"), scanned: WHOLE, matched: WHOLE, groups: WHOLE },
    ungrouped: Type.Integer({ minimum: 0, description: `Messages of groups beyond the first ${MAX_GROUPS}` }),
    sampled: Type.Boolean({ description: "Whether the counts are estimated from a sample" }),
    countedAt: Type.String({ description: "When the count began: what came or left since may be missing" }),
    ...{ isComplete: Type.Boolean(), movedOn: Type.Boolean() },
  }, { additionalProperties: false }),
]);

/** What to group. */
export type GroupsInput = Static<typeof INPUT>;
/** A group, or how far the count is. */
export type GroupsItem = Static<typeof ITEM>;

/** Groups a list: progress, then the groups, largest first. */
export const groups = {
  name: "groups",
  summary: "Messages of a source's list that failed alike: count, first and last seen, trend, a sample",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: ITEM,
  http: { method: "GET", path: "/sources/{source}/{list}/groups" },
  stream: true,
  run: countGroups,
} satisfies StreamOperation<LookContext, GroupsInput, GroupsItem>;

type Sample = Static<typeof SAMPLE>;
type Item<Kind extends GroupsItem["kind"]> = Extract<GroupsItem, { kind: Kind }>;

/** What was counted: groups, largest first. */
export interface CountedGroups {
  readonly groups: readonly Item<"group">[];
  readonly end: Item<"end">;
}

async function* countGroups(context: LookContext, input: GroupsInput): AsyncGenerator<GroupsItem> {
  const selection = openSelection(context, input), { maxAge = 0, top = DEFAULT_GROUPS } = input;
  const isShareable = selection.query.canonical === "" && input.limit === undefined && top <= DEFAULT_GROUPS;
  const { groups, end } = maxAge > 0 && isShareable
    ? await shareCount(context, selection, maxAge)
    : yield* count(context, selection, { limit: DEFAULT_LIMIT, ...input, top });
  yield* groups.slice(0, top);
  yield end;
}

/** One count for all who look at a list. It tells no progress. */
async function shareCount(context: LookContext, selection: OpenSelection, maxAge: number): Promise<CountedGroups> {
  const { source: { groupCounts }, selection: { list } } = selection, { signal } = context;
  const compute = async () => {
    const counting = count(context, selection, { limit: DEFAULT_LIMIT, top: DEFAULT_GROUPS });
    let step = await counting.next();
    while (!step.done) step = await counting.next();
    return step.value.end.isComplete ? step.value : null;
  };
  const shared = await groupCounts.get(list, { maxAgeMs: maxAge * 1_000, signal, compute });
  return shared?.value ?? notCounted(selection);
}

function notCounted({ selection: { atMs } }: OpenSelection): CountedGroups {
  const nothing = { scanned: 0, matched: 0, groups: 0, ungrouped: 0, sampled: false, movedOn: false };
  return { groups: [], end: { kind: "end", ...nothing, countedAt: toIso(atMs), isComplete: false } };
}

async function* count(
  { signal }: LookContext,
  selection: OpenSelection,
  { limit, top }: { limit: number; top: number },
): AsyncGenerator<Item<"progress">, CountedGroups> {
  const { source, selection: { list, atMs: nowMs } } = selection;
  const sampleOf = (view: MessageView): Sample => ({
    ...{ id: view.id, place: view.place, shown: shownMembers(view, source) },
  });
  const table = new GroupTable(source.setup.policy.name, { nowMs, sampleOf });
  const depth = await source.lists.depth(list), sampled = depth > limit;
  let scanned = 0, matched = 0, reported = 0, movedOn = false;
  for await (
    const chunk of sampled ? scanSample(selection, { depth, limit, signal }) : scan(selection, { signal })
  ) {
    scanned = chunk.scanned;
    matched += chunk.matching.length;
    movedOn ||= chunk.movedOn;
    table.add(chunk.matching, chunk.end);
    if (scanned - reported < PROGRESS_EVERY) continue;
    reported = scanned;
    yield { kind: "progress", scanned, total: chunk.total };
  }
  const factor = sampled && scanned > 0 ? depth / scanned : 1, counted = table.list();
  return {
    groups: counted.slice(0, top).map((group) => describeGroup(group, { matched, factor })),
    end: {
      ...{ kind: "end", scanned, matched: Math.round(matched * factor), groups: counted.length },
      ...{ ungrouped: Math.round(table.ungrouped * factor), sampled, countedAt: toIso(nowMs) },
      ...{ isComplete: !signal.aborted, movedOn },
    },
  };
}

/** Looks at some neighbouring messages at even distances. */
async function* scanSample(
  { source, selection: { list, atMs }, query: { matches } }: OpenSelection,
  { depth, limit, signal }: { depth: number; limit: number; signal: AbortSignal },
): AsyncGenerator<ScannedChunk> {
  const view = createListViewer(source, { list, nowMs: atMs });
  const reads = Math.floor(Math.min(limit, SAMPLE_MESSAGES) / NEIGHBOURS), total = reads * NEIGHBOURS;
  let scanned = 0;
  for (let read = 0; read < reads && !signal.aborted; read++) {
    const place = Math.floor(read * depth / reads) + 1;
    const rows = await source.lists.peek(list, { place, bounds: { messages: NEIGHBOURS, bytes: NEIGHBOUR_BYTES } });
    scanned += rows.length;
    yield { matching: rows.map(view).filter(matches), scanned, total, end: depth, movedOn: false };
  }
}

function describeGroup(
  { group, reason, text, count, firstSeenAtMs, lastSeenAtMs, trend, sample }: CountedGroup<Sample>,
  { matched, factor }: { matched: number; factor: number },
): Item<"group"> {
  const toText = (atMs: number | null) => atMs === null ? null : toIso(atMs);
  return {
    ...{ kind: "group", group, reason, text, sample },
    ...{
      count: Math.round(count * factor),
      share: count / matched,
      trend: trend.map((one) => Math.round(one * factor)),
    },
    ...{ firstSeen: toText(firstSeenAtMs), lastSeen: toText(lastSeenAtMs) },
  };
}
