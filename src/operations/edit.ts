/** Operation `edit`: replaces one message of the DLQ or the dead list in its place. The original is kept, so that it can be undone. */
import Type, { type Static } from "typebox";
import { quote } from "../config/redact.ts";
import { JOB_LISTS, type JobList } from "../cycle/running_job.ts";
import { JOB_EXPIRES_MS } from "../jobs/job_store.ts";
import { canBePicked } from "../jobs/picker.ts";
import { openLetter } from "../message/letter.ts";
import { HIDDEN, Mask } from "../message/mask.ts";
import type { PlacedMessage } from "../message/message_view.ts";
import { messageId } from "../message/message_id.ts";
import { pathsOf } from "../message/policy_paths.ts";
import { readMessage } from "../message/read_message.ts";
import { takesAnyBytes } from "../message/source_policy.ts";
import { findLacking, replayedPart } from "../message/verdict.ts";
import { toIso } from "../runtime/clock.ts";
import { recordDone } from "./audit.ts";
import { requireRole } from "./require_role.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { VERB_ROLES } from "./job_plan.ts";
import { createListViewer, findRunning, MESSAGE_ID, SOURCE } from "./looked_source.ts";
import { type InputProblem, type Operation, OperationError, toOperationError } from "./operation.ts";
import { replaceMessage } from "./replace_message.ts";
import { redrive } from "./redrive.ts";
import { revive } from "./revive.ts";
import { REASON } from "./source_action.ts";

const INPUT = Type.Object({
  source: SOURCE,
  list: Type.Optional(Type.Enum([...JOB_LISTS], { description: "Which list of the source; default: dlq" })),
  id: MESSAGE_ID,
  near: Type.Optional(
    Type.Integer({ minimum: 1, description: "Its place when it was seen; default: search the whole list" }),
  ),
  payload: Type.String({
    description:
      "The new message with its secrets, as `show` with `raw` returns it: JSON, or any text if the source takes that",
  }),
  replay: Type.Optional(Type.Boolean({
    description: "Plan a replay of the new message too: a redrive from the DLQ, a revival from the dead list",
  })),
  reason: REASON,
}, { additionalProperties: false });

const OUTPUT = Type.Object({
  id: MESSAGE_ID,
  before: MESSAGE_ID,
  place: Type.Integer({ minimum: 1, description: "From 1 at the oldest message" }),
  job: Type.String({ description: "Undo this job to bring the original back" }),
  undoUntil: Type.String({ description: "Until then it can be undone, if the new message is still there" }),
  replayJob: Type.Union([Type.String(), Type.Null()], {
    description: "The planned replay, to be confirmed; null: not asked for, or the message has left the list since",
  }),
}, { additionalProperties: false });

/** The message to replace. */
export type EditInput = Static<typeof INPUT>;
/** The message that was replaced. */
export type Edited = Static<typeof OUTPUT>;

/** Replaces one message. The new one must be readable for the source's consumer. */
export const edit = {
  name: "edit",
  summary: "Replace one message of the DLQ or the dead list in its place; the original can be brought back for 7 days",
  runsIn: "service",
  role: "admin",
  input: INPUT,
  output: OUTPUT,
  http: { method: "POST", path: "/sources/{source}/dlq/{id}/edit" },
  run: editMessage,
} satisfies Operation<OperatorContext, EditInput, Edited>;

async function editMessage(context: OperatorContext, input: EditInput): Promise<Edited> {
  requireRole(context.actor, VERB_ROLES.edit, edit.name);
  const { list = "dlq", id, near, reason, replay = false } = input;
  const { parts, loop } = findRunning(context.sources(), input.source), { maxMessageBytes } = context.live.current();
  const payload = readPayload(input, { source: parts, maxMessageBytes });
  const { job, place, before, after } = await replaceMessage(context, parts, {
    ...{ list, id, near, payload, reason },
    check: createCheck(context, parts, list),
  });
  loop.wake();
  context.log.info("edit", `Remediation: ${context.actor.name}: ${input.source}: message ${before} is now ${after}`, {
    ...{ source: input.source, actor: context.actor.name, job, correlation_id: context.correlationId },
  });
  await recordDone(context, {
    ...{ operation: edit.name, source: input.source, job, messages: [before, after] },
    ...{ input: { list, place, reason }, result: `edited, as job ${job}` },
  });
  const replayJob = replay ? await planReplay(context, { source: input.source, list, id: after, reason }) : null;
  return { id: after, before, place, job, undoUntil: toIso(context.clock.nowMs() + JOB_EXPIRES_MS), replayJob };
}

/** Returns the planned job; `null` if the message has left the list: the service may have replayed it already. */
async function planReplay(
  context: OperatorContext,
  { source, list, id, reason }: { source: string; list: JobList; id: string; reason: string },
): Promise<string | null> {
  try {
    const { job } = await (list === "dead" ? revive : redrive).run(context, { source, ids: [id], reason });
    return job.id;
  } catch (error) {
    const known = toOperationError(error);
    if (known === null) throw error;
    if (known.code === "conflict") return null;
    throw new OperationError(known.code, `the message is edited; about its replay: ${known.message}`);
  }
}

/** Creates the check of the message that was found. @throws OperationError if another source buried it */
function createCheck(
  { clock }: OperatorContext,
  source: RunningSource["parts"],
  list: JobList,
): (row: PlacedMessage) => void {
  const view = createListViewer(source, { list, nowMs: clock.nowMs() });
  return (row) => {
    const found = view(row);
    if (canBePicked(found, { list })) return;
    throw new OperationError(
      "conflict",
      `source ${quote(found.stamp?.source ?? "")} buried message ${row.id}: edit it as that source's`,
    );
  };
}

/** Returns the bytes of the new message. @throws OperationError with everything that is wrong with it */
function readPayload(
  { id, payload }: EditInput,
  { source: { setup: { policy, display } }, maxMessageBytes }: {
    source: Pick<RunningSource["parts"], "setup">;
    maxMessageBytes: number;
  },
): Uint8Array {
  const bytes = new TextEncoder().encode(payload), paths = pathsOf(policy), problems: InputProblem[] = [];
  const refuse = (value: string, wanted: string) => problems.push({ field: "payload", value, wanted });
  if (!payload.isWellFormed()) refuse("text with half a surrogate pair", "Unicode text");
  if (bytes.length > maxMessageBytes) {
    refuse(`${bytes.length} bytes`, `at most ${maxMessageBytes} bytes (REMEDIATION_MAX_MESSAGE_BYTES)`);
  } else {
    const message = readMessage(bytes), letter = message.readable ? openLetter(message, paths.unwrap) : null;
    const lacking = letter && findLacking(letter, paths.required), part = replayedPart(policy);
    const isText = letter === null && takesAnyBytes(policy);
    if (!message.readable && !isText) refuse(message.detail, "a JSON object that the consumer can read");
    if (letter?.[part] === null) {
      const what = part === "inner" ? "a JSON object" : "a value";
      refuse(letter.problem, `a message with ${what} to replay in ${policy.unwrap}`);
    }
    if (lacking !== null) refuse(lacking, `a message with every required member: ${policy.required.join(", ")}`);
    if (message.readable ? new Mask(display.secret).isMasked(bytes) : isText && payload.includes(HIDDEN)) {
      refuse("a message with hidden secrets", "the whole message: change what `show` with `raw` returns");
    }
  }
  if (messageId(bytes) === id) refuse("the message as it is", "another message");
  if (problems.length > 0) throw new OperationError("invalid", "the payload cannot be used", problems);
  return bytes;
}
