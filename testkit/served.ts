/** The whole service in this process, with the API open: what its routes do is what a user gets. */
import { digestOf } from "../src/api/key_ring.ts";
import { runService } from "../src/app/service.ts";
import { DEFAULT_SETTINGS, type Settings } from "../src/config/fields.ts";
import { SYSTEM_CLOCK } from "../src/runtime/clock.ts";
import { SYSTEM_RANDOM } from "../src/runtime/random.ts";
import { Secret } from "../src/runtime/secret.ts";
import { type Answer, type Ask, createAsk, TEST_KEYS } from "./api.ts";
import { recordLog } from "./recorded_log.ts";
import { waitUntil } from "./wait.ts";

/** A started service. Use it with `await using`. */
export interface Served extends AsyncDisposable {
  readonly url: string;
  readonly lines: ReturnType<typeof recordLog>["lines"];
  /** The port of this name in the log's line `listening`. */
  port(name: "api" | "health" | "metrics"): number | undefined;
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  open(method: string, path: string, ask?: Ask): Promise<Response>;
}

/** Entries of the keys, as `REMEDIATION_API_KEYS` has them. */
export function keysSetting(keys: Readonly<Record<string, string>> = TEST_KEYS): Secret {
  return new Secret(Object.entries(keys).map(([role, key]) => `${role}-name:${role}:${digestOf(key)}`).join(","));
}

/** Starts the service with the source `alerter` and the keys of the tests, and waits until it has reached Redis. */
export async function startServed(redis: { readonly port: number }, settings: Partial<Settings> = {}): Promise<Served> {
  const stop = new AbortController(), { log, lines } = recordLog();
  const running = runService({
    settings: {
      ...DEFAULT_SETTINGS,
      ...{ redisHost: "127.0.0.1", redisPort: redis.port, bindAddress: "127.0.0.1", sources: ["alerter"] },
      ...{ metricsPort: 0, healthPort: 0, apiPort: 0, moogHealthCheckEnabled: false, consumerGate: "off" },
      ...{ localKeyPath: "none", apiKeys: keysSetting(), ...settings },
    },
    ...{ log, clock: SYSTEM_CLOCK, random: SYSTEM_RANDOM, signal: stop.signal },
  });
  const listening = () => lines.find(({ event }) => event === "listening");
  await Promise.race([running, waitUntil(() => listening() !== undefined, { what: "the service listens" })]);
  const port = (name: string) => listening()?.fields?.[`${name}_port`] as number | undefined;
  const health = `http://127.0.0.1:${port("health")}/health`;
  const isConnected = async () => {
    const document = await (await fetch(health, { headers: { accept: "application/json" } })).json();
    return document.redis === "connected";
  };
  await waitUntil(isConnected, { what: "the service has reached Redis" });
  const url = `http://127.0.0.1:${port("api")}`;
  return {
    ...{ url, lines, port, ...createAsk(url) },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
