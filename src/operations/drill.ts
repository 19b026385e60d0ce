/**
 * Operation `drill`: a simulated outage of a source with synthetic dead letters, and a report of how it healed.
 *
 * - Without `confirm`, the answer is the plan: what would happen, to which traffic, and nothing is changed.
 * - The synthetic messages are marked. They never reach the real target unless `target` is `real`.
 */
import Type, { type Static } from "typebox";
import { MAX_OPERATOR_NAME, toLine } from "../cycle/pause.ts";
import { DRILL_TARGETS, MAX_OUTAGE_MS, MAX_REAL_MESSAGES } from "../cycle/running_drill.ts";
import { type GateName, hasTrait, isStandby } from "../gates/gate.ts";
import { describeDuration } from "../lifecycle/outage_log.ts";
import { MAX_DRILL_MESSAGES } from "../message/drill_mark.ts";
import { createId } from "../runtime/random.ts";
import { recordDone } from "./audit.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { gateWords } from "./gate_words.ts";
import { findRunning, SOURCE } from "./looked_source.ts";
import { invalidInput, type Operation, OperationError } from "./operation.ts";
import { DRILL, readDrills } from "./shown_drill.ts";
import { REASON } from "./source_action.ts";
import { STRICT, WHOLE } from "./typed_schema.ts";

/** Defaults: messages, and length of the outage and longest time to heal, in seconds. */
const MESSAGES = 100, OUTAGE_SECONDS = 60, HEAL_SECONDS = 1_800;
/** Bounds of the outage, in seconds: shorter than a look at the gates, it would not be noticed. */
const MIN_OUTAGE_SECONDS = 10, MAX_OUTAGE_SECONDS = MAX_OUTAGE_MS / 1_000;

/** The gates that a drill may hold, the most telling first. */
export const DRILL_GATES = (["downstream", "consumer", "depth"] as const satisfies readonly GateName[]).filter((name) =>
  hasTrait(name, "canBeDrilled")
);

const INPUT = Type.Object({
  source: SOURCE,
  messages: Type.Optional(Type.Integer({
    ...{ minimum: 1, maximum: MAX_DRILL_MESSAGES },
    description:
      `Synthetic messages; with the real target at most ${MAX_REAL_MESSAGES}; default: ${MESSAGES}, or the batch of a cycle if that is smaller`,
  })),
  outageSeconds: Type.Optional(Type.Integer({
    ...{ minimum: MIN_OUTAGE_SECONDS, maximum: MAX_OUTAGE_SECONDS, default: OUTAGE_SECONDS },
    description: `Length of the simulated outage; default: ${OUTAGE_SECONDS}`,
  })),
  healSeconds: Type.Optional(Type.Integer({
    ...{ minimum: 10, maximum: 86_400, default: HEAL_SECONDS },
    description: `Longest time after the outage until the drill gives up; default: ${HEAL_SECONDS}`,
  })),
  gate: Type.Optional(Type.Enum([...DRILL_GATES], {
    description: "Gate to hold; default: the first of downstream, consumer and depth that the source has",
  })),
  target: Type.Optional(Type.Enum([...DRILL_TARGETS], {
    description: "Where the messages go: to a list of the drill (mock), or to the real target; default: mock",
  })),
  reason: REASON,
  confirm: Type.Optional(Type.Boolean({ description: "Whether to start it; default: only its plan is returned" })),
}, { additionalProperties: false });

const PLAN = Type.Object({
  source: Type.String(),
  messages: WHOLE,
  outageSeconds: WHOLE,
  gate: Type.String(),
  target: Type.Enum([...DRILL_TARGETS]),
  does: Type.Array(Type.String(), { description: "What it does, a sentence each" }),
  heldBy: Type.Array(Type.Object({ gate: Type.String(), words: Type.String() }, STRICT), {
    description: "Gates that are closed now: while they are, nothing heals",
  }),
}, STRICT);
const OUTPUT = Type.Object({
  plan: PLAN,
  drill: Type.Union([DRILL, Type.Null()], { description: "null: it was not started" }),
}, STRICT);

/** Input of the operation. */
export type DrillInput = Static<typeof INPUT>;
/** The plan, and the drill if it was started. */
export type DrillAnswer = Static<typeof OUTPUT>;

/** Plans or starts a drill. At most one of a source runs, and no job beside it. */
export const drill = {
  name: "drill",
  summary: "Rehearse an outage of a source with synthetic messages, and report how it healed",
  runsIn: "service",
  role: "admin",
  input: INPUT,
  output: OUTPUT,
  http: { method: "POST", path: "/sources/{source}/drills" },
  run: runDrill,
} satisfies Operation<OperatorContext, DrillInput, DrillAnswer>;

/** A drill with all defaults filled in. */
interface Wanted {
  readonly messages: number;
  readonly outageSeconds: number;
  readonly healSeconds: number;
  readonly gate: GateName;
  readonly target: (typeof DRILL_TARGETS)[number];
}

