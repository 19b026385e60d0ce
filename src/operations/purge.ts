/** Operation `purge`: plan to remove chosen messages. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_INPUT, JOB_LIST, PLANNED, type Planned, planSelected } from "./job_plan.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object({ ...JOB_INPUT, list: Type.Optional(JOB_LIST) }, { additionalProperties: false });

/** Input of the operation. */
export type PurgeInput = Static<typeof INPUT>;

/** Plans a job that moves chosen messages to a trash, which expires. Nothing moves before it is confirmed. */
export const purge = {
  name: "purge",
  summary: "Plan to remove chosen messages of the DLQ or the dead list; they can be brought back for 7 days",
  runsIn: "service",
  role: "admin",
  input: INPUT,
  output: PLANNED,
  http: { method: "POST", path: "/sources/{source}/purge", status: 201 },
  run: (context: OperatorContext, input: PurgeInput): Promise<Planned> =>
    planSelected(context, input, { verb: "purge", list: input.list ?? "dlq" }),
} satisfies Operation<OperatorContext, PurgeInput, Planned>;
