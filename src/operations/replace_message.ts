/** Replaces one message of a running source in its place: what an edit and its undo share. */
import { LIST_WORDS } from "../message/source_policy.ts";
import type { JobList } from "../cycle/running_job.ts";
import { findDrillMark } from "../message/drill_mark.ts";
import { MAX_OPERATOR_NAME, toLine } from "../cycle/pause.ts";
import { type JobResult, plannedFields } from "../jobs/job.ts";
import { JOB_EXPIRES_MS, TRASH_EXPIRES_MS } from "../jobs/job_store.ts";
import { NO_SWEEP } from "../message/selection.ts";
import { idOfDigest } from "../message/message_id.ts";
import { pathsOf } from "../message/policy_paths.ts";
import { wrongTypeError } from "../redis/errors.ts";
import type { EditResult, MessageReplacement } from "../redis/edit_store.ts";
import type { ListRow } from "../redis/list_reader.ts";
import { sha1 } from "../redis/sample.ts";
import { createId } from "../runtime/random.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { OperationError } from "./operation.ts";

/** Attempts while the message moves: each chunk that the service replays meanwhile makes one of them stale. */
const ATTEMPTS = 50;
/** An edit may run until this long after it was sent, in milliseconds of the server's clock. */
const DEADLINE_MS = 5_000;

/** What an edit did. */
const RESULT: JobResult = { swept: 0, picked: 1, replayed: 0, dead: 0, trashed: 1, returned: 0 };

/** What a job of the verb `edit` keeps as its plan. */
export interface EditPlan {
  /** Place of the message when it was replaced, from 1 at the oldest. */
  readonly place: number;
  /** SHA-1 of the message before, which is in the job's trash, and after. */
  readonly before: string;
  readonly after: string;
}

/** A message, and what comes to its place. */
export interface WantedReplacement {
  readonly list: JobList;
  readonly id: string;
  /** Its place when it was seen; absent: the whole list is searched. */
  readonly near?: number | undefined;
  /** Checks the message that was found. @throws OperationError if it must not be replaced */
  readonly check?: (row: ListRow) => void;
  readonly payload: MessageReplacement["payload"];
  readonly reason: string;
  /** Id of the planned undo that this ends, in the same step; absent: none. */
  readonly ends?: string;
}

/** A message that was replaced. */
export interface Replaced {
  /** Id of the job that the replacement is kept as. */
  readonly job: string;
  readonly place: number;
  /** Ids of the messages. */
  readonly before: string;
  readonly after: string;
}

/** Finds the message, and replaces it. @throws OperationError if it has left the list, or a job runs */
export async function replaceMessage(
  context: Pick<OperatorContext, "actor" | "signal">,
  source: RunningSource["parts"],
  wanted: WantedReplacement,
): Promise<Replaced> {
  let { near } = wanted;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    // The state is read before the message, so that a move in between is noticed.
    const { record: { sequence, job: running }, nowMs } = await source.replay.look();
    if (running) {
      throw new OperationError(
        "conflict",
        `a job (${running.verb}, ${running.id}) of ${running.by} runs; wait for its end`,
      );
    }
    const row = await findMessage(context, source, { ...wanted, near });
    wanted.check?.(row);
    refuseDrilled(row, source);
    near = row.place;
    const plan: EditPlan = { place: row.place, before: sha1([row.bytes!]), after: digestOf(wanted.payload) };
    const job = createId(), { ends } = wanted;
    const result = await source.edits.replace({
      ...{ job, sequence, notAfterMs: nowMs + DEADLINE_MS, list: wanted.list, place: row.place, digest: plan.before },
      ...{ payload: wanted.payload, keepMs: JOB_EXPIRES_MS, trashMs: TRASH_EXPIRES_MS },
      by: nameOf(context),
      ends: ends === undefined ? null : { plan: ends, result: JSON.stringify({ ...RESULT, returned: 1 }) },
      fields: jobFields(context, source, { ...wanted, plan }),
    });
    if (result === "ok") {
      await source.jobs.prune();
      return { job, place: row.place, before: idOfDigest(plan.before), after: idOfDigest(plan.after) };
    }
    refuseUnless(["stale", "conflict", "expired"], result);
  }
  throw new OperationError("unavailable", "the message moves too fast; pause the source, and try again");
}

/** Without its mark, a synthetic message would reach the target. @throws OperationError `conflict` */
function refuseDrilled({ id, bytes }: ListRow, { setup: { policy } }: Pick<RunningSource["parts"], "setup">): void {
  const mark = bytes && findDrillMark(bytes, pathsOf(policy).unwrap);
  if (mark) {
    throw new OperationError("conflict", `message ${id} is synthetic, of the drill ${mark.id}: it is not edited`);
  }
}

/** Finds a message that can be replaced. @throws OperationError if it is not there, or too large to read */
export async function findMessage(
  { signal }: Pick<OperatorContext, "signal">,
  { lists, setup: { policy } }: Pick<RunningSource["parts"], "lists" | "setup">,
  { list, id, near }: Pick<WantedReplacement, "list" | "id" | "near">,
): Promise<ListRow> {
  const row = await lists.find(list, id, { signal, ...near === undefined ? {} : { near } });
  if (row === null) {
    const where = near === undefined ? "" : ` near place ${near}: the list has moved on, or the message has left it`;
    throw new OperationError(
      "not_found",
      `message ${id} is not in the ${LIST_WORDS[list]} of source ${policy.name}${where}`,
    );
  }
  if (row.bytes === null) {
    throw new OperationError(
      "invalid",
      `message ${id} has ${row.length} bytes: more than REMEDIATION_MAX_MESSAGE_BYTES`,
    );
  }
  return row;
}

function digestOf(payload: MessageReplacement["payload"]): string {
  return payload instanceof Uint8Array ? sha1([payload]) : payload.digest;
}

function nameOf({ actor }: Pick<OperatorContext, "actor">): string {
  return toLine(actor.name, MAX_OPERATOR_NAME);
}

/** The fields of the ended job. */
function jobFields(
  { actor }: Pick<OperatorContext, "actor">,
  { setup: { policy } }: Pick<RunningSource["parts"], "setup">,
  { list, id, reason, plan }: WantedReplacement & { plan: EditPlan },
): Readonly<Record<string, string>> {
  const by = nameOf({ actor });
  const planned = plannedFields({
    ...{ verb: "edit", selection: { source: policy.name, list, query: "", ids: [id] }, planned: 1, plan },
    ...{ watermark: NO_SWEEP, plannedBy: by, reason },
  });
  return { ...planned, status: "done", startedBy: by, result: JSON.stringify(RESULT) };
}

/** @throws the error for a result that a repetition does not change */
function refuseUnless(repeated: readonly EditResult[], result: EditResult): void {
  if (repeated.includes(result)) return;
  if (result === "busy") throw new OperationError("conflict", "a job runs on the list; wait for its end");
  if (result === "started") throw new OperationError("conflict", "another operator has confirmed this undo");
  if (result === "gone") throw new OperationError("conflict", "the message is not in the trash any more");
  throw wrongTypeError("a list of the source is not a list, or its state is not a hash");
}
