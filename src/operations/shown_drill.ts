/** How a drill and its report are shown. */
import Type, { type Static } from "typebox";
import { DRILL_TARGETS, parseDrillMoves } from "../cycle/running_drill.ts";
import { type Drill, DRILL_OUTCOMES, DRILL_PHASES, parseDrill } from "../drill/drill.ts";
import { describeReport, type DrillReport } from "../drill/report.ts";
import { DRILL_ID_PATTERN } from "../message/drill_mark.ts";
import { toIso } from "../runtime/clock.ts";
import type { RunningSource } from "./context.ts";
import { SOURCE } from "./looked_source.ts";
import { INSTANT, orNull, STRICT, WHOLE } from "./typed_schema.ts";

/** Schema of a drill's id in an input. */
export const DRILL_ID = Type.String({
  pattern: DRILL_ID_PATTERN,
  description: "Id of a drill: d_ and 16 hexadecimal digits",
});
/** Members of an input that names a drill. */
export const DRILL_MEMBERS = { source: SOURCE, id: DRILL_ID };

const REPORT = Type.Object({
  ...{ arrived: WHOLE, lost: WHOLE, doubled: WHOLE },
  left: Type.Integer({ minimum: 0, description: "Messages still in the DLQ; they can never reach the target" }),
  returned: Type.Integer({ minimum: 0, description: "Messages that came back from the consumer of the real target" }),
  noticeMs: orNull(WHOLE),
  incidentMs: orNull(WHOLE),
  healMs: orNull(WHOLE),
  notices: Type.Union([Type.Array(Type.Object({ receiver: Type.String(), sent: WHOLE }, STRICT)), Type.Null()], {
    description: "Notices by receiver; null: notifications are not configured",
  }),
  words: Type.String({ description: "The report in one sentence" }),
}, STRICT);

/** Schema of a drill. */
export const DRILL = Type.Object({
  id: DRILL_ID,
  source: Type.String(),
  status: Type.Enum([...DRILL_PHASES, ...DRILL_OUTCOMES], {
    description: "The phase of a running drill, or how it ended",
  }),
  target: Type.Enum([...DRILL_TARGETS]),
  gate: Type.String({ description: "The gate that it holds" }),
  by: Type.String(),
  reason: Type.String(),
  messages: WHOLE,
  seeded: Type.Integer({ minimum: 0, description: "Messages pushed to the DLQ so far" }),
  arrived: Type.Integer({ minimum: 0, description: "Messages that have arrived so far" }),
  outageSeconds: Type.Number({ minimum: 0 }),
  startedAt: INSTANT,
  heldUntil: INSTANT,
  endedAt: orNull(INSTANT),
  report: orNull(REPORT),
}, STRICT);
/** A drill as it is shown. */
export type ShownDrill = Static<typeof DRILL>;

/** Schema of an answer with one drill. */
export const DRILL_OUTPUT = Type.Object({ drill: DRILL }, STRICT);
/** An answer with one drill. */
export type DrillOutput = Static<typeof DRILL_OUTPUT>;

/** Returns the drills of a source, the running one first. Rejects with a `StoreError`. */
export async function readDrills({ setup, drills, replay }: RunningSource["parts"]): Promise<readonly ShownDrill[]> {
  const source = setup.policy.name, fields = await drills.read(), drill = fields && parseDrill(fields);
  const ended = (await drills.reports()).map(parseReport).filter((report) => report !== null);
  if (drill === null || ended.some(({ id }) => id === drill.id)) return ended.map(showEnded);
  const arrived = drill.target === "real" ? await countTaken(drill, replay) : await drills.countKept();
  return [showRunning(drill, { source, arrived }), ...ended.map(showEnded)];
}

/** Once the outcome is decided, the moves are in the drill itself. */
async function countTaken(drill: Drill, replay: RunningSource["parts"]["replay"]): Promise<number> {
  if (drill.phase === "cleaning") return parseDrillMoves(drill.moves).taken;
  const { record } = await replay.look();
  return record.drill?.id === drill.id ? record.drill.taken : 0;
}

function showRunning(drill: Drill, { source, arrived }: { source: string; arrived: number }): ShownDrill {
  const { id, phase, target, gate, by, reason, messages, seeded, startedAtMs, heldUntilMs } = drill;
  return {
    ...{ id, source, status: phase, target, gate, by, reason, messages, seeded, arrived: Math.min(arrived, messages) },
    outageSeconds: (heldUntilMs - startedAtMs) / 1_000,
    ...{ startedAt: toIso(startedAtMs), heldUntil: toIso(heldUntilMs), endedAt: null, report: null },
  };
}

function showEnded(report: DrillReport): ShownDrill {
  const { id, source, outcome, target, gate, by, reason, messages, seeded, arrived, startedAt, endedAt, outageMs } =
    report;
  const { lost, doubled, left, returned, noticeMs, incidentMs, healMs, notices } = report;
  return {
    ...{ id, source, status: outcome, target, gate, by, reason, messages, seeded, arrived, startedAt, endedAt },
    outageSeconds: outageMs / 1_000,
    heldUntil: toIso(Date.parse(startedAt) + outageMs),
    report: {
      ...{ arrived, lost, doubled, left, returned, noticeMs, incidentMs, healMs },
      notices: notices && notices.map(({ receiver, sent }) => ({ receiver, sent })),
      words: describeReport(report),
    },
  };
}

/** Any client may have written to the list: what is no report is left out. */
function parseReport(text: string): DrillReport | null {
  try {
    const report = JSON.parse(text) as DrillReport;
    const isReport = typeof report.id === "string" && DRILL_OUTCOMES.includes(report.outcome) &&
      !Number.isNaN(Date.parse(report.startedAt));
    return isReport ? report : null;
  } catch {
    return null;
  }
}
