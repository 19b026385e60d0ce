/** Operation `browse`: pages of a source's list, from either end, a place or a cursor. Secrets are hidden. */
import Type, { type Static } from "typebox";
import type { ListName } from "../message/source_policy.ts";
import { formatCursor, type PageRequest, parseCursor } from "../redis/list_reader.ts";
import type { LookContext } from "./context.ts";
import { createListViewer, findSource, LIST, type LookedSource, SOURCE } from "./looked_source.ts";
import { describeRow, MESSAGE_ROW } from "./message_row.ts";
import { type Operation, OperationError } from "./operation.ts";

const DEFAULT_SIZE = 50, MAX_SIZE = 500;
const FROM_WANTED = "oldest, newest, a place from 1 at the oldest, or a cursor <place>.<id>";
/** A cursor as `formatCursor` writes it. */
const CURSOR = Type.String({ pattern: "^[1-9]\\d{0,14}\\.m_[0-9a-f]{16}$" });

const INPUT = Type.Object({
  source: SOURCE,
  list: Type.Optional(LIST),
  from: Type.Optional(Type.String({ maxLength: 40, description: `${FROM_WANTED}; default: newest` })),
  direction: Type.Optional(Type.Enum(["newer", "older"], {
    description:
      "Where the page goes from a cursor or a place; default: older. From an end, a page goes to the other end",
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
  members: Type.Array(Type.String(), { description: "The members that the source shows of each message, in order" }),
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
  const from = await readStart(source, { list, text });
  if (from === null) {
    throw new OperationError("invalid", `from is not ${FROM_WANTED}`, [
      { field: "from", value: text, wanted: FROM_WANTED },
    ]);
  }
  const direction = from === "oldest" ? "newer" : from === "newest" ? "older" : input.direction ?? "older";
  const page = await source.lists.page(list, { from, direction, size });
  const view = createListViewer(source, { list, nowMs: context.clock.nowMs() });
  const rows = page.rows.map((row) => describeRow(view(row), source));
  const toText = (cursor: typeof page.newer) => cursor && formatCursor(cursor);
  return {
    ...{ depth: page.depth, movedOn: page.movedOn, members: [...source.setup.display.show], rows },
    ...{ newer: toText(page.newer), older: toText(page.older) },
  };
}

/** Where the page starts; `null` if the text says no such thing. A place beyond the newest message is that of the newest. */
async function readStart(
  { lists }: LookedSource,
  { list, text }: { list: ListName; text: string },
): Promise<PageRequest["from"] | null> {
  if (text === "oldest" || text === "newest") return text;
  if (!/^[1-9]\d{0,14}$/.test(text)) return parseCursor(text);
  return Math.min(Number(text), Math.max(1, await lists.depth(list)));
}
