/**
 * The API of the program against requests made from its own description: every route, every role, while Redis dies, hangs and
 * returns. `MUTT_FUZZ_MINUTES` says for how long; without it, a few hundred requests and one outage.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { ROLES } from "../../src/config/api_keys.ts";
import { TEST_KEYS } from "../../testkit/api.ts";
import { type FuzzedRequest, type Place, placesOf, requestTo, targetOf } from "../../testkit/api_fuzz.ts";
import { DLQ, eventTexts } from "../../testkit/engine.ts";
import { startMockMoog } from "../../testkit/mutt/mock_moog.ts";
import { HAS_PROC, residentBytes } from "../../testkit/process_facts.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { watchOutput } from "../../testkit/secrets_net.ts";
import { keysSetting } from "../../testkit/served.ts";
import { type Service, startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";

const MINUTES = Number(Deno.env.get("MUTT_FUZZ_MINUTES") ?? 0), IS_SHORT = MINUTES === 0;
/** Requests of the short form, and between two outages of it. */
const SHORT_REQUESTS = 600, SHORT_OUTAGE_AFTER = 200;
/** Requests made at a time, and sent at once. */
const BATCH = 48, AT_ONCE = 6;
/** Time between two outages of the long form, and how long after one an answer may still be about it, in milliseconds. */
const OUTAGE_EVERY_MS = 40_000, AFTER_MS = 20_000;
/** The documented bound of the program's memory, in bytes, and how much more than before is growth. */
const MOST_BYTES = 256 * 2 ** 20, GROWTH_BYTES = 32 * 2 ** 20;
const IDS = /\b(?:\d{1,6}\.)?[mgj]_[0-9a-f]{12,16}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b/g;
const WRONG_KEY = "wrong-key-0123456789-0123456789-abcdef";

/** What the run has seen. */
class Record {
  readonly statuses = new Map<string, number>();
  readonly done = new Set<string>();
  readonly residents: number[] = [];
  /** Ids that answers have named, the newest last. */
  known: string[] = [];
  requests = 0;
  outages = 0;
  cut = 0;

  note(status: number, { place }: FuzzedRequest, text: string): void {
    this.requests++;
    this.statuses.set(String(status), (this.statuses.get(String(status)) ?? 0) + 1);
    if (status < 400) this.done.add(place.operationId);
    const found = text.slice(0, 20_000).match(IDS) ?? [];
    this.known = [...new Set([...this.known, ...found.slice(0, 20)])].slice(-100);
  }
}

/** Redis with messages, which dies or hangs now and then. */
class Trouble {
  readonly #redis: TestRedis;
  readonly #reseed: () => Promise<void>;
  #endedAtMs = -Infinity;
  #isOn = false;
  #count = 0;

  constructor(redis: TestRedis, reseed: () => Promise<void>) {
    this.#redis = redis;
    this.#reseed = reseed;
  }

  /** Whether an answer may be about it. */
  get mayTell(): boolean {
    return this.#isOn || performance.now() - this.#endedAtMs < AFTER_MS;
  }

  /** Dies with all its data, or hangs for longer than calls wait; then returns. */
  async happen(whileOn: () => Promise<void>): Promise<void> {
    const dies = this.#count++ % 2 === 0;
    this.#isOn = true;
    await this.#redis.kill(dies ? "SIGKILL" : "SIGSTOP");
    await whileOn();
    if (dies) await this.#redis.restart();
    else await this.#redis.kill("SIGCONT");
    await this.#reseed();
    this.#isOn = false;
    this.#endedAtMs = performance.now();
  }
}

interface Run {
  readonly url: string;
  readonly trouble: Trouble;
  readonly record: Record;
  readonly service: Service;
}

/** Sends one request as one of the callers, and judges the answer. */
async function send({ url, trouble, record, service }: Run, fuzzed: FuzzedRequest, as: string | null): Promise<void> {
  const { place, headers, body } = fuzzed, about = () => `${place.method} ${targetOf(fuzzed)} as ${as}: ${body}`;
  const isEndless = place.operationId === "events", mayHaveTold = trouble.mayTell;
  const over = new AbortController();
  let status: number, text: string, type: string;
  try {
    const response = await fetch(url + targetOf(fuzzed), {
      ...{ method: place.method, body, redirect: "manual", signal: over.signal },
      headers: { "content-type": "application/json", ...as === null ? {} : { "x-api-key": as }, ...headers },
    });
    status = response.status;
    type = response.headers.get("content-type") ?? "";
    if (isEndless && status === 200) {
      const reader = response.body!.getReader();
      await reader.read();
      text = "";
      await reader.cancel();
    } else text = await response.text();
  } catch (error) {
    // The door cuts a request that takes longer than it may, as those may that wait for Redis.
    assert.ok(mayHaveTold || trouble.mayTell, `no answer: ${about()}: ${error}`);
    const ended = await Promise.race([service.exit, Promise.resolve(null)]);
    assert.equal(ended, null, `the service ended: ${about()}\n${service.stderr.slice(-20).join("\n")}`);
    record.cut++;
    return;
  }
  // An admin may ask for raw messages.
  if (as !== TEST_KEYS.admin) watchOutput(`answer to ${place.operationId}`, text);
  record.note(status, fuzzed, text);
  if (status >= 500) {
    const isOfRedis = status === 503 && JSON.parse(text).code === "unavailable" && (mayHaveTold || trouble.mayTell);
    assert.ok(isOfRedis, `${status} ${text}: ${about()}`);
  }
  if (status >= 400) assert.match(type, /^application\/problem\+json/, about());
  if (as === null || as === WRONG_KEY) assert.ok([401, 429].includes(status), `${status} without a key: ${about()}`);
}

