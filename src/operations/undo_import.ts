/** The undo of `import`: what is still in the DLQ goes to the trash. */
import { OperationError } from "./operation.ts";
import type { UndoDraft, UndoTarget, UndoWay } from "./undo.ts";

/** How an import is undone: by a sweep that picks the messages by their ids. */
export const UNDO_IMPORT: UndoWay = { plan: planUndo };

async function planUndo({ context: { signal }, source: { lists, setup }, job }: UndoTarget): Promise<UndoDraft> {
  const { ids } = job.selection, imported = job.result?.imported ?? 0;
  if (ids === undefined) {
    throw new OperationError(
      "conflict",
      `import ${job.id} cannot be undone: it had too many messages to keep their ids`,
    );
  }
  const wanted = new Set(ids);
  let count = 0;
  for await (const { rows } of lists.walk("dlq", { signal })) count += rows.filter(({ id }) => wanted.has(id)).length;
  if (count === 0) throw new OperationError("conflict", `nothing of import ${job.id} is in the DLQ any more`);
  const gone = Math.max(0, imported - count), more = Math.max(0, count - imported);
  return {
    ...{ selection: { source: setup.policy.name, list: "dlq", query: "", ids }, isSweep: true, count },
    brings: `${count} messages of the DLQ go to the trash`,
    cannot: [
      ...gone > 0 ? [`${gone} of the ${imported} imported messages have left the DLQ`] : [],
      ...more > 0 ? [`${more} messages that are equal to imported ones were not imported, and are taken too`] : [],
    ],
  };
}
