/** The undo of `edit`: the original comes back in the place of the new message, which goes to the trash. */
import type { Job } from "../jobs/job.ts";
import { idOfDigest } from "../message/message_id.ts";
import { OperationError } from "./operation.ts";
import { type EditPlan, findMessage, replaceMessage } from "./replace_message.ts";
import type { UndoDraft, UndoTarget, UndoWay } from "./undo.ts";

/** How an edit is undone: in one step, if the new message is still in the list. The undo is kept as an edit of its own. */
export const UNDO_EDIT: UndoWay = { plan: planUndo, act: undo };

async function planUndo({ context, source, job }: UndoTarget): Promise<UndoDraft> {
  const { after, before, place } = editPlanOf(job), { list } = job.selection, id = idOfDigest(after);
  await findAfter({ context, source, job }, place);
  return {
    ...{ selection: { source: source.setup.policy.name, list, query: "", ids: [id] }, isSweep: false, count: 1 },
    brings: `message ${idOfDigest(before)} comes back in the place of ${id}, which goes to the trash`,
    cannot: [],
  };
}

async function undo(target: UndoTarget, plan: string): Promise<void> {
  const { context, source, job } = target, { after, before, place } = editPlanOf(job), { list } = job.selection;
  const { place: near } = await findAfter(target, place);
  await replaceMessage(context, source, {
    ...{ list, id: idOfDigest(after), near, payload: { trashOf: job.id, digest: before }, reason: `undo of ${job.id}` },
    ends: plan,
  });
}

/** Finds the new message near the place of the edit, else anywhere. */
async function findAfter({ context, source, job }: UndoTarget, near: number) {
  const { after } = editPlanOf(job), { list } = job.selection, id = idOfDigest(after);
  try {
    return await findMessage(context, source, { list, id, near }).catch((error) => {
      if (error instanceof OperationError && error.code === "not_found") {
        return findMessage(context, source, { list, id });
      }
      throw error;
    });
  } catch (error) {
    if (!(error instanceof OperationError) || error.code !== "not_found") throw error;
    throw new OperationError("conflict", `the new message ${id} has left the ${list}; its original stays in the trash`);
  }
}

/** @throws OperationError if the job's hash has been changed by another client */
function editPlanOf({ id, plan }: Job): EditPlan {
  const { place, before, after } = (plan ?? {}) as Partial<EditPlan>;
  const isDigest = (text: unknown) => /^[0-9a-f]{40}$/.test(String(text));
  if (Number.isSafeInteger(place) && place! > 0 && isDigest(before) && isDigest(after)) return plan as EditPlan;
  throw new OperationError("conflict", `job ${id} does not say what it replaced`);
}
