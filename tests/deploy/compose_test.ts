/** `compose.yaml`: what must hold in it. Where compose is there, it reads the file too. */
import assert from "node:assert/strict";
import { ROOT } from "../../scripts/child.ts";
import { commandOf, type ComposeFile, findComposeProblems, startedWith } from "../../testkit/compose.ts";
import { readYaml } from "../../testkit/yaml.ts";
import denoJson from "../../deno.json" with { type: "json" };

const FILE = readYaml<ComposeFile>("compose.yaml")[0]!;
/** The words of compose's specification that this file uses; compose refuses any other, so a slip here is a file that does not start. */
const WORDS: Readonly<Record<"file" | "service" | "healthcheck", readonly string[]>> = {
  file: ["name", "services", "networks", "volumes"],
  service: [
    ...["build", "cap_drop", "command", "container_name", "depends_on", "deploy", "entrypoint", "environment"],
    ...["healthcheck", "image", "init", "logging", "networks", "ports", "profiles", "read_only", "restart"],
    ...["security_opt", "stop_grace_period", "tmpfs", "user", "volumes"],
  ],
  healthcheck: ["test", "interval", "timeout", "retries", "start_period"],
};

function findUnknownWords(file: ComposeFile): string[] {
  const unknown = (value: object, known: keyof typeof WORDS) =>
    Object.keys(value).filter((word) => !WORDS[known].includes(word) && !word.startsWith("x-"));
  return [
    ...unknown(file, "file"),
    ...Object.values(file.services).flatMap((service) => [
      ...unknown(service, "service"),
      ...unknown(service.healthcheck ?? {}, "healthcheck"),
    ]),
  ];
}

Deno.test("compose.yaml: uses no word that compose does not know", () => {
  assert.deepEqual(findUnknownWords(FILE), []);
  const broken = structuredClone(FILE);
  Object.assign(broken.services.redis!, { health_check: {} });
  Object.assign(broken, { service: {} });
  assert.deepEqual(findUnknownWords(broken), ["service", "health_check"]);
});

Deno.test("compose.yaml: one command brings Redis, a mock Moogsoft and the service", () => {
  assert.deepEqual(startedWith(FILE, "remediation").sort(), ["mock-moog", "redis", "remediation"]);
  const { container_name, build, ports } = FILE.services.remediation!;
  assert.deepEqual({ container_name, target: build?.target }, {
    container_name: "mutt-remediation",
    target: "remediation",
  });
  assert.deepEqual(ports?.map((port) => port.split(":").at(-1)), ["8086", "8087", "8088"]);
  assert.equal(FILE.networks?.["mutt-network"]?.name, "mutt-network");
});

Deno.test("compose.yaml: the profile demo adds a generator and monitoring, and nothing else needs a profile", () => {
  const profiles = Object.groupBy(Object.entries(FILE.services), ([, { profiles = [] }]) => profiles.join());
  const names = (profile: string) => profiles[profile]?.map(([name]) => name).sort();
  assert.deepEqual(Object.keys(profiles).sort(), ["", "demo"]);
  assert.deepEqual(names(""), ["mock-moog", "redis", "remediation"]);
  assert.deepEqual(names("demo"), ["alertmanager", "generator", "grafana", "prometheus"]);
});

Deno.test("compose.yaml: the service drains at full speed, as user 1000, in this version", () => {
  const { environment, user, image } = FILE.services.remediation!;
  assert.equal(environment?.REMEDIATION_BATCH_SIZE, "0");
  assert.equal(user, "1000:1000");
  assert.equal(image, `mutt-remediation:${denoJson.version}`);
});

Deno.test("compose.yaml: whatever runs a file of demo/ runs one that is there", () => {
  const files = Object.values(FILE.services).flatMap((one) =>
    commandOf(one).filter((word) => word.startsWith("demo/"))
  );
  assert.deepEqual(files, ["demo/mock_moog.ts", "demo/feed.ts"]);
  for (const file of files) assert.ok(Deno.statSync(ROOT + file).isFile);
});

Deno.test("findComposeProblems: finds none in compose.yaml", () => {
  assert.deepEqual(findComposeProblems(FILE), []);
});

const BREAKAGES: [problem: string, break_: (services: ComposeFile["services"]) => void][] = [
  ["redis may write to its root", ({ redis }) => redis!.read_only = false],
  ["redis keeps capabilities", ({ redis }) => redis!.cap_drop = ["NET_RAW"]],
  ["redis may gain privileges", ({ redis }) => delete redis!.security_opt],
  ["redis is not restarted", ({ redis }) => redis!.restart = "no"],
  ["redis may fill the disk with logs", ({ redis }) => delete redis!.logging],
  ["redis has no limits", ({ redis }) => delete redis!.deploy!.resources!.limits!.memory],
  ["redis is on another network", ({ redis }) => redis!.networks = ["default"]],
  ["redis runs redis:7-alpine, which is not pinned", ({ redis }) => redis!.image = "redis:7-alpine"],
  ["remediation is built without a target", ({ remediation }) => delete remediation!.build!.target],
  ["remediation cannot know when mock-moog is healthy", (services) => delete services["mock-moog"]!.healthcheck],
  ["redis mounts a volume data of nobody", ({ redis }) => redis!.volumes = ["data:/data"]],
  ["grafana mounts ./grafana, which is not there", ({ grafana }) => grafana!.volumes = ["./grafana:/x:ro"]],
  ["grafana may write to ./monitoring", ({ grafana }) => grafana!.volumes = ["./monitoring:/x"]],
  ["redis publishes 6379:6379", ({ redis }) => redis!.ports = ["6379:6379"]],
  [
    "remediation sets REDIS_HOSTS, which nobody reads",
    ({ remediation }) => remediation!.environment!.REDIS_HOSTS = "x",
  ],
  ["remediation is killed before it has stopped", ({ remediation }) => remediation!.stop_grace_period = "20s"],
];

for (const [problem, break_] of BREAKAGES) {
  Deno.test(`findComposeProblems: sees that ${problem}`, () => {
    const broken = structuredClone(FILE);
    break_(broken.services);
    assert.deepEqual(findComposeProblems(broken), [problem]);
  });
}

/** Compose itself needs no engine to say what it understood. */
async function compose(...args: string[]): Promise<Deno.CommandOutput | undefined> {
  for (const [program, ...first] of [["docker", "compose"], ["docker-compose"]] as [string, ...string[]][]) {
    try {
      const output = await new Deno.Command(program, { args: [...first, ...args], cwd: ROOT }).output();
      if (output.success) return output;
    } catch {
      // Not this one.
    }
  }
}

const version = new TextDecoder().decode((await compose("version", "--short"))?.stdout).trim();
const hasCompose = /^v?(2|[3-9]|\d\d)\./.test(version);
Deno.test({
  name: `compose.yaml: compose itself reads the same services out of it${
    hasCompose ? "" : " (ignored: docker compose v2 is not there)"
  }`,
  ignore: !hasCompose,
  fn: async () => {
    const output = await compose("--profile", "demo", "config", "--format", "json");
    assert.ok(output, "docker compose config failed");
    const read = JSON.parse(new TextDecoder().decode(output.stdout)) as ComposeFile;
    assert.deepEqual(Object.keys(read.services).sort(), Object.keys(FILE.services).sort());
    for (const [name, { environment, command }] of Object.entries(read.services)) {
      assert.deepEqual(environment ?? {}, FILE.services[name]!.environment ?? {}, name);
      assert.deepEqual(command ?? [], commandOf(FILE.services[name]!), name);
    }
  },
});
