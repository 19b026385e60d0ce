/** An own Redis for tests, with what tests ask of it. */
import { Buffer } from "node:buffer";
import { Redis, type RedisOptions } from "ioredis";
import { type RedisServer, type RedisServerOptions, startRedisServer } from "../scripts/redis_server.ts";
import { watchOutput } from "./secrets_net.ts";

export type { RedisServer, RedisServerOptions };

/** The tests' own connections carry this name, so that a leak check can leave them out. */
const TEST_CONNECTION = "test-support";

const DISCONNECT_TIMEOUT_MS = 1;
/** How long a server may take to tell what the service keeps in it. */
const RECORDS_TIMEOUT_MS = 1_000;

/** A connection as `CLIENT LIST` shows it. */
export interface ClientConnection {
  readonly id: string;
  readonly name: string;
  readonly addr: string;
  /** Last command. */
  readonly cmd: string;
}

/** An own server with helpers. Lists are given and returned oldest first; in Redis the oldest is at the right. */
export interface TestRedis extends RedisServer {
  /** A new connection; `stop()` closes it. It connects again after an outage, and its commands wait for that. */
  client(options?: RedisOptions): Redis;
  /** Connections that somebody else than the tests holds. For leak checks. */
  clientConnections(): Promise<ClientConnection[]>;
  /** Appends messages behind (newer than) what the list holds. */
  seedList(key: string, messages: readonly (string | Uint8Array)[]): Promise<void>;
  /** How many messages the list holds. */
  depth(key: string): Promise<number>;
  /** The whole list. A key that is not there is an empty list. */
  readList(key: string): Promise<Buffer[]>;
  /** {@link TestRedis.readList} as text, for messages known to be UTF-8. */
  readTexts(key: string): Promise<string[]>;
}

/** Starts a server for one test or one file. The caller stops it. */
export async function startRedis(options: RedisServerOptions = {}): Promise<TestRedis> {
  return new Connected(await startRedisServer(options));
}

type Body = (redis: TestRedis, t: Deno.TestContext) => Promise<void> | void;

/** Registers a test that has a server for itself (about 30 ms). */
export function withRedis(name: string, body: Body): void;
export function withRedis(name: string, options: RedisServerOptions, body: Body): void;
export function withRedis(name: string, ...rest: [Body] | [RedisServerOptions, Body]): void {
  const [options, body] = rest.length === 1 ? [{}, rest[0]] : rest;
  Deno.test(name, async (t) => {
    const redis = await startRedis(options);
    try {
      await body(redis, t);
    } finally {
      await redis.stop();
    }
  });
}

/**
 * One server for all tests of this file, empty at the start of each. Call it once, at the top level; call what it returns
 * inside tests.
 */
export function shareRedis(options: RedisServerOptions = {}): () => TestRedis {
  let redis: TestRedis | undefined;
  Deno.test.beforeAll(async () => {
    redis = await startRedis(options);
    await redis.clientConnections(); // opens the helpers' own connection, so that no test is said to leak it
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
  readonly #server: RedisServer;
  readonly #clients: Redis[] = [];
  #own: Redis | undefined;

  constructor(server: RedisServer) {
    this.#server = server;
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
    await Promise.all(this.#clients.splice(0).map(close));
    await this.#server.stop();
  }

  client(options: RedisOptions = {}): Redis {
    const client = new Redis({
      ...{ host: "127.0.0.1", port: this.port },
      connectionName: TEST_CONNECTION,
      maxRetriesPerRequest: null,
      retryStrategy: () => 20,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      ...options,
      replyMapping: "legacy", // ioredis' default; its types want it named
    });
    client.on("error", () => {}); // a test that stops the server expects them; commands reject all the same
    this.#clients.push(client);
    return client;
  }

  async clientConnections(): Promise<ClientConnection[]> {
    const connections = parseClientList(String(await this.#helper.client("LIST")));
    for (const { name } of connections) watchOutput("name of a connection", name);
    return connections.filter(({ name }) => name !== TEST_CONNECTION);
  }

  async seedList(key: string, messages: readonly (string | Uint8Array)[]): Promise<void> {
    const values = messages.map((message) => Buffer.from(message as Uint8Array));
    for (let at = 0; at < values.length; at += 1_000) await this.#helper.lpush(key, ...values.slice(at, at + 1_000));
  }

  depth(key: string): Promise<number> {
    return this.#helper.llen(key);
  }

  async readList(key: string): Promise<Buffer[]> {
    return (await this.#helper.lrangeBuffer(key, 0, -1)).reverse();
  }

  async readTexts(key: string): Promise<string[]> {
    return (await this.readList(key)).map(String);
  }

  /** Only ever called on a server that `startRedis` started. */
  async empty(): Promise<void> {
    await this.#watchRecords();
    await this.#helper.flushall();
  }

  get #helper(): Redis {
    return this.#own ??= this.client();
  }

  /** What the service keeps in Redis for itself passes through the net, where the server still tells. */
  async #watchRecords(): Promise<void> {
    const client = [this.#own, ...this.#clients].find((one) => one?.status === "ready");
    if (!client) return;
    let over: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<string[]>((resolve) => over = setTimeout(resolve, RECORDS_TIMEOUT_MS, []));
    // A server that was stopped or cut off by the test tells nothing, and need not.
    const records = await Promise.race([readOwnRecords(client).catch(() => []), late]);
    clearTimeout(over);
    for (const record of records) watchOutput("record in Redis", record);
  }
}

/** Key and content of everything that the service keeps for itself. Its records are hashes and strings. */
async function readOwnRecords(client: Redis): Promise<string[]> {
  const keys: string[] = [];
  for (let cursor = "0";;) {
    const [next, found] = await client.scan(cursor, "MATCH", "mutt:remediation:*", "COUNT", 1_000);
    keys.push(...found);
    if (next === "0") break;
    cursor = next;
  }
  return await Promise.all(keys.map(async (key) => {
    const content = await client.type(key) === "hash" ? await client.hgetall(key) : await client.get(key);
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
 * Waits until nothing of the client is left. One that is connecting again never says "end", and `disconnect()` then
 * starts a timer of `disconnectTimeout` all the same (ioredis), which must run out before the test does.
 */
async function close(client: Redis): Promise<void> {
  if (client.status === "end") return;
  const connected = ["connect", "ready", "connecting"].includes(client.status);
  const ended = new Promise<void>((resolve) => client.once("end", resolve));
  client.disconnect();
  await (connected ? ended : new Promise((resolve) => setTimeout(resolve, 5 * DISCONNECT_TIMEOUT_MS)));
}
