/** Operation `history`: each source over the last hours, from the samples that the leaders have written. Changes nothing. */
import Type, { type Static } from "typebox";
import { GATE_NAMES, type GateReason } from "../gates/gate.ts";
import { HISTORY_MS } from "../history/reader.ts";
import type { Sample } from "../history/sample.ts";
import {
  emptySinceMs,
  findChanges,
  type GateChange,
  lastReplayMs,
  type Step,
  type Sums,
  sumUp,
  thin,
  windowUntil,
} from "../history/timeline.ts";
import { toIso } from "../runtime/clock.ts";
import type { RunningSource, ServiceContext } from "./context.ts";
import { gateWords } from "./gate_words.ts";
import { findRunning, SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { INSTANT, orNull, STRICT, WHOLE } from "./typed_schema.ts";

/** Defaults of the input, and most points. */
const MINUTES = 60, POINTS = 120, MOST_POINTS = 1_000;
/** Changes of an answer, at most. */
const MOST_CHANGES = 200;

const GATE = Type.Enum(GATE_NAMES as string[]);

const INPUT = Type.Object({
  source: Type.Optional(SOURCE),
  minutes: Type.Optional(
    Type.Integer({ minimum: 1, maximum: HISTORY_MS / 60_000, description: `Default: ${MINUTES}.` }),
  ),
  points: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MOST_POINTS, description: `Steps of the answer. Default: ${POINTS}.` }),
  ),
}, STRICT);

const SUMS = {
  replayed: Type.Integer({ minimum: 0, description: "Messages replayed." }),
  buried: Type.Integer({
    minimum: 0,
    description: "Messages given up: moved to the dead list, or unread for their size.",
  }),
  cameBack: Type.Integer({
    minimum: 0,
    description: "Replayed messages that had failed again, when a cycle found them in the DLQ.",
  }),
  arrived: orNull(Type.Integer({
    minimum: 0,
    description:
      "About how many messages arrived in the DLQ, from its growth and what was moved; null: it cannot be said.",
  })),
};

const STEP = Type.Object({
  at: INSTANT,
  depth: orNull(WHOLE),
  depthMax: orNull(WHOLE),
  dead: orNull(WHOLE),
  target: orNull(WHOLE),
  downstream: orNull(Type.Integer({ minimum: 0, description: "Messages in the downstream queues together." })),
  limit: orNull(Type.Integer({ minimum: 0, description: "Limit of the gate depth for them." })),
  ...SUMS,
  heldBy: Type.Array(GATE, { description: "Every gate that has held the source in this step." }),
}, { ...STRICT, description: "Depths are those of the last sample in the step; null: there is no sample." });

const CHANGE = Type.Object({
  at: INSTANT,
  gate: GATE,
  open: Type.Boolean({ description: "Whether it opened; else it closed." }),
  reason: Type.String({ description: "Why it held the source." }),
  words: Type.String({ description: "The reason in plain words." }),
}, STRICT);

const HISTORY = Type.Object({
  source: Type.String(),
  from: INSTANT,
  to: INSTANT,
  stepSeconds: Type.Number(),
  steps: Type.Array(STEP),
  changes: Type.Array(CHANGE, { description: `The newest last, at most ${MOST_CHANGES}.` }),
  totals: Type.Object(SUMS, STRICT),
  emptySince: orNull(Type.String({
    description: "Since when the samples, without a gap, show an empty DLQ; null: it is not empty, or not known.",
  })),
  lastReplayAt: orNull(Type.String({ description: "When a message was last replayed; null: not known." })),
  staleSince: orNull(
    Type.String({ description: "Since when Redis could not be read; null: the samples are current." }),
  ),
}, STRICT);

const OUTPUT = Type.Object({ sources: Type.Array(HISTORY) }, STRICT);

/** Input of the operation. */
export type HistoryInput = Static<typeof INPUT>;
/** Output of the operation. Instants are ISO 8601, by the server's clock but for `staleSince`. */
export type HistoryOutput = Static<typeof OUTPUT>;
/** The history of one source. */
export type SourceHistory = Static<typeof HISTORY>;

/** Reports depth, counts and closed gates of the last minutes or hours, in equal steps. */
export const history = {
  name: "history",
  summary: "Depth, counts and closed gates of each source over the last minutes or hours",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/history" },
  async run(context: Pick<ServiceContext, "sources">, input: HistoryInput): Promise<HistoryOutput> {
    const all = context.sources();
    const chosen = input.source === undefined ? all : [findRunning(all, input.source)];
    return { sources: await Promise.all(chosen.map(({ parts }) => describe(parts, input))) };
  },
} satisfies Operation<ServiceContext, HistoryInput, HistoryOutput>;

async function describe(
  { setup, history, replay }: RunningSource["parts"],
  { minutes = MINUTES, points = POINTS }: HistoryInput,
): Promise<SourceHistory> {
  const { samples, nowMs, staleSinceMs } = await history.read();
  const window = windowUntil(nowMs, { lengthMs: minutes * 60_000, points }), steps = thin(samples, window);
  return {
    source: setup.policy.name,
    ...{ from: toIso(window.fromMs), to: toIso(nowMs), stepSeconds: window.stepMs / 1_000 },
    steps: steps.map(describeStep),
    changes: findChanges(samples, { fromMs: window.fromMs, most: MOST_CHANGES }).map(describeChange),
    totals: describeSums(sumUp(steps)),
    emptySince: toIsoOrNull(emptySinceMs(samples)),
    lastReplayAt: toIsoOrNull(lastReplay(samples, replay.lastSnapshot()?.record.movedAtMs ?? 0)),
    staleSince: toIsoOrNull(staleSinceMs),
  };
}

/** The state knows it to the millisecond, but not what jobs have replayed. */
function lastReplay(samples: readonly Sample[], movedAtMs: number): number | null {
  const sampledMs = lastReplayMs(samples);
  return movedAtMs === 0 || movedAtMs > 8.64e15 ? sampledMs : Math.max(sampledMs ?? 0, movedAtMs);
}

function describeStep({ atMs, depth, depthMax, deadDepth, target, downstream, limit, heldBy, ...sums }: Step) {
  return {
    ...{ at: toIso(atMs), depth, depthMax, dead: deadDepth, target, downstream, limit },
    ...describeSums(sums),
    heldBy: [...heldBy],
  };
}

function describeSums({ replayed, dead, cameBack, arrived }: Sums) {
  return { replayed, buried: dead, cameBack, arrived };
}

function describeChange({ atMs, opened, gate }: GateChange): SourceHistory["changes"][number] {
  const { name, reason } = gate;
  const words = gateWords({ ...gate, reason: reason as GateReason });
  return { at: toIso(atMs), gate: name, open: opened, reason, words };
}

function toIsoOrNull(atMs: number | null): string | null {
  return atMs === null ? null : toIso(atMs);
}