/** The requests of a batch, in a fixed order for a seed; each to another place. */
function makeBatch(places: readonly Place[], known: readonly string[], seed: number): FuzzedRequest[] {
  return fc.sample(fc.oneof(...places.map((place) => requestTo(place, known))), { numRuns: BATCH, seed });
}

/** Whoever may ask: each role, nobody, and somebody with a wrong key. */
function callerOf(at: number): string | null {
  const callers = [...ROLES.map((role) => TEST_KEYS[role]), TEST_KEYS.admin, TEST_KEYS.admin, null, WRONG_KEY];
  return callers[at % callers.length]!;
}

async function runBatch(run: Run, places: readonly Place[], seed: number): Promise<void> {
  const batch = makeBatch(places, run.record.known, seed);
  for (let at = 0; at < batch.length; at += AT_ONCE) {
    await Promise.all(
      batch.slice(at, at + AT_ONCE).map((fuzzed, more) => send(run, fuzzed, callerOf(seed + at + more))),
    );
  }
  if (HAS_PROC) run.record.residents.push(residentBytes(run.service.pid));
}

/** Memory must stay below the documented bound, and must not grow from the second quarter to the last. */
function judgeMemory({ residents }: Record): void {
  if (residents.length === 0) return;
  const quarter = (which: number) => {
    const size = Math.floor(residents.length / 4), part = residents.slice(which * size, (which + 1) * size).toSorted();
    return part[Math.floor(part.length / 2)] ?? 0;
  };
  const shown = [0, 1, 2, 3].map((which) => `${Math.round(quarter(which) / 2 ** 20)} MiB`).join(", ");
  console.log(`Memory, median of each quarter: ${shown}; most ${Math.round(Math.max(...residents) / 2 ** 20)} MiB`);
  assert.ok(Math.max(...residents) < MOST_BYTES, `most memory: ${Math.max(...residents)} bytes`);
  if (!IS_SHORT) assert.ok(quarter(3) <= quarter(1) + GROWTH_BYTES, `memory grows: ${shown}`);
}

Deno.test("api: an answer for whatever is sent, by any role, while Redis dies and returns; nothing crashes or grows", async () => {
  const redis = await startRedis(), moog = startMockMoog();
  await using parts = new AsyncDisposableStack();
  parts.defer(() => redis.stop());
  parts.defer(() => moog.stop());
  const client = redis.client(),
    lists = [DLQ, "mutt:dlq:moog", "mutt:dlq:dead", "mutt:ingest_queue", "mutt:alert_queue"];
  const reseed = async () => {
    await client.del(...lists);
    for (const list of lists.slice(0, 3)) await redis.seedList(list, eventTexts(40));
  };
  await reseed();
  const service = startService({
    env: {
      ...{ REDIS_HOST: "127.0.0.1", REDIS_PORT: String(redis.port), MOOG_WEBHOOK_URL: moog.url },
      ...{ REMEDIATION_SOURCES: "alerter,moog", REMEDIATION_API_PORT: "0", DYNAMIC_CONFIG_ENABLED: "true" },
      REMEDIATION_API_KEYS: keysSetting().reveal(),
    },
  });
  parts.defer(() => service[Symbol.asyncDispose]());
  await service.ports();
  const url = `http://127.0.0.1:${service.events("listening")[0]!.api_port}`;
  const places = placesOf(await (await fetch(`${url}/api/v1/openapi.json`)).json());
  const record = new Record(), trouble = new Trouble(redis, reseed), run = { url, trouble, record, service };
  const first = Number(Deno.env.get("FC_SEED") ?? Math.floor(Math.random() * 2 ** 30));
  console.log(`FC_SEED=${first}, ${places.length} operations`);
  await waitUntil(async () =>
    (await fetch(`${url}/api/v1/status`, { headers: { "x-api-key": TEST_KEYS.viewer } })
      .then((response) => response.json())).redis === "connected", { what: "the service has reached Redis" });
  const startedAtMs = performance.now();
  const isOver = () =>
    IS_SHORT ? record.requests >= SHORT_REQUESTS : performance.now() - startedAtMs > MINUTES * 60_000;
  const isDue = () =>
    IS_SHORT
      ? record.outages < 1 && record.requests >= SHORT_OUTAGE_AFTER
      : performance.now() - startedAtMs > (record.outages + 1) * OUTAGE_EVERY_MS;
  for (let seed = first; !isOver(); seed++) {
    if (isDue()) {
      record.outages++;
      await trouble.happen(() => runBatch(run, places, seed));
    } else await runBatch(run, places, seed);
    // What imports and replays have left must not fill the lists of a long run.
    if (seed % 50 === 49) await reseed();
  }
  console.log(`${record.requests} answers, ${record.outages} outages, ${record.cut} cut by one; by status:`, {
    ...Object.fromEntries([...record.statuses].toSorted()),
  });
  const missed = places.map(({ operationId }) => operationId).filter((id) => !record.done.has(id));
  console.log(`Never succeeded: ${missed.join(", ") || "none"}`);
  judgeMemory(record);
  assert.deepEqual(["bug", "api_bug", "http_error"].flatMap((event) => service.events(event)), []);
  await waitUntil(async () =>
    (await fetch(`${url}/api/v1/status`, { headers: { "x-api-key": TEST_KEYS.viewer } }))
      .ok, { what: "it answers after all that" });
  service.signal("SIGTERM");
  assert.deepEqual(await service.exit, { code: 0, signal: null });
});
