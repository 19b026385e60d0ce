/**
 * The net under the whole suite: everything that the service writes, answers and stores passes through it. If that
 * contains a planted secret, the test fails. Importing this module is enough; the modules of testkit that start,
 * record and query do.
 */
import { createLog, LOG_LEVELS, type LogFields } from "../src/observability/log.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { describeLeak, findSecrets } from "./planted_secrets.ts";

/** Descriptions of leaks since the last check. */
let leaks: string[] = [];

/** Checks a text. A planted secret in it fails the running test. */
export function watchOutput(where: string, text: string): void {
  for (const leak of findSecrets(text)) leaks.push(`${where}: ${describeLeak(leak)}`);
}

/** Returns and clears the leaks since the last check, so that they fail no test. */
export function takeLeaks(): string[] {
  const taken = leaks;
  leaks = [];
  return taken;
}

const LOGS = (["json", "text"] as const).map((format) => ({
  format,
  log: createLog({
    ...{ clock: SYSTEM_CLOCK, level: LOG_LEVELS[0], format, podName: "net", version: "net" },
    write: (line) => watchOutput(`log (${format})`, line),
  }),
}));

/** Checks a log line in both formats of the service. */
export function watchLogLine(event: string, message: string, fields: LogFields = {}): void {
  for (const { log } of LOGS) log.error(event, message, fields);
}

/** Identifies the service's pages. Other servers may answer with secrets on purpose. */
const OWN_PAGE = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** `fetch` for tests: checks headers and body of the service's pages. */
async function watchingFetch(input: Request | URL | string, init?: RequestInit): Promise<Response> {
  const response = await plainFetch(input, init);
  if (Object.entries(OWN_PAGE).some(([name, value]) => response.headers.get(name) !== value)) return response;
  // Raw bytes show their secrets to an admin who asks for them; that nobody else gets them is tested elsewhere.
  const url = input instanceof Request ? input.url : String(input);
  if (response.status === 200 && /[?&]raw=true(&|$)/.test(url)) return response;
  const body = await response.text();
  watchOutput(`page ${url}`, `${formatHeaders(response.headers)}\n${body}`);
  return new Response(body === "" ? null : body, response);
}

function formatHeaders(headers: Headers): string {
  return [...headers].map(([name, value]) => `${name}: ${value}`).join("\n");
}

const plainFetch = globalThis.fetch;
globalThis.fetch = watchingFetch;

function failOnLeaks(): void {
  const taken = takeLeaks();
  if (taken.length > 0) throw new Error(`Secrets went by:\n  ${taken.join("\n  ")}`);
}

// Hooks run last in, first out: those of the importing file have already stopped its servers. Outside tests they do
// nothing.
Deno.test.afterEach(failOnLeaks);
Deno.test.afterAll(failOnLeaks);
