/** The image, as an engine runs it. Without the task that builds it (`deno task test:image`) there is nothing to test. */
import assert from "node:assert/strict";
import denoJson from "../../deno.json" with { type: "json" };
import { withoutStamps } from "../../src/message/envelope.ts";
import { AS_DEPLOYED, Container, DEMO_IMAGE, engine, IMAGE, inspect, WRITABLE } from "../../testkit/container.ts";
import { OperationsScene, walkPage } from "../../testkit/operations_scene.ts";
import { startRedis, type TestRedis } from "../../testkit/redis.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { freePort } from "../../scripts/free_port.ts";

const DLQ = "mutt:dlq:alerter", TARGET = "mutt:ingest_queue", DEAD = "mutt:dlq:dead";
const MESSAGES = 5_000;

function test(name: string, body: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name, ignore: IMAGE === "", fn: body });
}

function message(id: number): string {
  return `{"timestamp": "2026-11-20T10:00:00Z", "hostname": "h${id}", "message": "m", "n": 1.0, "_retry_count": 4}`;
}

/** Undoes what replay adds and cuts, the alerter's counter included. */
function bare(bytes: Uint8Array): string {
  return new TextDecoder().decode(withoutStamps(bytes, ["_retry_count"]));
}

/** As fast as it goes, and on ports that nothing else on this machine has. */
function envFor(redis: TestRedis): Record<string, string> {
  return {
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redis.port),
    REMEDIATION_BIND_ADDRESS: "127.0.0.1",
    METRICS_PORT_REMEDIATION: String(freePort()),
    HEALTH_PORT_REMEDIATION: String(freePort()),
    REMEDIATION_INTERVAL: "1",
    REMEDIATION_BATCH_SIZE: "0",
    REMEDIATION_MAX_PER_SECOND: "0",
    REMEDIATION_TARGET_MAX_DEPTH: "0",
  };
}

test("image: says who runs it, what it listens on and where it comes from", async () => {
  const { Config: { User, ExposedPorts, Labels } } = await inspect("image", IMAGE);
  assert.equal(User, "1000:1000");
  assert.deepEqual(Object.keys(ExposedPorts ?? {}).sort(), ["8086/tcp", "8087/tcp", "8088/tcp"]);
  const label = (name: string) => Labels[`org.opencontainers.image.${name}`];
  assert.equal(label("title"), "mutt-remediation");
  assert.equal(label("version"), denoJson.version);
  assert.equal(label("revision"), Deno.env.get("MUTT_REMEDIATION_COMMIT"));
  assert.equal(label("licenses"), "MIT");
});

test("image: holds the binary of the commit that it was built from", async () => {
  const { stdout } = await engine("run", "--rm", ...AS_DEPLOYED, IMAGE, "version");
  assert.equal(stdout, `mutt-remediation ${denoJson.version} (${Deno.env.get("MUTT_REMEDIATION_COMMIT")})\n`);
});

test("image: has no shell", async () => {
  for (const shell of ["/bin/sh", "/bin/bash", "/busybox/sh"]) {
    const { code } = await engine("run", "--rm", ...AS_DEPLOYED, `--entrypoint=${shell}`, IMAGE, "-c", "exit 0");
    assert.equal(code, 127, shell);
  }
});

