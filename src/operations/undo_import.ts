/** The undo of `import`: what is still in the DLQ goes to a list that expires, as a purge's trash does. */
import { takeCensus } from "./census.ts";
import { OperationError } from "./operation.ts";
import { openSelection } from "./selection.ts";
import type { UndoDraft, UndoTarget, UndoWay } from "./undo.ts";

/** How an import is undone: by a sweep that picks the messages by their ids. */
export const UNDO_IMPORT: UndoWay = { plan: planUndo };

async function planUndo({ context, source: { setup }, job }: UndoTarget): Promise<UndoDraft> {
  const { ids } = job.selection, imported = job.result?.imported ?? 0, list = "dlq";
  if (ids === undefined) {
    throw new OperationError(
      "conflict",
      `import ${job.id} cannot be undone: it had too many messages to keep their ids`,
    );
  }
  const open = openSelection(context, { source: setup.policy.name, list, query: "" }, { ids: [...ids] });
  const census = await takeCensus(open, { signal: context.signal }), { count } = census;
  if (count === 0) throw new OperationError("conflict", `nothing of import ${job.id} is in the DLQ any more`);
  const gone = Math.max(0, imported - count), more = Math.max(0, count - imported);
  return {
    ...{ census, count, selection: { ...open.selection, list }, isSweep: true },
    brings: `${count} messages leave the DLQ, and expire after 8 days`,
    cannot: [
      ...gone > 0 ? [`${gone} of the ${imported} imported messages have left the DLQ`] : [],
      ...more > 0 ? [`${more} messages that are equal to imported ones were not imported, and are taken too`] : [],
    ],
  };
}
