/** The files of `k8s/`: rendered, and every reference in them followed. */
import assert from "node:assert/strict";
import type { ISecret } from "kubernetes-models/v1";
import { ROOT } from "../../scripts/child.ts";
import { MANIFEST, renderFolder } from "../../scripts/manifest.ts";
import { findBrokenReferences, type KubeObject, pick, podOf } from "../../testkit/kubernetes.ts";
import { parseYaml, readYaml } from "../../testkit/yaml.ts";
import denoJson from "../../deno.json" with { type: "json" };

const MANIFEST_OBJECTS = readYaml<KubeObject>(MANIFEST);
const SECRETS = readYaml<ISecret>("k8s/secret-example.yaml");
/** Names of MUTT's objects that stay beside ours (contract §3.4, its k8s/ and deployments/kubernetes/). */
const NAMES_OF_MUTT = [
  ...["mutt-config", "mutt-secrets", "mutt-db-secret", "mutt-ingestor", "mutt-alerter", "mutt-moog-forwarder"],
  ...["mutt-webui", "mutt-retention-sa", "mutt-retention-role", "mutt-retention-rolebinding", "retention-cleanup"],
  ...["retention-cleanup-metrics", "partition-create", "redis", "postgres", "vault"],
];

const base = await renderFolder("base");
const SKIP = base === undefined ? " (ignored: neither kubectl nor kustomize is on PATH)" : "";

/** A rendered folder. Only for tests that are ignored where nothing renders. */
async function render(folder: string): Promise<KubeObject[]> {
  return parseYaml<KubeObject>(await renderFolder(folder) ?? "");
}

Deno.test({
  name: `k8s/remediation-deployment.yaml: is the base, rendered${SKIP}`,
  ignore: base === undefined,
  fn: () => assert.deepEqual(MANIFEST_OBJECTS, parseYaml(base!), "run: deno task generate"),
});

Deno.test("k8s/remediation-deployment.yaml: makes the objects that it must, and none that MUTT has", () => {
  const objects = MANIFEST_OBJECTS.map(({ kind, metadata }) => `${kind} ${metadata?.name}`).sort();
  assert.deepEqual(objects, [
    "ConfigMap mutt-remediation",
    "Deployment mutt-remediation",
    "NetworkPolicy mutt-remediation",
    "PodDisruptionBudget mutt-remediation-pdb",
    "Service mutt-remediation",
    "ServiceAccount mutt-remediation",
  ]);
  for (const { metadata } of [...MANIFEST_OBJECTS, ...SECRETS]) {
    assert.ok(!NAMES_OF_MUTT.includes(metadata?.name ?? ""), metadata?.name);
  }
});

Deno.test("k8s/remediation-deployment.yaml: has one replica, the original's selector, and this version", () => {
  const { replicas, strategy, selector } = pick(MANIFEST_OBJECTS, "Deployment").spec!;
  assert.deepEqual({ replicas, strategy }, { replicas: 1, strategy: { type: "Recreate" } });
  // A selector cannot be changed: with another one, kubectl apply over MUTT's Deployment would be refused.
  assert.deepEqual(selector, { matchLabels: { app: "mutt", component: "remediation" } });
  assert.equal(podOf(MANIFEST_OBJECTS).container.image, `mutt-remediation:${denoJson.version}`);
  for (const { metadata } of MANIFEST_OBJECTS) assert.equal(metadata?.labels?.version, `v${denoJson.version}`);
});

Deno.test("k8s/remediation-deployment.yaml: gives the pod no rights and little room", () => {
  const { spec, container } = podOf(MANIFEST_OBJECTS);
  assert.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  const { runAsNonRoot, runAsUser, seccompProfile } = spec.securityContext!;
  assert.deepEqual({ runAsNonRoot, runAsUser, seccompProfile }, {
    runAsNonRoot: true,
    runAsUser: 1000,
    seccompProfile: { type: "RuntimeDefault" },
  });
  assert.deepEqual(container.resources, {
    requests: { memory: "128Mi", cpu: "100m" },
    limits: { memory: "256Mi", cpu: "500m" },
  });
  const { automountServiceAccountToken, enableServiceLinks, terminationGracePeriodSeconds } = spec;
  assert.deepEqual({ automountServiceAccountToken, enableServiceLinks, terminationGracePeriodSeconds }, {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 60,
  });
});

Deno.test({
  name: `k8s/overlays/ha: replaces its two replicas one after the other, and keeps one while nodes are drained${SKIP}`,
  ignore: base === undefined,
  fn: async () => {
    const objects = await render("overlays/ha");
    const { replicas, strategy } = pick(objects, "Deployment").spec!;
    assert.deepEqual({ replicas, strategy }, {
      replicas: 2,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
    });
    assert.equal(pick(objects, "PodDisruptionBudget").spec?.maxUnavailable, 1);
    const spread = podOf(objects).spec.topologySpreadConstraints ?? [];
    assert.deepEqual(spread.map(({ topologyKey, whenUnsatisfiable }) => [topologyKey, whenUnsatisfiable]), [
      ["kubernetes.io/hostname", "ScheduleAnyway"],
      ["topology.kubernetes.io/zone", "ScheduleAnyway"],
    ]);
  },
});

