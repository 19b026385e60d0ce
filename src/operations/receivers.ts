/** Operation `receivers`: who is notified of incidents, and whether that works. Changes nothing. */
import Type, { type Static } from "typebox";
import { RECEIVER_TYPES } from "../config/notify.ts";
import { toIso } from "../runtime/clock.ts";
import type { ServiceContext } from "./context.ts";
import type { Operation } from "./operation.ts";
import { INSTANT, orNull, STRICT, WHOLE } from "./typed_schema.ts";

const RECEIVER = Type.Object({
  name: Type.String(),
  type: Type.Enum([...RECEIVER_TYPES]),
  sent: Type.Integer({ minimum: 0, description: "Notices sent since the receiver is known" }),
  dropped: Type.Integer({ minimum: 0, description: "Notices given up" }),
  waiting: Type.Integer({ minimum: 0, description: "Notices that wait, those of quiet hours too" }),
  lastSentAt: orNull(INSTANT),
  failing: orNull(
    Type.Object({
      ...{ since: INSTANT, tries: WHOLE, nextTryAt: INSTANT },
      ...{ code: Type.String(), problem: Type.String() },
    }, STRICT),
  ),
}, STRICT);
/** A receiver as it is shown. */
export type ShownReceiver = Static<typeof RECEIVER>;

const OUTPUT = Type.Object({
  receivers: Type.Array(RECEIVER, { description: "In the order of the notify file" }),
}, STRICT);
/** Output of the operation. */
export type ReceiversReport = Static<typeof OUTPUT>;

/** Lists the receivers. */
export const receivers = {
  name: "receivers",
  summary: "Who is notified of incidents: what was sent, what waits, what fails",
  runsIn: "service",
  role: "viewer",
  input: Type.Object({}, STRICT),
  output: OUTPUT,
  http: { method: "GET", path: "/receivers" },
  async run({ notifications }: ServiceContext): Promise<ReceiversReport> {
    const { receivers } = await notifications.read();
    return {
      receivers: receivers.map(({ name, type, waiting, memory: { sent, dropped, lastSentMs, failing } }) => ({
        ...{ name, type, sent, dropped, waiting },
        lastSentAt: lastSentMs === null ? null : toIso(lastSentMs),
        failing: failing && {
          ...{ since: toIso(failing.sinceMs), tries: failing.tries, nextTryAt: toIso(failing.nextMs) },
          ...{ code: failing.code, problem: failing.problem },
        },
      })),
    };
  },
} satisfies Operation<ServiceContext, Record<never, never>, ReceiversReport>;
