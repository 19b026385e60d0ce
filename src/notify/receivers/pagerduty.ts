/**
 * PagerDuty's Events API v2. Three details: the incident's id is the `dedup_key`, so a notice that is sent twice changes nothing; an update
 * is another `trigger`, which PagerDuty adds to the log of its alert; a healthy answer is 202 with the status `success`.
 *
 * `acknowledge` means that a person has taken the incident on and stops escalation. No notice says that: an update says only that things
 * have changed, and an incident that nobody looks at must go on to escalate. So only the test uses it, which triggers, acknowledges and
 * resolves an alert of its own: it tries all three and leaves nothing open.
 */
import { toIso } from "../../runtime/clock.ts";
import type { Notice, NoticeEvent } from "../notice.ts";
import { type Answer, postJson } from "./http_post.ts";
import type { ReceiverFactory } from "./parts.ts";
import { cut } from "./text.ts";

/** What an event does in PagerDuty. */
export type PagerDutyAction = "trigger" | "acknowledge" | "resolve";

/** What is sent for an event, in this order. What has just happened stays open until somebody resolves it. */
export const PAGERDUTY_ACTIONS: Readonly<Record<NoticeEvent, readonly PagerDutyAction[]>> = {
  began: ["trigger"],
  updated: ["trigger"],
  ended: ["resolve"],
  happened: ["trigger"],
  test: ["trigger", "acknowledge", "resolve"],
};

/** Time of one exchange: the test's three fit into the time of a notice. */
const EXCHANGE_TIMEOUT_MS = 4_500;
/** Most characters of a summary (Events API v2). */
const SUMMARY_CHARACTERS = 1_024;

/** Creates the receiver. */
export const createPagerDuty: ReceiverFactory<"pagerduty"> = ({ url, routingKeyFile }, tools) => {
  const key = tools.secretFile("routingKeyFile", { path: routingKeyFile, kind: "routingKey" });
  return {
    async send(notice, signal) {
      const routingKey = key.read().reveal();
      for (const action of PAGERDUTY_ACTIONS[notice.event]) {
        await postJson({
          ...{ url: new URL(`${url}/v2/enqueue`), authorities: tools.authorities, signal },
          ...{ body: formatPagerDuty(notice, { action, routingKey }), isHealthy, timeoutMs: EXCHANGE_TIMEOUT_MS },
        }, tools);
      }
    },
  };
};

function isHealthy({ status, body }: Answer): boolean {
  try {
    return status === 202 && JSON.parse(body).status === "success";
  } catch {
    return false;
  }
}

/** The body of an event. Pure. */
export function formatPagerDuty(
  { incident, event, title, text, url, atMs }: Notice,
  { action, routingKey }: { action: PagerDutyAction; routingKey: string },
): string {
  const identity = { routing_key: routingKey, event_action: action, dedup_key: incident.id };
  if (action !== "trigger") return JSON.stringify(identity);
  const { kind, cause, severity, sources, detail, groups } = incident;
  return JSON.stringify({
    ...identity,
    payload: {
      summary: cut(title, SUMMARY_CHARACTERS),
      source: "mutt-remediation",
      severity: event === "test" ? "info" : severity,
      timestamp: toIso(event === "test" ? atMs : incident.beganMs),
      ...{ component: sources.join(", ") || "mutt-remediation", group: kind, class: cause },
      custom_details: { detail, text, groups },
    },
    links: url === null ? [] : [{ href: url, text: "Open in the console" }],
    client: "mutt-remediation",
    ...(url === null ? {} : { client_url: url }),
  });
}
