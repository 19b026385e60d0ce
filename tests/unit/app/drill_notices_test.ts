import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { createDrillNotices } from "../../../src/app/drill_notices.ts";
import type { FoundEntry, Journal } from "../../../src/journal/journal.ts";
import type { Notifications } from "../../../src/operations/context.ts";

function incident(
  atMs: number,
  entry: { source: string | null; event: "began" | "ended"; reason: string },
): FoundEntry {
  const who = { at: "2026-01-15T14:30:00Z", instance: "one" };
  return {
    ...{ journal: "incidents", id: `${atMs}-0`, atMs, source: entry.source },
    entry: { kind: "incident", incident: "i_00000001", detail: "", ...who, ...entry },
  };
}

function noticesOf({ receivers = [], entries = [] }: {
  receivers?: readonly { name: string; sent: number }[];
  entries?: readonly FoundEntry[];
}) {
  const asked: unknown[] = [];
  const notifications = {
    receivers: () => Promise.resolve(receivers.map(({ name }) => name)),
    read: () => Promise.resolve({ receivers: receivers.map(({ name, sent }) => ({ name, memory: { sent } })) }),
  } as unknown as Notifications;
  const journal: Pick<Journal, "query"> = {
    query: (query) => Promise.resolve(void asked.push(query)).then(() => ({ entries, isComplete: true, cursor: "" })),
  };
  return { notices: createDrillNotices({ notifications, journal }), asked };
}

Deno.test("createDrillNotices: tells what each receiver was sent, and null when none is configured", async () => {
  const { notices } = noticesOf({ receivers: [{ name: "ops", sent: 7 }] });
  deepStrictEqual(await notices.sent(), [{ receiver: "ops", sent: 7 }]);
  strictEqual(await noticesOf({}).notices.sent(), null);
});

Deno.test("createDrillNotices: finds the first incident about a closed gate of the source", async () => {
  const entries = [
    incident(1, { source: "moog", event: "began", reason: "gate_closed:downstream" }),
    incident(2, { source: "alerter", event: "began", reason: "depth" }),
    incident(3, { source: "alerter", event: "ended", reason: "gate_closed:downstream" }),
    incident(3.5, { source: "alerter", event: "began", reason: "gate_closed:pace" }),
    incident(4, { source: "alerter", event: "began", reason: "gate_closed:downstream" }),
    incident(5, { source: null, event: "began", reason: "gate_closed:downstream" }),
  ];
  const { notices, asked } = noticesOf({ entries });
  strictEqual(await notices.gateIncidentSince({ source: "alerter", gate: "downstream" }, 1), 4);
  strictEqual(await notices.gateIncidentSince({ source: "orders", gate: "downstream" }, 1), 5);
  strictEqual(await noticesOf({}).notices.gateIncidentSince({ source: "alerter", gate: "downstream" }, 1), null);
  const [{ fromMs, kind, journals }] = asked as [{ fromMs: number; kind: string; journals: readonly string[] }];
  deepStrictEqual({ fromMs, kind, journals }, { fromMs: 1, kind: "incident", journals: ["incidents"] });
});
