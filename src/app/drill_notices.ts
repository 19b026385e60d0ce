/** Finds out for the reports of drills what was sent to whom. */
import type { DrillNotices } from "../drill/notices.ts";
import type { Journal } from "../journal/journal.ts";
import type { Notifications } from "../operations/context.ts";

/** Incidents of one look. A drill lasts hours at most. */
const MOST_INCIDENTS = 500;

/** Creates it. Rejects with a `StoreError`. */
export function createDrillNotices(
  { notifications, journal }: { notifications: Notifications; journal: Pick<Journal, "query"> },
): DrillNotices {
  return {
    sent: async () => {
      if ((await notifications.receivers()).length === 0) return null;
      const { receivers } = await notifications.read();
      return receivers.map(({ name, memory }) => ({ receiver: name, sent: memory.sent }));
    },
    gateIncidentSince: async ({ source, gate }, sinceMs) => {
      const { entries } = await journal.query({
        ...{ journals: ["incidents"], kind: "incident", fromMs: sinceMs, oldestFirst: true, limit: MOST_INCIDENTS },
      });
      const found = entries.find(({ entry }) =>
        entry.kind === "incident" && entry.event === "began" && entry.reason === `gate_closed:${gate}` &&
        (entry.source === source || entry.source === null)
      );
      return found?.atMs ?? null;
    },
  };
}
