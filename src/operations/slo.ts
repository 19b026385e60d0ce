/** Operation `slo`: reports the service level objectives. Does no IO. */
import type { SloReport } from "../slo/monitor.ts";
import { SLO_NAMES, SLO_STATES } from "../slo/objectives.ts";
import type { ServiceContext } from "./context.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { COUNT, INSTANT_OR_NULL, NUMBER_OR_NULL, objectOf, oneOf, recordOf, TEXT } from "./schema.ts";

const COMPONENT_SCHEMA: JsonSchema = objectOf({
  target: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 },
  availability: NUMBER_OR_NULL,
  error_budget_remaining: NUMBER_OR_NULL,
  burn_rate: NUMBER_OR_NULL,
  state: oneOf(SLO_STATES),
  window_hours: { type: "number" },
  observed_hours: { type: "number" },
  recent_burn_rate: NUMBER_OR_NULL,
  events: COUNT,
  bad_events: COUNT,
  events_needed: COUNT,
  threshold_seconds: { type: "number" },
  source: TEXT,
  slo: oneOf(SLO_NAMES),
  role: oneOf(["leader", "standby", "unknown", "off"]),
  stale_since: INSTANT_OR_NULL,
}, { optional: ["threshold_seconds"] });

/** Schema of `/api/v1/slo`; components are keyed by `<source>.<objective>`. */
export const SLO_SCHEMA: JsonSchema = objectOf({
  window_hours: { type: "number" },
  components: recordOf(COMPONENT_SCHEMA),
  state: oneOf(SLO_STATES),
  pod: TEXT,
  since: TEXT,
});

/** Reports the objectives, as `/api/v1/slo` returns them. */
export const slo = {
  name: "slo",
  summary: "The state of the service level objectives",
  runsIn: "service",
  role: "viewer",
  input: objectOf({}),
  output: SLO_SCHEMA,
  http: { method: "GET", path: "/slo" },
  run: ({ slos }: Pick<ServiceContext, "slos">): SloReport => slos.report(),
} satisfies Operation<ServiceContext, Record<never, never>, SloReport>;
