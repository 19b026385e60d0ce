/**
 * What `compose.yaml` starts, started here as processes: the same commands and environments, with other addresses. No engine is
 * needed, and nothing is said about images.
 */
import assert from "node:assert/strict";
import { FEED_MIX } from "../../demo/feed.ts";
import { generateDeadLetters } from "../../testkit/mutt/dead_letters.ts";
import { ROOT } from "../../scripts/child.ts";
import { commandOf, type ComposeFile, type ComposeService } from "../../testkit/compose.ts";
import { startRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { readYaml } from "../../testkit/yaml.ts";
import { freePort } from "../../scripts/free_port.ts";

const { services } = readYaml<ComposeFile>("compose.yaml")[0]!;
const service = (name: string): ComposeService => services[name]!;

/** Everywhere a message can be before it is delivered; the DLQ and the dead list first. */
const LISTS = ["mutt:dlq:alerter", "mutt:dlq:dead", "mutt:ingest_queue", "mutt:processing:alerter:demo"];

/** Options of a command line as lines of redis.conf. */
function toRedisConfig([, ...options]: readonly string[]): string[] {
  return options.join(" ").split(/ ?--/).filter((line) => line !== "");
}

/** What is called by name in compose's network, and is somewhere else here. */
type Addresses = Readonly<Record<string, string>>;

function here(text: string, addresses: Addresses): string {
  return Object.entries(addresses).reduce((changed, [from, to]) => changed.replaceAll(from, to), text);
}

function environmentHere({ environment = {} }: ComposeService, addresses: Addresses): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, here(withDefaults(String(value)), addresses)]),
  );
}

/** The value that Compose gives where the variables that it may come from are not set. */
function withDefaults(value: string): string {
  return value.replace(/\$\{\w+:-([^}]*)\}/g, "$1");
}

/** Starts a command of Deno under its own environment only. Disposing of it kills it. */
function startDeno(command: readonly string[], env: Record<string, string>) {
  const [program, ...args] = command;
  assert.equal(program, "deno");
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    clearEnv: true,
    env: { ...env, HOME: Deno.env.get("HOME") ?? "/", NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  return {
    async stop(): Promise<number> {
      child.kill("SIGTERM");
      return (await child.status).code;
    },
    status: child.status,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    },
  };
}

Deno.test("compose.yaml: its services, started as processes, become healthy and drain what the generator feeds", async () => {
  const redis = await startRedis({ config: toRedisConfig(commandOf(service("redis"))) });
  try {
    const moogPort = freePort();
    const addresses = {
      "redis:6379": `127.0.0.1:${redis.port}`,
      "mock-moog:8888": `127.0.0.1:${moogPort}`,
      "127.0.0.1:8888": `127.0.0.1:${moogPort}`,
    };
    const moog = service("mock-moog");
    await using mock = startDeno(commandOf(moog), { ...environmentHere(moog, addresses), PORT: String(moogPort) });
    const [, ...check] = moog.healthcheck!.test.map((word) => here(word, addresses));
    await waitUntil(async () => (await startDeno(check, {}).status).success, {
      what: "the mock's own health check is content",
      timeoutMs: 20_000,
    });

    await using remediation = startService({
      env: {
        ...environmentHere(service("remediation"), addresses),
        REDIS_HOST: "127.0.0.1",
        REDIS_PORT: String(redis.port),
        HEALTH_PORT_REMEDIATION: "0",
        METRICS_PORT_REMEDIATION: "0",
        REMEDIATION_INTERVAL: "1", // a poison message takes four cycles
      },
    });
    const { health } = await remediation.ports();
    const [, , ...args] = service("remediation").healthcheck!.test;
    const asked = { REDIS_HOST: "", REMEDIATION_BIND_ADDRESS: "0.0.0.0", HEALTH_PORT_REMEDIATION: String(health) };
    await waitUntil(async () => {
      await using question = startService({ args, env: asked });
      return (await question.exit).code === 0;
    }, { what: "the service's own health check is content", timeoutMs: 20_000 });

    const generator = service("generator");
    await using feed = startDeno(commandOf(generator), environmentHere(generator, addresses));
    const count = Number(generator.environment!.FEED_MESSAGES);
    const fates = Object.groupBy(generateDeadLetters({ count, mix: FEED_MIX }), ({ fate }) => fate);
    const [poison, hopeless] = [fates.poison!.length, fates.malformed!.length + fates.unreadable!.length];
    const lengths = () => Promise.all(LISTS.map((list) => client.llen(list)));
    const client = redis.client();
    await waitUntil(async () => {
      const found = await lengths(), [dlq = 0, dead = 0] = found;
      // As few in the DLQ may also be good ones, while poison is on its way.
      return dead >= hopeless && dlq <= poison && found.reduce((sum, length) => sum + length) <= poison + hopeless;
    }, { what: "nothing is left but poison", timeoutMs: 25_000 }); // the generator adds more after 30 s
    const { count: probes } = await (await fetch(`http://127.0.0.1:${moogPort}/stats`)).json();
    assert.ok(probes >= 1, "Moogsoft was never asked");

    remediation.signal("SIGTERM");
    assert.deepEqual(await remediation.exit, { code: 0, signal: null });
    await waitUntil(async () => (await client.llen("mutt:ingest_queue")) === 0, {
      what: "the alerter has nothing to do",
    });
    assert.equal(await feed.stop(), 0);
    assert.equal(await mock.stop(), 0);
    const left = (await lengths()).reduce((sum, length) => sum + length);
    assert.equal(left, poison + hopeless, "every other message was delivered, and none is lost");
  } finally {
    await redis.stop();
  }
});
