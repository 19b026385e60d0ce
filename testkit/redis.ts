/** A Redis server for tests, with functions to fill and read it. */
import { Buffer } from "node:buffer";
import { Redis, type RedisOptions } from "ioredis";
import { type Push, PUSHES } from "../src/message/source_policy.ts";
import { endsOf } from "../src/redis/list_ends.ts";
import { type RedisServer, type RedisServerOptions, startRedisServer } from "../scripts/redis_server.ts";
import type { NeedingTest } from "./redis_version.ts";
import { watchOutput } from "./secrets_net.ts";

export type { RedisServer, RedisServerOptions };

/** Name of the tests' own connections, so that leak checks can skip them. */
const TEST_CONNECTION = "test-support";

const DISCONNECT_TIMEOUT_MS = 1;
/** Time limit for reading the service's keys, in milliseconds. */
const RECORDS_TIMEOUT_MS = 1_000;

/** A connection in `CLIENT LIST`. */
export interface ClientConnection {
  readonly id: string;
  readonly name: string;
  readonly addr: string;
  /** Last command. */
  readonly cmd: string;
}

/** A server with test functions. All lists are oldest first; in Redis the oldest is at the right, or as `push` says. */
export interface TestRedis extends RedisServer {
  /** How the lists of sources are pushed; the service's own lists always to the left. */
  readonly push: Push;
  /** Opens a connection that `stop()` closes. It reconnects after an outage, and commands wait for that. */
  client(options?: RedisOptions): Redis;
  /** Opens a connection that emits `monitor` with each command that the server runs. The caller disconnects it. */
  monitor(): Promise<Redis>;
  /** Connections not opened by the tests, for leak checks. */
  clientConnections(): Promise<ClientConnection[]>;
  /** Appends newer messages to a list. */
  seedList(key: string, messages: readonly (string | Uint8Array)[]): Promise<void>;
  /** Takes the oldest messages of a list, as a consumer does; `newest`: from the other end. The first one taken comes first. */
  popList(key: string, count?: number, options?: { readonly newest?: boolean }): Promise<Buffer[]>;
  /** Puts messages back before the oldest of a list; the first one will be the oldest. */
  unpopList(key: string, messages: readonly (string | Uint8Array)[]): Promise<void>;
  /** Puts another message in the place of one, from 1 at the oldest. */
  setPlace(key: string, place: number, message: string | Uint8Array): Promise<void>;
  /** Number of messages in a list. */
  depth(key: string): Promise<number>;
  /** Reads the whole list; empty if the key does not exist. */
  readList(key: string): Promise<Buffer[]>;
  /** {@link TestRedis.readList} as text, for UTF-8 messages. */
  readTexts(key: string): Promise<string[]>;
}

/** Options of a server, and how the lists of sources are pushed; default: `LPUSH`. */
export interface TestRedisOptions extends RedisServerOptions {
  readonly push?: Push;
}

/** Starts a server for one test or one file. The caller stops it. */
export async function startRedis({ push = "LPUSH", ...options }: TestRedisOptions = {}): Promise<TestRedis> {
  return new Connected(await startRedisServer(options), push);
}

/**
 * The direction in which a file of tests runs: `LPUSH`, or what a file that imports it for the other one says, as
 * `tests/integration/rpush/` does: `import "../store_read_test.ts?push=RPUSH"`.
 */
export function pushOf({ url }: ImportMeta): Push {
  return PUSHES.find((push) => push === new URL(url).searchParams.get("push")) ?? "LPUSH";
}

/** `RPOP key count` and `LPOP key count` in one step, which Redis 6.0 does not have. */
const POP = `local taken = {}
for i = 1, tonumber(ARGV[1]) do
  local message = redis.call(ARGV[2], KEYS[1])
  if not message then break end
  taken[i] = message
end
return taken`;

type Body = (redis: TestRedis, t: Deno.TestContext) => Promise<void> | void;

/** Registers a test with its own server (about 30 ms). */
export function withRedis(name: string | NeedingTest, body: Body): void;
export function withRedis(name: string | NeedingTest, options: TestRedisOptions, body: Body): void;
export function withRedis(name: string | NeedingTest, ...rest: [Body] | [TestRedisOptions, Body]): void {
  const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest;
  Deno.test(typeof name === "string" ? { name } : name, async (t) => {
    const redis = await startRedis(options);
    try {
      await body(redis, t);
    } finally {
      await redis.stop();
    }
  });
}

/**
 * Starts one server for all tests of this file, empty at the start of each test. Call it once at the top level, and
 * call the returned function inside tests.
 */
export function shareRedis(options: TestRedisOptions = {}): () => TestRedis {
  let redis: TestRedis | undefined;
  Deno.test.beforeAll(async () => {
    redis = await startRedis(options);
    await redis.clientConnections(); // opens this object's own connection, so that no test counts it as a leak
  });
  Deno.test.beforeEach(async () => {
    await (redis as Connected).empty();
  });
  Deno.test.afterAll(() => redis?.stop());
  return () => {
    if (!redis) throw new Error("shareRedis: there is no server outside of tests");
    return redis;
  };
}

class Connected implements TestRedis {
  readonly push: Push;
  readonly #server: RedisServer;
  readonly #clients: Redis[] = [];
  #own: Redis | undefined;

  constructor(server: RedisServer, push: Push) {
    this.#server = server;
    this.push = push;
  }

  get port(): number {
    return this.#server.port;
  }

  get url(): string {
    return this.#server.url;
  }

  get pid(): number {
    return this.#server.pid;
  }

  get dir(): string {
    return this.#server.dir;
  }

