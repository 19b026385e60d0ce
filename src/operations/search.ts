/** Operation `search`: finds messages by a query. Rows come as they are found; their number is limited, the count is not. */
import Type, { type Static } from "typebox";
import type { LookContext } from "./context.ts";
import { describeRow, ROW_MEMBERS } from "./message_row.ts";
import type { StreamOperation } from "./operation.ts";
import { openSelection, scan, SELECTION_MEMBERS } from "./selection.ts";
import { WHOLE } from "./typed_schema.ts";

const DEFAULT_ROWS = 100, MAX_ROWS = 10_000;
/** Messages between two reports of progress. */
const PROGRESS_EVERY = 20_000;

const INPUT = Type.Object({
  ...SELECTION_MEMBERS,
  limit: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: MAX_ROWS,
      description: `Most rows; default: ${DEFAULT_ROWS}. All are counted`,
    }),
  ),
}, { additionalProperties: false });

const ITEM = Type.Union([
  Type.Object({ kind: Type.Literal("row"), ...ROW_MEMBERS }, { additionalProperties: false }),
  Type.Object({ kind: Type.Literal("progress"), scanned: WHOLE, matched: WHOLE, total: WHOLE }, {
    additionalProperties: false,
  }),
  Type.Object({
    ...{ kind: Type.Literal("end"), scanned: WHOLE, matched: WHOLE, rows: WHOLE },
    isComplete: Type.Boolean({ description: "false: cancelled before every message was looked at" }),
    movedOn: Type.Boolean({
      description: "Messages left the list faster than they were read; some that stayed may have been counted twice",
    }),
  }, { additionalProperties: false }),
]);

/** What to find. */
export type SearchInput = Static<typeof INPUT>;
/** A row, or how far the search is. */
export type SearchItem = Static<typeof ITEM>;

/** Searches a list, oldest message first. */
export const search = {
  name: "search",
  summary: "Find messages of a source's list by a query; secrets are hidden and cannot be found",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: ITEM,
  http: { method: "GET", path: "/sources/{source}/{list}/search" },
  stream: true,
  run: findMessages,
} satisfies StreamOperation<LookContext, SearchInput, SearchItem>;

async function* findMessages(context: LookContext, input: SearchInput): AsyncGenerator<SearchItem> {
  const selection = openSelection(context, input), { limit = DEFAULT_ROWS } = input;
  const { source, query: { canonical } } = selection;
  let scanned = 0, matched = 0, rows = 0, reported = 0, movedOn = false;
  if (canonical === "" && limit === 0) {
    matched = await source.lists.depth(selection.selection.list);
    yield { kind: "end", scanned, matched, rows, isComplete: true, movedOn };
    return;
  }
  for await (const chunk of scan(selection, { signal: context.signal })) {
    scanned = chunk.scanned;
    matched += chunk.matching.length;
    movedOn ||= chunk.movedOn;
    for (const view of chunk.matching.slice(0, limit - rows)) {
      yield { kind: "row", ...describeRow(view, source) };
      rows++;
    }
    // Every message matches, so the others need not be read.
    if (canonical === "" && rows === limit) {
      matched = chunk.total;
      break;
    }
    if (scanned - reported < PROGRESS_EVERY) continue;
    reported = scanned;
    yield { kind: "progress", scanned, matched, total: chunk.total };
  }
  yield { kind: "end", scanned, matched, rows, isComplete: !context.signal.aborted, movedOn };
}
