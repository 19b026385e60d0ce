/** Operation `redrive`: plan to replay chosen messages of the DLQ now, in order, through gates and pace. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_INPUT, OVERRIDES, PLANNED, type Planned, planSelected } from "./job_plan.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object({ ...JOB_INPUT, overrides: OVERRIDES }, { additionalProperties: false });

/** Input of the operation. */
export type RedriveInput = Static<typeof INPUT>;

/** Plans a job that moves chosen messages of the DLQ to the target. Nothing moves before it is confirmed. */
export const redrive = {
  name: "redrive",
  summary: "Plan to replay chosen messages of the DLQ now, in order, through gates and pace",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: PLANNED,
  http: { method: "POST", path: "/sources/{source}/redrive", status: 201 },
  run: (context: OperatorContext, input: RedriveInput): Promise<Planned> =>
    planSelected(context, input, { verb: "redrive", list: "dlq" }),
} satisfies Operation<OperatorContext, RedriveInput, Planned>;
