/** `monitoring/`: what compose.yaml's Prometheus, Alertmanager and Grafana read, by their own tools and against compose.yaml. */
import assert from "node:assert/strict";
import { filesIn, ROOT } from "../../scripts/child.ts";
import type { ComposeFile } from "../../testkit/compose.ts";
import { runProgram, startPrometheus, withProgram } from "../../testkit/prometheus.ts";
import { startRedis } from "../../testkit/redis.ts";
import { startService } from "../../testkit/service.ts";
import { waitUntil } from "../../testkit/wait.ts";
import { readYaml } from "../../testkit/yaml.ts";

const { services } = readYaml<ComposeFile>("compose.yaml")[0]!;
const PROMETHEUS = "monitoring/prometheus/prometheus.yml";
const ALERTMANAGER = "monitoring/alertmanager/alertmanager.yml";

withProgram(
  "promtool",
  "monitoring/prometheus: promtool takes configuration and rules",
  () => runProgram("promtool", "check", "config", PROMETHEUS),
);

withProgram(
  "amtool",
  "monitoring/alertmanager: amtool takes the configuration",
  () => runProgram("amtool", "check-config", ALERTMANAGER),
);

interface PrometheusFile {
  readonly rule_files: readonly string[];
  readonly scrape_configs: readonly { readonly job_name: string; readonly static_configs: readonly Targets[] }[];
  readonly alerting: { readonly alertmanagers: readonly { readonly static_configs: readonly Targets[] }[] };
}

interface Targets {
  readonly targets: readonly string[];
}

Deno.test("monitoring: every address in it is a service of compose.yaml, at its port", () => {
  const prometheus = readYaml<PrometheusFile>(PROMETHEUS)[0]!;
  const [grafana] = readYaml<{ datasources: { url: string }[] }>(
    "monitoring/grafana/provisioning/datasources/prometheus.yml",
  );
  const addresses = [
    ...[...prometheus.scrape_configs, ...prometheus.alerting.alertmanagers]
      .flatMap(({ static_configs }) => static_configs.flatMap(({ targets }) => targets)),
    ...grafana!.datasources.map(({ url }) => new URL(url).host),
  ].map((address) => address.replace("localhost", "prometheus"));
  assert.ok(addresses.includes("remediation:8086"));
  for (const address of addresses) {
    const [name = "", port] = address.split(":");
    const published = services[name]?.ports?.map((one) => one.split(":").at(-1)) ?? [];
    assert.ok(published.includes(port), `${address} is nowhere`);
  }
});

Deno.test("monitoring: whatever a service is told to read is mounted, and a file in its place is found", () => {
  const mounted = (service: string, path: string) => {
    const mounts = services[service]!.volumes!.map((volume) => volume.split(":"));
    const [source = "", target = ""] = mounts.find(([, to]) => path.startsWith(`${to}/`)) ?? [];
    return source.replace(/^\.\//, "") + path.slice(target.length);
  };
  assert.equal(mounted("prometheus", "/etc/prometheus/prometheus.yml"), PROMETHEUS);
  assert.equal(mounted("alertmanager", "/etc/alertmanager/alertmanager.yml"), ALERTMANAGER);
  const provisioning = mounted("grafana", services.grafana!.environment!.GF_PATHS_PROVISIONING!);
  assert.deepEqual(filesIn(provisioning, ".yml"), [
    "monitoring/grafana/provisioning/dashboards/mutt.yml",
    "monitoring/grafana/provisioning/datasources/prometheus.yml",
  ]);
  const [dashboards] = readYaml<{ providers: { options: { path: string } }[] }>(`${provisioning}/dashboards/mutt.yml`);
  assert.equal(mounted("grafana", dashboards!.providers[0]!.options.path), "monitoring/grafana/dashboards");
  // Relative to the file that says so, where Kubernetes' PrometheusRule is made from as well.
  assert.deepEqual(readYaml<PrometheusFile>(PROMETHEUS)[0]!.rule_files, ["rules/*.yml"]);
});

const SCRAPED = 'mutt_remediation_loops_total and on (job) up{job="mutt-remediation"} == 1';

withProgram("prometheus", "monitoring/prometheus: a real Prometheus under it scrapes the service", async () => {
  const redis = await startRedis();
  try {
    await using service = startService({ env: { REDIS_URL: redis.url } });
    const { metrics } = await service.ports();
    const dir = `${redis.dir}/prometheus`;
    await Deno.mkdir(dir);
    const config = Deno.readTextFileSync(ROOT + PROMETHEUS).replace("remediation:8086", `127.0.0.1:${metrics}`)
      .replace("rules/*.yml", `${ROOT}monitoring/prometheus/rules/*.yml`);
    await using prometheus = await startPrometheus(config, dir);
    await waitUntil(async () => (await prometheus.query(SCRAPED)).length === 1, {
      what: "Prometheus has scraped the service",
      timeoutMs: 30_000,
    });
  } finally {
    await redis.stop();
  }
});

Deno.test("monitoring/alertmanager: what silences others, and what is silenced, are alerts that there are", () => {
  const { inhibit_rules } = readYaml<{ inhibit_rules: { source_matchers: string[]; target_matchers: string[] }[] }>(
    ALERTMANAGER,
  )[0]!;
  const rules = readYaml<{ groups: { rules: { alert: string; labels: Record<string, string> }[] }[] }>(
    "monitoring/prometheus/rules/remediation.yml",
  )[0]!.groups.flatMap(({ rules }) => rules);
  const matchers = inhibit_rules.flatMap((
    { source_matchers, target_matchers },
  ) => [...source_matchers, ...target_matchers]);
  assert.ok(matchers.length >= 4);
  for (const matcher of matchers) {
    const [, label = "", values = ""] = /^(\w+) (?:=|!=|=~) "?([\w|]+)"?$/.exec(matcher) ?? [];
    const known = rules.map(({ alert, labels }) => label === "alertname" ? alert : labels[label]);
    for (const value of values.split("|")) assert.ok(known.includes(value), matcher);
  }
});
