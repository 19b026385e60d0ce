/** Operation `export`: messages as lines of JSON, from the oldest to the newest. Raw ones need role admin and are journalled. */
import Type, { type Static } from "typebox";
import { formatEnd, formatHeader, formatMasked, formatRaw, formatSkipped } from "../message/export_format.ts";
import type { MessageView } from "../message/message_view.ts";
import { toIso } from "../runtime/clock.ts";
import { operationEntry } from "./audit.ts";
import type { LookContext } from "./context.ts";
import type { StreamOperation } from "./operation.ts";
import { requireRole } from "./require_role.ts";
import { type OpenSelection, openSelection, scan, SELECTION_MEMBERS } from "./selection.ts";

const INPUT = Type.Object({
  ...SELECTION_MEMBERS,
  raw: Type.Optional(Type.Boolean({
    description:
      "Export the exact bytes, with their secrets; role admin, and journalled. Only such exports can be imported",
  })),
}, { additionalProperties: false });

/** One line of the file, without its line feed. */
const LINE = Type.String();

/** What to export. */
export type ExportInput = Static<typeof INPUT>;

/** Exports messages. Without its last line, `end`, the export was cancelled or cut off. */
export const exportMessages = {
  name: "export",
  summary: "Messages of a source's list as lines of JSON; secrets are hidden unless raw",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: LINE,
  http: { method: "GET", path: "/sources/{source}/{list}/export" },
  stream: true,
  run: exportLines,
} satisfies StreamOperation<LookContext, ExportInput, string>;

async function* exportLines(context: LookContext, input: ExportInput): AsyncGenerator<string> {
  const { raw = false } = input, selection = openSelection(context, input);
  if (raw) await allowRaw(context, selection);
  const { source, selection: { list, atMs }, query: { canonical: query } } = selection;
  const depth = await source.lists.depth(list);
  yield formatHeader({ source: source.setup.policy.name, list, query, masked: !raw, depth, at: toIso(atMs) });
  let messages = 0, skipped = 0;
  for await (const { matching } of scan(selection, { signal: context.signal })) {
    for (const view of matching) {
      if (view.bytes === null) skipped++;
      else messages++;
      yield formatLine(view, raw);
    }
  }
  if (!context.signal.aborted) yield formatEnd({ messages, skipped });
}

function formatLine(view: MessageView, raw: boolean): string {
  const { id, place, bytes } = view;
  if (bytes === null) return formatSkipped(view);
  return raw ? formatRaw({ id, place, bytes }) : formatMasked(view);
}

/** @throws OperationError `forbidden`; StoreError if the journal cannot be written */
async function allowRaw(
  { actor, journal, correlationId }: LookContext,
  { source, selection: { list }, query }: OpenSelection,
): Promise<void> {
  requireRole(actor, "admin", "raw");
  await journal.record(operationEntry(actor, {
    ...{ operation: "export", source: source.setup.policy.name, correlationId },
    ...{ input: { list, query: query.canonical, raw: true }, result: "raw export begun" },
  }));
}
