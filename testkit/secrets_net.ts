/**
 * The net under the whole suite: what the service writes, answers and keeps passes through here, and a test in which a planted
 * secret went by fails, whatever else it asserts. Loading this module is all that a test file needs; the support that starts,
 * records and asks does.
 */
import { createLog, LOG_LEVELS, type LogFields } from "../src/observability/log.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { describeLeak, findSecrets } from "./planted_secrets.ts";

/** Leaks since the last look, described. */
let leaks: string[] = [];

/** Lets a text pass: what in it is secret fails the test that runs. */
export function watchOutput(where: string, text: string): void {
  for (const leak of findSecrets(text)) leaks.push(`${where}: ${describeLeak(leak)}`);
}

/** What went by since the last look; it fails nothing any more. */
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

/** Lets a log line pass, in both formats, as the service would write it. */
export function watchLogLine(event: string, message: string, fields: LogFields = {}): void {
  for (const { log } of LOGS) log.error(event, message, fields);
}

/** By these the service's own pages are known from those of other servers, which may answer with secrets on purpose. */
const OWN_PAGE = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** `fetch` for tests: whatever page of the service is asked for passes through the net, headers and body. */
async function watchingFetch(input: Request | URL | string, init?: RequestInit): Promise<Response> {
  const response = await plainFetch(input, init);
  if (Object.entries(OWN_PAGE).some(([name, value]) => response.headers.get(name) !== value)) return response;
  const body = await response.text();
  watchOutput(`page ${input instanceof Request ? input.url : input}`, `${formatHeaders(response.headers)}\n${body}`);
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

// Hooks run last in, first out: those of a file that loads this have run, and stopped its servers. Outside of tests they do nothing.
Deno.test.afterEach(failOnLeaks);
Deno.test.afterAll(failOnLeaks);
