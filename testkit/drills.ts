/** Starts drills of the test's source, ends their outage, and reads every list and key that they use. */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import type { DrillTarget } from "../src/cycle/running_drill.ts";
import { findDrillMark } from "../src/message/drill_mark.ts";
import type { MemberPath } from "../src/message/member_path.ts";
import { drillKey, drillListKey, drillsKey } from "../src/redis/keys.ts";
import { createId } from "../src/runtime/random.ts";
import { DEAD, DLQ, type Engine, OVERSIZE, STATE, TARGET } from "./engine.ts";
import type { TestRedis } from "./redis.ts";
import { PATIENT_MS, waitUntil } from "./wait.ts";

const clients = new WeakMap<TestRedis, Redis>();

/** One connection a server, however often a condition is asked. */
export function clientOf(redis: TestRedis): Redis {
  const client = clients.get(redis) ?? redis.client();
  clients.set(redis, client);
  return client;
}

/** A drill to start. Default: 25 messages, a mock target, and an outage of an hour, which {@link endOutage} ends. */
export interface WantedDrill {
  readonly messages?: number;
  readonly target?: DrillTarget;
  readonly gate?: string;
  readonly holdMs?: number;
  readonly healMs?: number;
}

/** Starts a drill. @returns its id */
export async function startDrill(engine: Engine, wanted: WantedDrill = {}): Promise<string> {
  await engine.connections.waitUntilReady(PATIENT_MS);
  const { messages = 25, target = "mock", gate = "downstream", holdMs = 3_600_000, healMs = 3_600_000 } = wanted;
  const id = `d_${createId().replaceAll("-", "").slice(0, 16)}`;
  const fields = { messages: String(messages), by: "ann", reason: "test" };
  const result = await engine.source.drills.start({ id, target, gate, holdMs, healMs, fields });
  if (result !== "ok") throw new Error(`the drill does not start: ${result}`);
  return id;
}

/** Ends the outage now, as if it had lasted no time. */
export async function endOutage(redis: TestRedis): Promise<void> {
  const client = clientOf(redis), [id, target, gate] = (await client.hget(STATE, "drill"))!.split(" ");
  const startedAtMs = (await client.hget(drillKey(DLQ), "startedAtMs"))!;
  await client.hset(drillKey(DLQ), { heldUntilMs: startedAtMs });
  await client.hset(STATE, { drill: `${id} ${target} ${gate} ${startedAtMs}` });
}

/** Lets the engine lead, take turns and advance the drill until the condition holds. */
export async function drive(engine: Engine, until: () => Promise<boolean>, what: string): Promise<void> {
  const { signal } = new AbortController();
  await engine.connections.waitUntilReady(PATIENT_MS);
  await waitUntil(async () => {
    await engine.source.leadership.take();
    await engine.source.turns.runOnce({ begin: "due", signal });
    await engine.source.driller.runOnce();
    return await until();
  }, { what, timeoutMs: 10_000 });
}

/** Whether the drill has left its report. */
export async function hasReport(redis: TestRedis, id: string): Promise<boolean> {
  return (await readReports(redis)).some((report) => report.id === id);
}

/** Reads the reports, newest first. */
export async function readReports(redis: TestRedis): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return (await clientOf(redis).lrange(drillsKey(DLQ), 0, -1)).map((text) => JSON.parse(text));
}

/** The numbers of a drill's messages by list, in the order of the list; only lists with some. `unwrap`: where inner messages are. */
export async function findMarked(
  redis: TestRedis,
  id: string,
  unwrap: MemberPath | null = null,
): Promise<Readonly<Record<string, readonly number[]>>> {
  const keys = { dlq: DLQ, target: TARGET, dead: DEAD, oversize: OVERSIZE, kept: drillListKey(DLQ) };
  const found = await Promise.all(
    Object.entries(keys).map(async ([name, key]) => {
      const isWrapped = name !== "target";
      const marks = (await redis.readTexts(key)).map((text) =>
        findDrillMark(Buffer.from(text), isWrapped ? unwrap : null)
      );
      return [name, marks.filter((mark) => mark?.id === id).map((mark) => mark!.number)] as const;
    }),
  );
  return Object.fromEntries(found.filter(([, numbers]) => numbers.length > 0));
}

/** The keys of drills that exist, without the reports. */
export async function drillKeysLeft(redis: TestRedis): Promise<readonly string[]> {
  const keys = [drillKey(DLQ), drillListKey(DLQ)], client = clientOf(redis);
  const there = await Promise.all(keys.map((key) => client.exists(key)));
  return keys.filter((_, i) => there[i] === 1);
}
