/** Operation `incidents`: what is wrong now, and what was lately. Changes nothing. */
import Type, { type Static } from "typebox";
import { INCIDENT_KINDS, SEVERITIES } from "../config/notify.ts";
import type { Incident } from "../notify/notice.ts";
import { toIso } from "../runtime/clock.ts";
import type { ServiceContext } from "./context.ts";
import type { Operation } from "./operation.ts";
import { INSTANT, orNull, STRICT, WHOLE } from "./typed_schema.ts";

const INPUT = Type.Object({
  open: Type.Optional(Type.Boolean({ description: "Only those that go on" })),
}, STRICT);
/** Input of the operation. */
export type IncidentsInput = Static<typeof INPUT>;

const INCIDENT = Type.Object({
  id: Type.String(),
  kind: Type.Enum([...INCIDENT_KINDS]),
  cause: Type.String({ description: "A reason, a gate, a job: what distinguishes it from others of its kind" }),
  severity: Type.Enum([...SEVERITIES]),
  sources: Type.Array(Type.String(), { description: "Empty: none in particular" }),
  beganAt: INSTANT,
  endedAt: orNull(INSTANT),
  detail: Type.String(),
  groups: Type.Array(
    Type.Object({
      ...{ source: Type.String(), count: WHOLE },
      sample: orNull(Type.Object({ id: Type.String(), text: Type.String() }, STRICT)),
    }, STRICT),
    { description: "Messages that it is about, by source, with an example" },
  ),
}, STRICT);
/** An incident as it is shown. */
export type ShownIncident = Static<typeof INCIDENT>;

const OUTPUT = Type.Object({
  notifier: orNull(Type.String({ description: "Name of the instance that watches for incidents" })),
  incidents: Type.Array(INCIDENT, {
    description: "Open ones first, then those of the last 24 hours, the latest first",
  }),
}, STRICT);
/** Output of the operation. */
export type IncidentsReport = Static<typeof OUTPUT>;

/** Lists the incidents. */
export const incidents = {
  name: "incidents",
  summary: "What is wrong now, and what was in the last 24 hours",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: OUTPUT,
  http: { method: "GET", path: "/incidents" },
  async run({ notifications }: ServiceContext, { open = false }: IncidentsInput): Promise<IncidentsReport> {
    const { holder, incidents } = await notifications.read();
    // That a job has ended well is told to those who want it, but nothing is wrong.
    const wrong = incidents.filter(({ kind, endedMs }) => kind !== "job_finished" && (!open || endedMs === null));
    const shown = wrong.toSorted((a, b) => (b.endedMs ?? Infinity) - (a.endedMs ?? Infinity) || b.beganMs - a.beganMs);
    return { notifier: holder === "" ? null : holder, incidents: shown.map(show) };
  },
} satisfies Operation<ServiceContext, IncidentsInput, IncidentsReport>;

function show({ id, kind, cause, severity, sources, beganMs, endedMs, detail, groups }: Incident): ShownIncident {
  return {
    ...{ id, kind, cause, severity, sources: [...sources], beganAt: toIso(beganMs), detail },
    endedAt: endedMs === null ? null : toIso(endedMs),
    groups: groups.map(({ source, count, sample }) => ({ source, count, sample })),
  };
}
