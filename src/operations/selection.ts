/** Messages that a person chose: those of one list of a source that match a query. */
import Type, { type Static } from "typebox";
import { looksSecret } from "../config/redact.ts";
import type { MessageView } from "../message/message_view.ts";
import { type CompiledSelection, compileSelection, type Selection } from "../message/selection.ts";
import { MAX_QUERY_CHARACTERS } from "../message/query_syntax.ts";
import type { WalkOptions } from "../redis/list_reader.ts";
import type { LookContext } from "./context.ts";
import { createListViewer, findSource, LIST, type LookedSource, SOURCE } from "./looked_source.ts";
import { OperationError } from "./operation.ts";

/** Members of an input that select messages. */
export const SELECTION_MEMBERS = {
  source: SOURCE,
  list: Type.Optional(LIST),
  query: Type.Optional(
    Type.String({
      maxLength: MAX_QUERY_CHARACTERS,
      description: "Which messages, e.g. reason:poison age:>1h; default: all",
    }),
  ),
};
const SELECTION = Type.Object(SELECTION_MEMBERS);

/** A selection, ready to be looked for. */
export interface OpenSelection {
  readonly source: LookedSource;
  readonly selection: Selection & { readonly atMs: number };
  readonly query: CompiledSelection;
}

/** Messages that were looked at together. */
export interface ScannedChunk {
  /** Those that match, oldest first. */
  readonly matching: readonly MessageView[];
  /** Messages looked at so far. */
  readonly scanned: number;
  /** Messages to look at in all, as far as is known. */
  readonly total: number;
  /** Place of the last message of the scan. */
  readonly end: number;
  /** Whether the messages before these had left the list, so that the scan went on at the oldest one. */
  readonly movedOn: boolean;
}

/** Finds the source and compiles the query. @throws OperationError with every problem of the query */
export function openSelection(
  context: Pick<LookContext, "sources" | "clock">,
  { source: name, list = "dlq", query: text = "" }: Static<typeof SELECTION>,
  more: Pick<Selection, "ids" | "atMs" | "buriedBy"> = {},
): OpenSelection {
  const source = findSource(context, name);
  const selection = { atMs: context.clock.nowMs(), ...more, source: name, list, query: text };
  const query = compileSelection(selection);
  if (query.ok) return { source, selection, query };
  const problems = query.problems.map(({ position, found, wanted }) => ({
    field: "query",
    value: text,
    wanted: `at character ${position}, instead of ${looksSecret(found) ? "[redacted]" : found}: ${wanted}`,
  }));
  throw new OperationError("invalid", `the query has ${problems.length === 1 ? "a problem" : "problems"}`, problems);
}

/**
 * Walks the list from its oldest message to the watermark; default: to the one that is the newest now. Ends early if the signal is
 * aborted. `forJob`: see {@link createListViewer}.
 */
export async function* scan(
  { source, selection: { list, atMs }, query: { matches } }: OpenSelection,
  { forJob = false, ...options }: Pick<WalkOptions, "signal" | "watermark"> & { readonly forJob?: boolean },
): AsyncGenerator<ScannedChunk> {
  const view = createListViewer(source, { list, nowMs: atMs, forJob });
  let scanned = 0;
  for await (const { rows, end, movedOn } of source.lists.walk(list, { ...options, hasRecords: true })) {
    scanned += rows.length;
    const matching = rows.map(view).filter(matches);
    yield { matching, scanned, total: Math.max(scanned, scanned + end - rows.at(-1)!.place), end, movedOn };
  }
}
