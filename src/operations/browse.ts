/** Operation `browse`: pages of a source's list, from either end or from a cursor. Secrets are hidden. */
import Type, { type Static } from "typebox";
import { formatCursor, parseCursor } from "../redis/list_reader.ts";
import type { LookContext } from "./context.ts";
import { createListViewer, findSource, LIST, SOURCE } from "./looked_source.ts";
import { describeRow, MESSAGE_ROW } from "./message_row.ts";
import { type Operation, OperationError } from "./operation.ts";

const DEFAULT_SIZE = 50, MAX_SIZE = 500;
const CURSOR_WANTED = "oldest, newest, or a cursor <place>.<id>";
/** A cursor as `formatCursor` writes it. */
const CURSOR = Type.String({ pattern: "^[1-9]\\d{0,14}\\.m_[0-9a-f]{16}$" });

const INPUT = Type.Object({
  source: SOURCE,
  list: Type.Optional(LIST),
  from: Type.Optional(Type.String({ maxLength: 40, description: `${CURSOR_WANTED}; default: newest` })),
  direction: Type.Optional(Type.Enum(["newer", "older"], {
    description: "Where the page goes from a cursor; default: older. From an end, a page goes to the other end",
  })),
  size: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_SIZE, description: `Most messages; default: ${DEFAULT_SIZE}` }),
  ),
}, { additionalProperties: false });

const OUTPUT = Type.Object({
  depth: Type.Integer({ minimum: 0 }),
  movedOn: Type.Boolean({
    description: "The message of the cursor is not near its place any more; begin at an end again",
  }),
  rows: Type.Array(MESSAGE_ROW),
  newer: Type.Union([CURSOR, Type.Null()], {
    description: "Cursor of the page with newer messages; null: there is none",
  }),
  older: Type.Union([CURSOR, Type.Null()], {
    description: "Cursor of the page with older messages; null: there is none",
  }),
}, { additionalProperties: false });

/** A page to read. */
export type BrowseInput = Static<typeof INPUT>;
/** A page of a list. */
export type BrowsedPage = Static<typeof OUTPUT>;

/** Reads one page. */
export const browse = {
  name: "browse",
  summary: "A page of a source's DLQ, dead list or target; secrets are hidden",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/sources/{source}/{list}" },
  run: readPage,
} satisfies Operation<LookContext, BrowseInput, BrowsedPage>;

async function readPage(context: LookContext, input: BrowseInput): Promise<BrowsedPage> {
  const { list = "dlq", from: text = "newest", size = DEFAULT_SIZE } = input;
  const source = findSource(context, input.source);
  const from = text === "oldest" || text === "newest" ? text : parseCursor(text);
  if (from === null) {
    throw new OperationError("invalid", `from is not ${CURSOR_WANTED}`, [
      { field: "from", value: text, wanted: CURSOR_WANTED },
    ]);
  }
  const direction = from === "oldest" ? "newer" : from === "newest" ? "older" : input.direction ?? "older";
  const page = await source.lists.page(list, { from, direction, size });
  const view = createListViewer(source, { list, nowMs: context.clock.nowMs() });
  const rows = page.rows.map((row) => describeRow(view(row), source));
  const toText = (cursor: typeof page.newer) => cursor && formatCursor(cursor);
  return { depth: page.depth, movedOn: page.movedOn, rows, newer: toText(page.newer), older: toText(page.older) };
}
