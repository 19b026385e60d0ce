/** Operation `explain`: says why each source moves messages or not. Does no IO. */
import Type, { type Static } from "typebox";
import { toIso } from "../runtime/clock.ts";
import type { Pause } from "../cycle/pause.ts";
import { GATE_NAMES } from "../gates/gate.ts";
import type { RunningSource, ServiceContext } from "./context.ts";
import { ACTIVITIES, explainSource, readFacts } from "./explain_source.ts";
import { gateWords } from "./gate_words.ts";
import { findRunning, SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { INSTANT, orNull, STRICT } from "./typed_schema.ts";

const INPUT = Type.Object({ source: Type.Optional(SOURCE) }, { additionalProperties: false });

/** Input of the operation. Default: every source. */
export type ExplainInput = Static<typeof INPUT>;

/** A pause or a freeze. */
const HOLD = Type.Object({ until: INSTANT, by: Type.String(), reason: Type.String() }, STRICT);

const EXPLAINED = Type.Object({
  source: Type.String(),
  activity: Type.Enum(ACTIVITIES),
  /** What it does and why, in one sentence. */
  sentence: Type.String(),
  depth: orNull(Type.Integer()),
  ...{ pause: orNull(HOLD), freeze: orNull(HOLD) },
  /** The time until the DLQ is empty, if nothing arrives meanwhile. */
  estimate: Type.Object({
    seconds: orNull(Type.Integer()),
    perSecond: orNull(Type.Number()),
    basis: orNull(Type.Enum(["observed", "pace", "batch"])),
    /** Why it cannot be said. */
    reason: orNull(Type.String()),
  }, STRICT),
  gates: Type.Array(Type.Object({
    ...{ name: Type.Enum(GATE_NAMES as string[]), open: Type.Boolean(), reason: Type.String() },
    /** The reason in plain words. */
    words: Type.String(),
    /** The observation, and the setting that decides it. */
    detail: Type.String(),
    since: INSTANT,
    next: orNull(INSTANT),
  }, STRICT)),
}, STRICT);

const OUTPUT = Type.Object({ sources: Type.Array(EXPLAINED) }, STRICT);
/** Output of the operation. Instants are ISO 8601. */
export type ExplainOutput = Static<typeof OUTPUT>;

/** Explains the sources as this instance has last seen them. */
export const explain = {
  name: "explain",
  summary: "Why each source moves messages or not, and how long until its DLQ is empty",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/explain" },
  run(context: ServiceContext, input: ExplainInput): ExplainOutput {
    const all = context.sources();
    const chosen = input.source === undefined ? all : [findRunning(all, input.source)];
    return { sources: chosen.map((one) => describe(one, context)) };
  },
} satisfies Operation<ServiceContext, ExplainInput, ExplainOutput>;

function describe(source: RunningSource, { clock }: ServiceContext): Static<typeof EXPLAINED> {
  const facts = readFacts(source, clock), { activity, sentence, estimate, pause, freeze } = explainSource(facts);
  return {
    ...{ source: source.parts.setup.policy.name, activity, sentence, depth: facts.snapshot?.depth ?? null, estimate },
    ...{ pause: describeHold(pause), freeze: describeHold(freeze) },
    gates: facts.gates.map((gate) => ({
      ...{ name: gate.name, open: gate.open, reason: gate.reason, words: gateWords(gate), detail: gate.detail },
      since: toIso(gate.sinceMs),
      next: gate.nextMs === undefined ? null : toIso(gate.nextMs),
    })),
  };
}

function describeHold(hold: Pause | null): Static<typeof HOLD> | null {
  return hold && { until: toIso(hold.untilMs), by: hold.by, reason: hold.reason };
}