async function runDrill(context: OperatorContext, input: DrillInput): Promise<DrillAnswer> {
  const source = findRunning(context.sources(), input.source), wanted = complete(source.parts, input);
  const plan = describePlan(source.parts, wanted);
  if (input.confirm !== true) return { plan, drill: null };
  const id = `d_${createId().replaceAll("-", "").slice(0, 16)}`, by = toLine(context.actor.name, MAX_OPERATOR_NAME);
  await start(source, { id, by, reason: input.reason, wanted });
  source.loop.wake();
  const { messages, outageSeconds, gate, target } = wanted;
  const result = `drill ${id} of ${messages} messages started: gate ${gate} is held for ${outageSeconds} s`;
  context.log.info("drill", `Remediation: ${by}: ${input.source}: ${result} (${input.reason})`, {
    ...{ source: input.source, actor: by, drill: id, messages, gate, target, outage_seconds: outageSeconds },
    correlation_id: context.correlationId,
  });
  await recordDone(context, {
    ...{ operation: drill.name, source: input.source, result },
    input: { drill: id, reason: input.reason, ...wanted },
  });
  const shown = await readDrills(source.parts);
  return { plan, drill: shown.find((one) => one.id === id) ?? null };
}

/** Fills in the defaults. @throws OperationError `invalid` with all problems */
function complete({ setup, flow }: RunningSource["parts"], input: DrillInput): Wanted {
  // With the built-in batch of 10 and interval of 5 minutes, 100 messages would take longer than the drill waits.
  const { messages = Math.min(MESSAGES, flow().batchSize || MESSAGES) } = input;
  const { outageSeconds = OUTAGE_SECONDS, healSeconds = HEAL_SECONDS, target = "mock" } = input;
  const offered = DRILL_GATES.filter((name) => setup.gates.includes(name)), { gate = offered[0]! } = input;
  const problems = [
    ...(offered.includes(gate) ? [] : [{
      ...{ field: "gate", value: gate },
      wanted: `a gate of the source that a drill may hold: ${offered.join(", ")}`,
    }]),
    ...(target === "real" && messages > MAX_REAL_MESSAGES
      ? [{ field: "messages", value: messages, wanted: `at most ${MAX_REAL_MESSAGES} with the real target` }]
      : []),
  ];
  if (problems.length > 0) throw invalidInput(problems);
  return { messages, outageSeconds, healSeconds, gate, target };
}

/** @throws OperationError `conflict` */
async function start(
  { parts: { drills, jobs } }: RunningSource,
  { id, by, reason, wanted }: { id: string; by: string; reason: string; wanted: Wanted },
): Promise<void> {
  const { target, gate, outageSeconds, healSeconds, messages } = wanted;
  const result = await drills.start({
    ...{ id, target, gate, holdMs: outageSeconds * 1_000, healMs: healSeconds * 1_000 },
    fields: { messages: String(messages), by, reason },
  });
  if (result === "busy") {
    throw new OperationError("conflict", "another drill of the source runs or is being cleaned up: wait for its end");
  }
  if (result === "job") {
    const running = await jobs.running();
    const name = running ? `job ${running.id} of ${running.by} (${running.verb})` : "a job";
    throw new OperationError("conflict", `${name} works on the source: wait until it ends, or cancel it`);
  }
}

function describePlan(parts: RunningSource["parts"], wanted: Wanted): DrillAnswer["plan"] {
  const { setup, board } = parts;
  const { policy: { name: source, dlq, target: realTarget } } = setup,
    { messages, outageSeconds, gate, target } = wanted;
  const outage = describeDuration(outageSeconds * 1_000);
  const does = [
    `Gate ${gate} is held closed for ${outage}. Real messages of ${source} wait during that time too.`,
    `${messages} marked messages are pushed to ${dlq}.`,
    target === "real"
      ? `Replay moves them to the real target ${realTarget}, at the pace of the source: the consumer gets them.`
      : `Replay moves them to a list of the drill. None reaches ${realTarget}.`,
    ...describeHealing(parts, wanted),
    "Afterwards the drill's list is dropped, and its report is kept for 7 days. No job runs on the source meanwhile.",
  ];
  const closed = board.last().closed.filter((status) => !isStandby(status));
  const heldBy = closed.map((status) => ({ gate: status.name, words: gateWords(status) }));
  return { source, messages, outageSeconds, gate, target, does, heldBy };
}

/** How long it takes until replay has come to the messages, and how long the drill waits for that. */
function describeHealing(
  { flow, replay }: RunningSource["parts"],
  { messages, healSeconds }: Wanted,
): readonly [string, string] {
  const { intervalMs, batchSize } = flow(), waiting = replay.lastSnapshot()?.depth ?? 0;
  const cycles = batchSize === 0 ? 1 : Math.ceil((waiting + messages) / batchSize), mostMs = cycles * intervalMs;
  const interval = describeDuration(intervalMs), patience = describeDuration(healSeconds * 1_000);
  return [
    cycles === 1
      ? `A cycle begins at most once in ${interval}, so it may take that long until they are moved.`
      : `A cycle begins at most once in ${interval} and takes at most ${batchSize} messages (REMEDIATION_BATCH_SIZE), the oldest first. ` +
        `${waiting} are in the DLQ now, so it may take ${cycles} cycles, or ${
          describeDuration(mostMs)
        }, until all are moved.`,
    `The drill gives up ${patience} after the outage${
      mostMs > healSeconds * 1_000 ? ". That may be too early: use fewer messages, or a longer time to heal" : ""
    }.`,
  ];
}
