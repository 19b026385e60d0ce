/** Operation `drills`: the running drill of each source, and the reports of the last ones. Changes nothing. */
import Type, { type Static } from "typebox";
import type { OperatorContext, RunningSource } from "./context.ts";
import { findSource, SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { DRILL, readDrills } from "./shown_drill.ts";
import { STRICT } from "./typed_schema.ts";

const INPUT = Type.Object({ source: Type.Optional(SOURCE) }, { additionalProperties: false });
const OUTPUT = Type.Object({ drills: Type.Array(DRILL) }, STRICT);

/** Input of the operation. */
export type DrillsInput = Static<typeof INPUT>;
/** Drills, the newest first. */
export type DrillsOutput = Static<typeof OUTPUT>;

/** Lists the drills of one source or of all. */
export const drills = {
  name: "drills",
  summary: "Running drills, and the reports of the last 7 days, the newest first",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/drills" },
  async run(context: OperatorContext, input: DrillsInput): Promise<DrillsOutput> {
    const all = context.sources().map(({ parts }) => parts);
    const chosen = input.source === undefined ? all : [findSource<RunningSource["parts"]>(context, input.source)];
    const found = await Promise.all(chosen.map(readDrills));
    return { drills: found.flat().toSorted((one, other) => one.startedAt < other.startedAt ? 1 : -1) };
  },
} satisfies Operation<OperatorContext, DrillsInput, DrillsOutput>;
