/** Notify files, notices and receivers for tests. */
import type { NotifyContext, ReceiverDefinition } from "../src/config/notify.ts";
import type { Incident, Notice } from "../src/notify/notice.ts";
import type { ReceiverDeps } from "../src/notify/receivers/deps.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { recordLog } from "./recorded_log.ts";

/** A signing secret: 32 bytes, and how its file says it. */
export const SIGNING_BYTES = new TextEncoder().encode("0123456789abcdefPl4nt3dS3cr3t+/=");
/** Contents of the files that {@link CONTEXT} reads, by path. They hold a mark, so that a leak is found. */
export const FILES: Readonly<Record<string, string>> = {
  "/run/secrets/slack": "https://hooks.slack.example/services/T0/B0/Pl4nt3dS3cr3tSlack\n",
  "/run/secrets/teams": "https://teams.example/workflows/1?sig=Pl4nt3dS3cr3tTeams",
  "/run/secrets/pager": "Pl4nt3dS3cr3tPager00000000000000\n",
  "/run/secrets/hook": `whsec_${btoa(String.fromCharCode(...SIGNING_BYTES))}\n`,
  "/run/secrets/hook_url": "http://hook.example/Pl4nt3dS3cr3tHook",
  "/run/secrets/password": "Pl4nt3dS3cr3t pass word\n",
  "/run/ca.pem": Deno.readTextFileSync(new URL("tls/ca.crt", import.meta.url)),
};

/** Whether a text repeats something of {@link FILES}. */
export function hasFileSecret(text: string): boolean {
  return /Pl4nt3dS3cr3t|whsec_/.test(text) || text.includes(btoa("Pl4nt3dS3cr3t").slice(0, 16));
}

/** Reads {@link FILES}. @throws an error named `NotFound` for any other path */
export function readFakeFile(path: string): string {
  const text = FILES[path];
  if (text !== undefined) return text;
  throw Object.assign(new Error(path), { name: "NotFound" });
}

/** What a notify file is checked against. */
export const CONTEXT: NotifyContext = {
  readFile: readFakeFile,
  gates: ["enabled", "pause", "downstream"],
  sources: ["alerter", "orders"],
};

/** A receiver of each type, as a file says it. */
export const RECEIVERS = {
  slack: { type: "slack", urlFile: "/run/secrets/slack" },
  email: { type: "email", host: "smtp.example.org", from: "remediation@example.org", to: ["ops@example.org"] },
  teams: { type: "teams", urlFile: "/run/secrets/teams" },
  pagerduty: { type: "pagerduty", routingKeyFile: "/run/secrets/pager" },
  webhook: { type: "webhook", url: "https://hook.example/in", secretFile: "/run/secrets/hook" },
  alertmanager: { type: "alertmanager", url: "http://alertmanager:9093" },
} as const;

/** What every definition has. */
export const BASE = {
  ...{ name: "ops", updateSeconds: 1_800, quietHours: [], template: { title: null, text: null }, caFile: null },
} as const satisfies Omit<ReceiverDefinition, "type" | "urlFile">;

/** 2026-11-30 14:02:05 UTC. */
export const BEGAN_MS = Date.UTC(2026, 10, 30, 14, 2, 5);

/** Poison messages in one source. */
export const INCIDENT: Incident = {
  ...{ id: "i_0123abcd", kind: "dead", cause: "poison", severity: "warning", sources: ["alerter"] },
  ...{ beganMs: BEGAN_MS, endedMs: null, detail: "1,204 messages moved to the dead list as poison" },
  groups: [{ source: "alerter", count: 1_204, sample: { id: "m_0123456789abcdef", text: "HTTP 500 <html>" } }],
};

/** Its first notice. */
export const NOTICE: Notice = {
  ...{ id: "n_0123abcd_1", event: "began", incident: INCIDENT, atMs: BEGAN_MS + 5_000 },
  title: "Poison messages in alerter: 1,204 since 14:02 UTC",
  text: "1,204 messages moved to the dead list as poison\nalerter: 1,204 messages",
  url: "https://remediation.example.org/messages?source=alerter&list=dead",
};

/** Dependencies of receivers: the machine's clock, no proxy, {@link FILES}. Its log is recorded. */
export function createReceiverDeps(
  given: Partial<ReceiverDeps> = {},
): ReceiverDeps & { readonly lines: ReturnType<typeof recordLog>["lines"] } {
  const { log, lines } = recordLog();
  return { clock: SYSTEM_CLOCK, log, chooseProxy: () => undefined, readFile: readFakeFile, ...given, lines };
}
