/**
 * An Alertmanager. Three details: an alert is its labels, so they hold nothing that changes while an incident lasts, such as a count; an
 * alert that is not sent again expires after `resolve_timeout`, 5 minutes by default; one that has ended when it arrives is not told, so
 * what has just happened is open for {@link HAPPENED_MS}.
 */
import { Buffer } from "node:buffer";
import { toIso } from "../../runtime/clock.ts";
import type { Notice } from "../notice.ts";
import { postJson } from "./http_post.ts";
import type { ReceiverFactory } from "./parts.ts";

/** How often an open incident is sent again. */
const REPEAT_MS = 60_000;
/** How long what has just happened is shown. */
const HAPPENED_MS = 300_000;

/** Creates the receiver. */
export const createAlertmanager: ReceiverFactory<"alertmanager"> = ({ url, login, labels }, tools) => {
  const password = login && tools.secretFile("passwordFile", { path: login.passwordFile, kind: "password" });
  return {
    repeatMs: REPEAT_MS,
    send(notice, signal) {
      const basic = password && Buffer.from(`${login!.username}:${password.read().reveal()}`).toString("base64");
      return postJson({
        ...{ url: new URL(`${url}/api/v2/alerts`), authorities: tools.authorities, signal },
        ...(basic === null ? {} : { headers: { authorization: `Basic ${basic}` } }),
        body: formatAlerts(notice, labels),
        isHealthy: ({ status, body }) => status === 200 && !body.trimStart().startsWith("<"),
      }, tools);
    },
  };
};

/** The body: an alert for each source, so that a source that joins later changes no label. Pure. */
export function formatAlerts(
  { event, incident, title, text, url, atMs }: Notice,
  own: Readonly<Record<string, string>>,
): string {
  const { kind, cause, severity, sources, beganMs, endedMs } = incident, isTest = event === "test";
  const startMs = isTest ? atMs : beganMs;
  const endMs = isTest || event === "happened" ? atMs + HAPPENED_MS : event === "ended" ? endedMs ?? atMs : null;
  const named = sources.map((source) => ({ source }));
  return JSON.stringify((named.length > 0 && !isTest ? named : [{}]).map((source) => ({
    labels: {
      ...own,
      alertname: `MuttRemediation${isTest ? "Test" : toPascal(kind)}`,
      severity: isTest ? "info" : severity,
      ...(isTest ? {} : { cause }),
      ...source,
    },
    annotations: { summary: title, description: text, ...(url === null ? {} : { url }) },
    startsAt: toIso(startMs),
    ...(endMs === null ? {} : { endsAt: toIso(Math.max(endMs, startMs)) }),
    ...(url === null ? {} : { generatorURL: url }),
  })));
}

/** `gate_closed` → `GateClosed`. */
function toPascal(kind: string): string {
  return kind.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
