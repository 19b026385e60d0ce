/** The API on a real listener and a real Redis, with operations of the test. */
import { Api, type ApiOptions } from "../src/api/api.ts";
import { digestOf, KeyRing } from "../src/api/key_ring.ts";
import type { AnyOperation } from "../src/operations/operation.ts";
import type { ApiKey, ParsedApiKeys, Role } from "../src/config/api_keys.ts";
import { ApiStore } from "../src/redis/api_store.ts";
import { type Clock, SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { createMetrics } from "./engine.ts";
import { startPort } from "./listeners.ts";
import { recordLog } from "./recorded_log.ts";
import { closeClient, type TestRedis } from "./redis.ts";
import { watchOutput } from "./secrets_net.ts";

/** A key of the tests for each role. */
export const TEST_KEYS: Readonly<Record<Role, string>> = {
  viewer: "viewer-key-0123456789-0123456789-abc",
  operator: "operator-key-0123456789-0123456789-a",
  admin: "admin-key-0123456789-0123456789-abcd",
};

/** Entries for keys. */
export function entriesOf(keys: Readonly<Record<string, string>> = TEST_KEYS): ApiKey[] {
  return Object.entries(keys).map(([role, key]) => ({
    name: `${role}-name`,
    role: role as Role,
    digest: digestOf(key),
  }));
}

/** A request. */
export interface Ask {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, a string as it is. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** An answer with its body. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The JSON of the body; `undefined` if it is none. */
  // deno-lint-ignore no-explicit-any
  readonly json: any;
}

/** A started API. Use it with `await using`. */
export interface TestApi extends AsyncDisposable {
  readonly api: Api;
  readonly url: string;
  readonly lines: ReturnType<typeof recordLog>["lines"];
  readonly metrics: ReturnType<typeof createMetrics>;
  /** The keys of the file; assign to change them. */
  keys: ParsedApiKeys;
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** An answer without its body read. */
  open(method: string, path: string, ask?: Ask): Promise<Response>;
}

/** Starts an API. Its keys come from a file, which is read again at once. */
export function startApi(
  redis: Pick<TestRedis, "client">,
  { operations, keys = entriesOf(), ...options }:
    & { operations: readonly AnyOperation[]; keys?: readonly ApiKey[]; mostStaying?: number; portClock?: Clock }
    & Partial<Omit<ApiOptions, "keys">>,
): TestApi {
  const { log, lines } = recordLog(), metrics = createMetrics("alerter", []), clock = options.clock ?? SYSTEM_CLOCK;
  const file = { keys: { ok: true, keys } as ParsedApiKeys };
  // Each look is a second later, so that a change counts at once.
  let looks = 0;
  const hasty = { ...clock, monotonicMs: () => ++looks * 1_000 };
  const client = redis.client({ maxRetriesPerRequest: 0, commandTimeout: 2_000 });
  const api = new Api({
    ...{ operations, metrics, log, clock, version: "1.2.3", proxy: null, corsOrigins: [], feeds: [] },
    mostEventClients: 200,
    contextFor: (call) => call,
    keys: new KeyRing({ clock: hasty, log, fixed: [], readFile: () => file.keys }),
    store: new ApiStore(client),
    ...options,
  });
  const server = startPort({
    ...{ clock: options.portClock ?? SYSTEM_CLOCK, log, graceMs: 100 },
    ...{ portVariable: "PORT", handler: api.handler, mostStaying: options.mostStaying ?? 16 },
  });
  const url = `http://127.0.0.1:${server.port}`;
  return {
    ...{ api, url, lines, metrics, ...createAsk(url) },
    get keys() {
      return file.keys;
    },
    set keys(value) {
      file.keys = value;
    },
    async [Symbol.asyncDispose]() {
      await api.stop();
      await server.stop();
      await closeClient(client); // a test may end before it is connected
      watchOutput("metrics of the API", await metrics.render());
    },
  };
}

/** Functions that ask a server; all answers pass the net. */
export function createAsk(url: string): Pick<TestApi, "ask" | "open"> {
  const open = (method: string, path: string, { key, headers = {}, body, signal }: Ask = {}) =>
    fetch(url + path, {
      ...{ method, redirect: "manual" },
      headers: {
        ...(key === undefined ? {} : { "x-api-key": key }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  return {
    open,
    async ask(method, path, ask) {
      const response = await open(method, path, ask), text = await response.text();
      watchOutput(`answer to ${method} ${path}`, `${[...response.headers].join("\n")}\n${text}`);
      return { status: response.status, headers: response.headers, text, json: parse(text) };
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
