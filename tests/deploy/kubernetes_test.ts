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

Deno.test("k8s/remediation-deployment.yaml: takes the place of MUTT's Deployment, and of none of its other objects", () => {
  for (const { metadata } of [...MANIFEST_OBJECTS, ...SECRETS]) {
    assert.ok(!NAMES_OF_MUTT.includes(metadata?.name ?? ""), metadata?.name);
  }
  // A selector cannot be changed: with another one, kubectl apply over MUTT's Deployment would be refused.
  const { selector } = pick(MANIFEST_OBJECTS, "Deployment").spec!;
  assert.deepEqual(selector, { matchLabels: { app: "mutt", component: "remediation" } });
});

Deno.test("k8s/remediation-deployment.yaml: names this version", () => {
  assert.equal(podOf(MANIFEST_OBJECTS).container.image, `mutt-remediation:${denoJson.version}`);
  for (const { metadata } of MANIFEST_OBJECTS) assert.equal(metadata?.labels?.version, `v${denoJson.version}`);
});

Deno.test("k8s/remediation-deployment.yaml: gives the pod no rights, and limits", () => {
  const { spec, container } = podOf(MANIFEST_OBJECTS);
  assert.deepEqual(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  assert.equal(spec.securityContext?.runAsNonRoot, true);
  assert.equal(spec.securityContext?.seccompProfile?.type, "RuntimeDefault");
  assert.equal(spec.automountServiceAccountToken, false);
  assert.ok(container.resources?.limits?.memory && container.resources.requests?.cpu);
});

Deno.test({
  name: `k8s/overlays/ha: always keeps one of two replicas running${SKIP}`,
  ignore: base === undefined,
  fn: async () => {
    const objects = await render("overlays/ha");
    const { replicas, strategy } = pick(objects, "Deployment").spec!;
    assert.deepEqual([replicas, strategy?.rollingUpdate?.maxUnavailable], [2, 0]);
    assert.equal(pick(objects, "PodDisruptionBudget").spec?.maxUnavailable, 1);
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

Deno.test("k8s/ingress-example.yaml: leads to the API of the Service, and lets the controller reach the pods", () => {
  const example = readYaml<KubeObject>("k8s/ingress-example.yaml");
  const service = pick(MANIFEST_OBJECTS, "Service"), { container, labels } = podOf(MANIFEST_OBJECTS);
  const backends = pick(example, "Ingress").spec!.rules!.flatMap(({ http }) =>
    http!.paths.map(({ backend }) => backend)
  );
  assert.deepEqual(backends, [{ service: { name: service.metadata!.name, port: { name: "api" } } }]);
  assert.ok(service.spec!.ports!.some(({ name, targetPort }) => name === "api" && targetPort === "api"));
  const policy = pick(example, "NetworkPolicy"), opened = policy.spec!.ingress!.flatMap(({ ports }) => ports ?? []);
  assert.notEqual(
    policy.metadata!.name,
    pick(MANIFEST_OBJECTS, "NetworkPolicy").metadata!.name,
    "it would replace ours",
  );
  assert.deepEqual(opened.map(({ port }) => port), ["api"]);
  assert.ok(container.ports!.some(({ name }) => name === "api"));
  for (const [key, value] of Object.entries(policy.spec!.podSelector!.matchLabels!)) assert.equal(labels[key], value);
  for (const { metadata } of example) assert.equal(metadata!.namespace, "mutt");
});

/** Every folder that is rendered; the last one is all there is, on top of each other. */
const FOLDERS = ["base", "overlays/ha", "overlays/monitoring", "../tests/deploy/everything"];
/** The Secrets of what only the last one has. */
const MORE_SECRETS = readYaml<ISecret>("k8s/components/notify/secret-example.yaml");

for (const folder of FOLDERS) {
  const secrets = folder === FOLDERS.at(-1) ? [...SECRETS, ...MORE_SECRETS] : SECRETS;
  Deno.test({
    name: `k8s/${folder}: no object refers to what is not there${SKIP}`,
    ignore: base === undefined,
    fn: async () => assert.deepEqual(findBrokenReferences(await render(folder), secrets), []),
  });
}

/** One for each kind of reference, so that the check above cannot pass by finding nothing. */
const BREAKAGES: readonly [problem: string, break_: (objects: KubeObject[], secrets: ISecret[]) => void][] = [
  ["Service is in namespace default", (all) => pick(all, "Service").metadata!.namespace = "default"],
  ["Service selects by app in vain", (all) => pick(all, "Service").spec!.selector!.app = "mutt-remediation"],
  ["startupProbe names port http", (all) => podOf(all).container.startupProbe!.httpGet!.port = "http"],
  ["REDIS_HOSTS is read by nobody", (all) => pick(all, "ConfigMap").data!.REDIS_HOSTS = "redis"],
  ["no Secret has REDIS_PASS_CURRENT", (_, secrets) => delete secrets[0]!.stringData!.REDIS_PASS_CURRENT],
  ["no volume is called certificates", (all) => podOf(all).container.volumeMounts![0]!.name = "certificates"],
  ["killed before it has stopped", (all) => podOf(all).spec.terminationGracePeriodSeconds = 20],
];

Deno.test("findBrokenReferences: sees a broken reference of each kind", () => {
  for (const [problem, break_] of BREAKAGES) {
    const objects = structuredClone(MANIFEST_OBJECTS), secrets = structuredClone(SECRETS);
    break_(objects, secrets);
    assert.ok(findBrokenReferences(objects, secrets).includes(problem), problem);
  }
});