Deno.test({
  name: `k8s/overlays/monitoring: adds a ServiceMonitor and every rule that Prometheus itself would read${SKIP}`,
  ignore: base === undefined,
  fn: async () => {
    const objects = await render("overlays/monitoring");
    const added = objects.filter(({ kind }) => !MANIFEST_OBJECTS.some((one) => one.kind === kind));
    assert.deepEqual(added.map(({ kind }) => kind).sort(), ["PrometheusRule", "ServiceMonitor"]);
    const groups = [...Deno.readDirSync(`${ROOT}monitoring/prometheus/rules`)].map(({ name }) => name).sort()
      .filter((name) => name.endsWith(".yml"))
      .flatMap((name) => readYaml<{ groups: unknown[] }>(`monitoring/prometheus/rules/${name}`)[0]!.groups);
    assert.deepEqual(pick(objects, "PrometheusRule").spec?.groups, groups);
  },
});

Deno.test("README.md: has the lines that MUTT's operators know", () => {
  const readme = Deno.readTextFileSync(`${ROOT}README.md`);
  for (
    const line of [
      `kubectl apply -f ${MANIFEST}`,
      "kubectl get pods -n mutt -l component=remediation",
      "kubectl logs -n mutt -l component=remediation -f",
      "docker compose up -d remediation",
      "docker compose logs -f remediation",
    ]
  ) assert.match(readme, new RegExp(`^${line}( |$)`, "m"));
});

/** Every folder that is rendered; the last one is all there is, on top of each other. */
const FOLDERS = ["base", "overlays/ha", "overlays/monitoring", "../tests/deploy/everything"];

for (const folder of FOLDERS) {
  Deno.test({
    name: `k8s/${folder}: no object refers to what is not there${SKIP}`,
    ignore: base === undefined,
    fn: async () => assert.deepEqual(findBrokenReferences(await render(folder), SECRETS), []),
  });
}

type Breakage = [problem: string, break_: (objects: KubeObject[], secrets: ISecret[]) => void];

const BREAKAGES: Breakage[] = [
  ["Service is in namespace default", (all) => pick(all, "Service").metadata!.namespace = "default"],
  ["Service is without MUTT's labels", (all) => delete pick(all, "Service").metadata!.labels!.component],
  ["Deployment selects by app in vain", (all) => pick(all, "Deployment").spec!.selector.matchLabels!.app = "other"],
  ["Service selects by app in vain", (all) => pick(all, "Service").spec!.selector!.app = "mutt-remediation"],
  ["PodDisruptionBudget selects everything", (all) => pick(all, "PodDisruptionBudget").spec!.selector = {}],
  ["NetworkPolicy selects everything", (all) => pick(all, "NetworkPolicy").spec!.podSelector = {}],
  ["Service names port metric", (all) => pick(all, "Service").spec!.ports![0]!.targetPort = "metric"],
  ["Service has port health moved", (all) => pick(all, "Service").spec!.ports![1]!.port = 80],
  ["NetworkPolicy names port 8086", (all) => pick(all, "NetworkPolicy").spec!.ingress![0]!.ports![0]!.port = 8086],
  ["startupProbe names port http", (all) => podOf(all).container.startupProbe!.httpGet!.port = "http"],
  ["port health is not listened on", (all) => podOf(all).container.env!.splice(2, 1)],
  ["REDIS_HOSTS is read by nobody", (all) => pick(all, "ConfigMap").data!.REDIS_HOSTS = "redis"],
  ["POD_NAME is set twice", (all) => pick(all, "ConfigMap").data!.POD_NAME = "x"],
  [
    "environment from ConfigMap mutt-config",
    (all) => podOf(all).container.envFrom![0]!.configMapRef!.name = "mutt-config",
  ],
  ["no Secret has REDIS_PASS_CURRENT", (_, secrets) => delete secrets[0]!.stringData!.REDIS_PASS_CURRENT],
  ["REDIS_URL is not used", (_, secrets) => secrets[0]!.stringData!.REDIS_URL = "redis://redis"],
  ["no Secret is called tls", (all) => podOf(all).spec.volumes![0]!.secret!.secretName = "tls"],
  [
    "no Secret brings /a/REDIS_URL",
    (all) => podOf(all).container.env!.push({ name: "REDIS_URL_FILE", value: "/a/REDIS_URL" }),
  ],
  ["no such ServiceAccount", (all) => podOf(all).spec.serviceAccountName = "default"],
  ["no volume is called certificates", (all) => podOf(all).container.volumeMounts![0]!.name = "certificates"],
  ["killed before it has stopped", (all) => podOf(all).spec.terminationGracePeriodSeconds = 20],
];

for (const [problem, break_] of BREAKAGES) {
  Deno.test(`findBrokenReferences: sees that ${problem}`, () => {
    const objects = structuredClone(MANIFEST_OBJECTS), secrets = structuredClone(SECRETS);
    break_(objects, secrets);
    const found = findBrokenReferences(objects, secrets);
    assert.ok(found.includes(problem), `found: ${found.join("; ") || "nothing"}`);
  });
}