  kill(signal: Deno.Signal): Promise<void> {
    return this.#server.kill(signal);
  }

  restart(): Promise<void> {
    return this.#server.restart();
  }

  async stop(): Promise<void> {
    await this.#watchRecords();
    await Promise.all(this.#clients.splice(0).map(closeClient));
    await this.#server.stop();
  }

  client(options: RedisOptions = {}): Redis {
    const client = new Redis({
      ...{ host: "127.0.0.1", port: this.port },
      connectionName: TEST_CONNECTION,
      disableClientInfo: true, // what only Redis 7.2 and newer know would be in records of what was sent
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      ...options,
      replyMapping: "legacy", // ioredis' default; its types require it
    });
    client.on("error", () => {}); // expected when a test stops the server; commands still reject
    this.#clients.push(client);
    return client;
  }

  async monitor(): Promise<Redis> {
    const client = this.client();
    // ioredis takes a command that it sees right behind the reply to MONITOR for a reply, and waits for ever. So the commands with which
    // connections begin come first. A user of the test may not be allowed to ping.
    const others = this.#clients.filter(({ status, options }) => status !== "end" && !options.username);
    await Promise.allSettled(others.map((one) => one.ping()));
    return await client.monitor();
  }

  async clientConnections(): Promise<ClientConnection[]> {
    const connections = parseClientList(String(await this.#helper.client("LIST")));
    for (const { name } of connections) watchOutput("name of a connection", name);
    return connections.filter(({ name }) => name !== TEST_CONNECTION);
  }

  async seedList(key: string, messages: readonly (string | Uint8Array)[]): Promise<void> {
    const values = messages.map((message) => Buffer.from(message as Uint8Array));
    const { push } = endsOf(key, this.push);
    for (let at = 0; at < values.length; at += 1_000) await this.#helper[push](key, ...values.slice(at, at + 1_000));
  }

  async popList(key: string, count = 1, { newest = false }: { readonly newest?: boolean } = {}): Promise<Buffer[]> {
    const isAtRight = (endsOf(key, this.push).push === "lpush") !== newest;
    return await this.#helper.callBuffer("EVAL", POP, 1, key, count, isAtRight ? "RPOP" : "LPOP") as Buffer[];
  }

  async unpopList(key: string, messages: readonly (string | Uint8Array)[]): Promise<void> {
    const values = messages.toReversed().map((message) => Buffer.from(message as Uint8Array));
    await this.#helper[endsOf(key, this.push).push === "lpush" ? "rpush" : "lpush"](key, ...values);
  }

  async setPlace(key: string, place: number, message: string | Uint8Array): Promise<void> {
    const [index] = endsOf(key, this.push).range(place, place);
    await this.#helper.lset(key, index, Buffer.from(message as Uint8Array));
  }

  depth(key: string): Promise<number> {
    return this.#helper.llen(key);
  }

  async readList(key: string): Promise<Buffer[]> {
    return endsOf(key, this.push).oldestFirst(await this.#helper.lrangeBuffer(key, 0, -1));
  }

  async readTexts(key: string): Promise<string[]> {
    return (await this.readList(key)).map(String);
  }

  /** Only called on servers that `startRedis` started. */
  async empty(): Promise<void> {
    await this.#watchRecords();
    await this.#helper.flushall();
  }

  get #helper(): Redis {
    return this.#own ??= this.client();
  }

  /** Passes the service's own keys through the net if the server still answers. */
  async #watchRecords(): Promise<void> {
    const client = [this.#own, ...this.#clients].find((one) => one?.status === "ready");
    if (!client) return;
    let over: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<string[]>((resolve) => over = setTimeout(resolve, RECORDS_TIMEOUT_MS, []));
    // A server that the test stopped or cut off need not answer.
    const records = await Promise.race([readOwnRecords(client).catch(() => []), late]);
    clearTimeout(over);
    for (const record of records) watchOutput("record in Redis", record);
  }
}

/** Key and content of the service's own keys. The list of oversize messages holds messages, as the other lists do. */
async function readOwnRecords(client: Redis): Promise<string[]> {
  const keys: string[] = [];
  for (let cursor = "0";;) {
    const [next, found] = await client.scan(cursor, "MATCH", "mutt:remediation:*", "COUNT", 1_000);
    keys.push(...found);
    if (next === "0") break;
    cursor = next;
  }
  return await Promise.all(keys.map(async (key) => {
    const type = await client.type(key);
    const content = type === "hash"
      ? await client.hgetall(key)
      : type === "stream"
      ? await client.xrange(key, "-", "+")
      : type === "string"
      ? await client.get(key)
      : type;
    return JSON.stringify([key, content]);
  }));
}

function parseClientList(text: string): ClientConnection[] {
  return text.trim().split("\n").map((line) => {
    const fields = new Map(line.split(" ").map((field) => field.split("=", 2) as [string, string]));
    const field = (name: string) => fields.get(name) ?? "";
    return { id: field("id"), name: field("name"), addr: field("addr"), cmd: field("cmd") };
  });
}

/**
 * Waits until a client is gone. A reconnecting one never emits "end", but `disconnect()` still starts a timer of
 * `disconnectTimeout` (ioredis), which must expire before the test ends.
 */
export async function closeClient(client: Redis): Promise<void> {
  if (client.status === "end") return;
  const connected = ["connect", "ready", "connecting"].includes(client.status);
  const ended = new Promise<void>((resolve) => client.once("end", resolve));
  client.disconnect();
  await (connected ? ended : new Promise((resolve) => setTimeout(resolve, 5 * DISCONNECT_TIMEOUT_MS)));
}