test("image: drains a queue on a read-only root, without capabilities, and ends with 0 on SIGTERM", async () => {
  const redis = await startRedis();
  try {
    const sent = Array.from({ length: MESSAGES }, (_, i) => message(i));
    await redis.seedList(DLQ, [...sent, "not json"]);
    const env = envFor(redis);
    await using container = await Container.start({ flags: AS_DEPLOYED, env });
    const { Config, State: { Pid } } = await container.inspect();

    await waitUntil(async () => await redis.depth(DLQ) === 0, { what: "the DLQ is empty", timeoutMs: 30_000 })
      .catch(async (error) => assert.fail(`${error.message}\n${await container.logs()}`));
    assert.deepEqual(
      (await redis.readList(TARGET)).map(bare),
      sent.map((text) => bare(new TextEncoder().encode(text))),
    );
    assert.equal((await redis.readList(DEAD)).length, 1);

    const status = await Deno.readTextFile(`/proc/${Pid}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1];
    assert.equal(field("Uid"), "1000");
    assert.equal(field("Gid"), "1000");
    assert.equal(field("CapBnd"), "0000000000000000");
    assert.equal(field("NoNewPrivs"), "1");

    const [form, ...command] = Config.Healthcheck!.Test;
    assert.equal(form, "CMD", "there is no shell for the other form");
    const healthy = await container.exec(command);
    assert.deepEqual([healthy.code, healthy.stderr], [0, ""]);
    assert.match(healthy.stdout, /^OK\nalerter: Nothing to do: the DLQ is empty; .*\n$/);
    const response = await fetch(`http://127.0.0.1:${env.HEALTH_PORT_REMEDIATION}/health`);
    assert.deepEqual([response.status, await response.text()], [200, "OK"]);

    await redis.kill("SIGKILL");
    await waitUntil(async () => (await container.exec(command)).code === 1, {
      what: "the health check tells that Redis is gone",
      timeoutMs: 20_000,
    });

    await container.stop();
    const { State: { ExitCode, OOMKilled } } = await container.inspect();
    assert.deepEqual({ ExitCode, OOMKilled }, { ExitCode: 0, OOMKilled: false });
    assert.deepEqual(await container.changes(), []);
  } finally {
    await redis.stop();
  }
});

test("image: writes nothing even where it could", async () => {
  const redis = await startRedis();
  try {
    await redis.seedList(DLQ, [message(1)]);
    await using container = await Container.start({ flags: WRITABLE, env: envFor(redis), args: ["once"] });
    assert.equal(await container.exit(), 0, await container.logs());
    assert.equal((await redis.readList(TARGET)).length, 1);
    assert.deepEqual(await container.changes(), []);
  } finally {
    await redis.stop();
  }
});

test("image: every task of docs/operations.md is done by the program alone, without shell, redis-cli or jq", async (t) => {
  await using scene = await OperationsScene.open(async (settings) => {
    const ports = { health: freePort(), metrics: freePort(), api: freePort() };
    const container = await Container.start({
      // As the folder of the local key is mounted in Kubernetes.
      flags: [...AS_DEPLOYED, "--tmpfs=/run/mutt-remediation:mode=1777"],
      env: {
        ...settings,
        ...{ HEALTH_PORT_REMEDIATION: String(ports.health), METRICS_PORT_REMEDIATION: String(ports.metrics) },
        REMEDIATION_API_PORT: String(ports.api),
      },
    });
    const isUp = () => fetch(`http://127.0.0.1:${ports.health}/health`).then((response) => response.ok, () => false);
    await waitUntil(isUp, { what: "the container is healthy", timeoutMs: 30_000 })
      .catch(async (error) => assert.fail(`${error.message}\n${await container.logs()}`));
    const [program] = (await inspect("image", IMAGE)).Config.Entrypoint!;
    return {
      ...{ healthPort: ports.health, metricsPort: ports.metrics },
      run: async (args, env) => {
        const { code, stdout: out, stderr: err } = await container.exec([program!, ...args], env);
        return { code, out, err };
      },
      [Symbol.asyncDispose]: () => container[Symbol.asyncDispose](),
    };
  });
  await walkPage(t, scene);
});

test("demo image: runs the mock Moogsoft that compose.yaml has, on a read-only root", async () => {
  const port = String(freePort());
  await using container = await Container.start({
    image: DEMO_IMAGE,
    flags: AS_DEPLOYED,
    env: { PORT: port },
    args: ["deno", "run", "--no-config", "--allow-net", "--allow-env=PORT", "demo/mock_moog.ts"],
  });
  assert.equal((await inspect("image", DEMO_IMAGE)).Config.User, "1000:1000");
  const post = () =>
    fetch(`http://127.0.0.1:${port}/webhook`, { method: "POST", body: "{}" }).then((response) => response.text())
      .catch(() => undefined);
  const answer = await waitUntil(post, { what: "the mock takes an event", timeoutMs: 20_000 })
    .catch(async (error) => assert.fail(`${error.message}\n${await container.logs()}`));
  assert.equal(answer, `{"status":"accepted"}`);
  await container.stop();
  assert.equal((await container.inspect()).State.ExitCode, 0);
});
