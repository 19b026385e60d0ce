/** The program under the environment that its pod gets: it takes every value, answers every probe, and works. */
import assert from "node:assert/strict";
import type { ISecret } from "kubernetes-models/v1";
import { parseNotify } from "../../src/config/notify_file.ts";
import { GATE_NAMES } from "../../src/gates/gate.ts";
import { MANIFEST, renderFolder } from "../../scripts/manifest.ts";
import { environmentOf, type KubeObject, pick, podOf, probesOf } from "../../testkit/kubernetes.ts";
import { startRedis, withRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { parseYaml, readYaml } from "../../testkit/yaml.ts";

const OBJECTS = readYaml<KubeObject>(MANIFEST);
const SECRETS = readYaml<ISecret>("k8s/secret-example.yaml");
const NOTIFY = "k8s/components/notify";
const PASSWORD = SECRETS[0]!.stringData!.REDIS_PASS_CURRENT!;

const everything = await renderFolder("../tests/deploy/everything");

/** What `config --json` says of an environment, ports and address as they stand there. */
async function configOf(env: Record<string, string>) {
  await using service = startService({ args: ["config", "--json"], env: { REMEDIATION_BIND_ADDRESS: "", ...env } });
  assert.equal((await service.exit).code, 0, service.stderr.join("\n"));
  const { settings, warnings } = JSON.parse(service.stdout.join(""));
  const origins = new Map(
    (settings as { variable: string; origin: string }[]).map((one) => [one.variable, one.origin]),
  );
  return { origins, warnings };
}

Deno.test("k8s/remediation-deployment.yaml: every variable sets something, with and without the Secret", async () => {
  for (const env of [environmentOf(OBJECTS), environmentOf(OBJECTS, SECRETS)]) {
    const { origins, warnings } = await configOf(env);
    assert.deepEqual(warnings, []);
    for (const [name, value] of Object.entries(env)) {
      assert.equal(origins.get(name), value === "" ? "default" : "environment", name);
    }
  }
});

Deno.test({
  name: `k8s/components/secret-files: the secrets are read from files${everything === undefined ? " (ignored)" : ""}`,
  ignore: everything === undefined,
  fn: async () => {
    const dir = await Deno.makeTempDir();
    try {
      const env = environmentOf(parseYaml<KubeObject>(everything!), SECRETS);
      const names = Object.keys(env).filter((name) => name.endsWith("_FILE"));
      for (const name of names) {
        const key = env[name]!.split("/").at(-1)!;
        env[name] = `${dir}/${key}`;
        await Deno.writeTextFile(env[name], SECRETS[0]!.stringData![key]!, { mode: 0o440 });
      }
      const { origins, warnings } = await configOf({ ...env, MOOG_API_KEY: "", REMEDIATION_NOTIFY_PATH: "" });
      assert.deepEqual(warnings, []);
      assert.deepEqual(names.map((name) => origins.get(name.replace(/_FILE$/, ""))), [
        "environment, REDIS_PASS_CURRENT_FILE",
        "environment, MOOG_API_KEY_FILE",
      ]);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: `k8s/components/notify: its file is valid, and names only what its Secret holds${
    everything === undefined ? " (ignored)" : ""
  }`,
  ignore: everything === undefined,
  fn: () => {
    const objects = parseYaml<KubeObject>(everything!), env = environmentOf(objects, SECRETS);
    const { container, spec } = podOf(objects);
    /** The objects whose keys are files in a folder of the pod. */
    const mountOf = (name: string) => container.volumeMounts!.find((mount) => mount.name === name)!.mountPath;
    assert.equal(env.REMEDIATION_NOTIFY_PATH, `${mountOf("notify")}/notify.yaml`);
    const volumes = new Map(spec.volumes!.map((volume) => [volume.name, volume]));
    const { configMap } = volumes.get("notify")!, [secret] = readYaml<ISecret>(`${NOTIFY}/secret-example.yaml`);
    const text = pick(objects, "ConfigMap", configMap!.name).data!["notify.yaml"]!;
    assert.equal(secret!.metadata?.name, volumes.get("notify-secrets")!.secret!.secretName);
    const parsed = parseNotify(text, {
      ...{ gates: GATE_NAMES, sources: ["alerter"] },
      readFile: (path) => {
        const [folder, key] = [path.slice(0, path.lastIndexOf("/")), path.slice(path.lastIndexOf("/") + 1)];
        assert.equal(folder, mountOf("notify-secrets"));
        return secret!.stringData![key]!;
      },
    });
    assert.deepEqual(parsed.ok ? parsed.warnings : parsed.problems, []);
  },
});

/** The pod's environment on this machine: another Redis, and any free ports. */
function environmentHere(redisPort: number): Record<string, string> {
  return {
    ...environmentOf(OBJECTS, SECRETS),
    REDIS_HOST: "127.0.0.1",
    REDIS_PORT: String(redisPort),
    HEALTH_PORT_REMEDIATION: "0",
    METRICS_PORT_REMEDIATION: "0",
  };
}

withRedis("k8s/remediation-deployment.yaml: check finds nothing wrong", {
  config: [`requirepass ${PASSWORD}`],
}, async (redis) => {
  await using service = startService({ args: ["check"], env: environmentHere(redis.port) });
  assert.deepEqual(await service.exit, { code: 0, signal: null }, service.stdout.join("\n"));
});

Deno.test("k8s/remediation-deployment.yaml: probes and scrapes are answered, and a lost Redis restarts nothing", async () => {
  const redis = await startRedis({ config: [`requirepass ${PASSWORD}`] });
  try {
    await using service = startService({ env: environmentHere(redis.port) });
    const ports = await service.ports();
    const ask = async (port: unknown, path = "/") => {
      const response = await fetch(`http://127.0.0.1:${ports[port as "health" | "metrics"]}${path}`);
      await response.body?.cancel();
      return response.status;
    };
    const { startupProbe, livenessProbe, readinessProbe } = probesOf(podOf(OBJECTS).container);
    const answers = async () => {
      const probes = [startupProbe, livenessProbe, readinessProbe].map((probe) => probe!.httpGet!);
      return await Promise.all(probes.map(({ port, path }) => ask(port, path)));
    };
    await waitUntil(async () => (await answers()).every((status) => status === 200), {
      what: "all probes are content",
    });
    await redis.kill("SIGKILL");
    await waitUntil(async () => (await answers())[2] === 503, { what: "it is not ready any more" });
    assert.deepEqual(await answers(), [200, 200, 503]);

    const annotations = pick(OBJECTS, "Deployment").spec!.template.metadata!.annotations!;
    assert.equal(await ask("metrics", annotations["prometheus.io/path"]), 200);
    const [monitor] = readYaml<KubeObject>("k8s/components/monitoring/servicemonitor.yaml");
    const [endpoint] = pick([monitor!], "ServiceMonitor").spec.endpoints!;
    assert.equal(await ask(endpoint!.port, endpoint!.path), 200);

    service.signal("SIGTERM");
    assert.deepEqual(await service.exit, { code: 0, signal: null });
  } finally {
    await redis.stop();
  }
});

const beside = await renderFolder("overlays/mutt");

/** Keys of MUTT's own `configmap.yaml` and `secrets-example.yaml`, with what has to be added before its forwarder starts. */
const MUTT_OBJECTS = {
  "mutt-config": {
    ...{ SERVER_PORT_ALERTER: "8081", REDIS_HOST: "redis.example", REDIS_PORT: "6380", REDIS_TLS_ENABLED: "false" },
    ...{ DB_HOST: "postgres", VAULT_ADDR: "https://vault:8200", VAULT_SECRETS_PATH: "secret/mutt/prod" },
    MOOG_WEBHOOK_URL: "https://moogsoft.example/webhook",
  },
  "mutt-secrets": {
    ...{ VAULT_ROLE_ID: "your-role-id", VAULT_SECRET_ID_FILE: "/etc/mutt/secrets/vault_secret_id" },
    ...{ REDIS_PASS_CURRENT: "dev-redis-pass", DB_PASS_CURRENT: "dev-db-pass" },
  },
} as const;

Deno.test({
  name: `k8s/overlays/mutt: reads MUTT's own ConfigMap and Secret, and ours wins${
    beside === undefined ? " (ignored)" : ""
  }`,
  ignore: beside === undefined,
  fn: async () => {
    const objects = parseYaml<KubeObject>(beside!);
    const { container } = podOf(objects);
    const names = (container.envFrom ?? []).map(({ configMapRef, secretRef }) => (configMapRef ?? secretRef)!.name);
    assert.deepEqual(names, ["mutt-config", "mutt-secrets", "mutt-remediation"]);
    const env = { ...MUTT_OBJECTS["mutt-config"], ...MUTT_OBJECTS["mutt-secrets"], ...environmentOf(objects) };
    const { origins, warnings } = await configOf({ ...env, MOOG_API_KEY: "", REMEDIATION_NOTIFY_PATH: "" });
    assert.deepEqual(warnings, []);
    const { REDIS_HOST, REDIS_PORT, MOOG_WEBHOOK_URL } = env;
    assert.deepEqual({ REDIS_HOST, REDIS_PORT, MOOG_WEBHOOK_URL }, {
      REDIS_HOST: "redis.example",
      REDIS_PORT: "6380",
      MOOG_WEBHOOK_URL: "https://moogsoft.example/webhook",
    });
    assert.equal(origins.get("REDIS_PASS_CURRENT"), "environment");
    assert.equal(origins.get("MOOG_API_KEY"), "Vault, asked at the start");
  },
});
