/** Renders Kubernetes objects and checks the references between them. */
import type { IPrometheusRule, IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import type { IDeployment } from "kubernetes-models/apps/v1";
import type { IIngress, INetworkPolicy } from "kubernetes-models/networking.k8s.io/v1";
import type { IPodDisruptionBudget } from "kubernetes-models/policy/v1";
import type { IConfigMap, IContainer, IPodSpec, ISecret, IService, IServiceAccount } from "kubernetes-models/v1";
import { DEFAULT_SETTINGS, knownVariables } from "../src/config/fields.ts";

/** Any Kubernetes object of this project. */
export type KubeObject =
  | IConfigMap
  | IDeployment
  | IIngress
  | INetworkPolicy
  | IPodDisruptionBudget
  | ISecret
  | IService
  | IServiceAccount
  | IServiceMonitor
  | IPrometheusRule;

/** Finds the only object of a kind, or the one with that name. @throws Error if there is none */
export function pick<K extends KubeObject["kind"]>(
  objects: readonly KubeObject[],
  kind: K,
  name?: string,
): Extract<KubeObject, { kind: K }> {
  const found = objects.filter((one) => one.kind === kind && (name === undefined || one.metadata?.name === name));
  if (found.length !== 1) throw new Error(`There are ${found.length} of ${kind} ${name ?? ""}`);
  return found[0] as Extract<KubeObject, { kind: K }>;
}

/** Pod and container of the Deployment. */
export function podOf(objects: readonly KubeObject[]): { spec: IPodSpec; container: IContainer; labels: Labels } {
  const { template } = pick(objects, "Deployment").spec!;
  return { spec: template.spec!, container: template.spec!.containers[0]!, labels: template.metadata?.labels ?? {} };
}

/**
 * Builds the container's environment: the ConfigMap, overridden by its own variables, with the keys of `secrets`. The
 * pod's name is `mutt-remediation-0`.
 */
export function environmentOf(
  objects: readonly KubeObject[],
  secrets: readonly ISecret[] = [],
): Record<string, string> {
  const { container } = podOf(objects);
  const configMaps = objects.filter((one): one is IConfigMap => one.kind === "ConfigMap");
  const maps = (container.envFrom ?? [])
    .map(({ configMapRef }) => configMaps.find(({ metadata }) => metadata?.name === configMapRef?.name)?.data ?? {});
  const own = (container.env ?? []).flatMap(({ name, value, valueFrom }): [string, string][] => {
    if (valueFrom?.fieldRef?.fieldPath === "metadata.name") return [[name, "mutt-remediation-0"]];
    const reference = valueFrom?.secretKeyRef;
    const text = reference
      ? secrets.find((one) => one.metadata?.name === reference.name)?.stringData?.[reference.key]
      : value;
    return text === undefined ? [] : [[name, text]];
  });
  return { ...Object.assign({}, ...maps), ...Object.fromEntries(own) };
}

type Labels = Readonly<Record<string, string>>;

/**
 * Finds broken references between objects; empty if there are none. `secrets` are the ones that operators create:
 * every reference must name one of their keys, and every key must have a reference.
 */
export function findBrokenReferences(objects: readonly KubeObject[], secrets: readonly ISecret[]): string[] {
  return [
    ...[...objects, ...secrets].flatMap(checkMetadata),
    ...checkSelectors(objects),
    ...checkPorts(objects),
    ...checkVariables(objects),
    ...checkSecrets(objects, secrets),
    ...checkPod(objects),
  ];
}

function checkMetadata({ kind, metadata }: KubeObject): string[] {
  const { namespace, labels } = metadata ?? {};
  return [
    ...(namespace === "mutt" ? [] : [`${kind} is in namespace ${namespace}`]),
    ...(labels?.app === "mutt" && labels.component === "remediation" ? [] : [`${kind} is without MUTT's labels`]),
  ];
}

function checkSelectors(objects: readonly KubeObject[]): string[] {
  const pod = podOf(objects).labels;
  const spread = podOf(objects).spec.topologySpreadConstraints ?? [];
  const selectors: [string, Labels | undefined, Labels][] = [
    ["Deployment", pick(objects, "Deployment").spec?.selector.matchLabels, pod],
    ["Service", pick(objects, "Service").spec?.selector, pod],
    ["PodDisruptionBudget", pick(objects, "PodDisruptionBudget").spec?.selector?.matchLabels, pod],
    ["NetworkPolicy", pick(objects, "NetworkPolicy").spec?.podSelector?.matchLabels, pod],
    ...spread.map((one): [string, Labels | undefined, Labels] => ["spread", one.labelSelector?.matchLabels, pod]),
    ...monitorsOf(objects).map((one): [string, Labels | undefined, Labels] => [
      "ServiceMonitor",
      one.spec.selector.matchLabels,
      pick(objects, "Service").metadata?.labels ?? {},
    ]),
  ];
  return selectors.flatMap(([name, selector, labels]) => {
    const wanted = Object.entries(selector ?? {});
    if (wanted.length === 0) return [`${name} selects everything`];
    return wanted.filter(([key, value]) => labels[key] !== value).map(([key]) => `${name} selects by ${key} in vain`);
  });
}

function monitorsOf(objects: readonly KubeObject[]): IServiceMonitor[] {
  return objects.filter((one): one is IServiceMonitor => one.kind === "ServiceMonitor");
}

function checkPorts(objects: readonly KubeObject[]): string[] {
  const { container } = podOf(objects);
  const own = new Map((container.ports ?? []).map(({ name, containerPort }) => [name ?? "", containerPort]));
  const service = pick(objects, "Service").spec?.ports ?? [];
  const policy = pick(objects, "NetworkPolicy").spec?.ingress ?? [];
  const named = [
    ...service.map(({ targetPort }) => ["Service", targetPort]),
    ...policy.flatMap(({ ports = [] }) => ports.map(({ port }) => ["NetworkPolicy", port])),
    ...Object.entries(probesOf(container)).map(([name, probe]) => [name, probe?.httpGet?.port]),
  ].filter(([, port]) => typeof port !== "string" || !own.has(port)).map(([what, port]) =>
    `${what} names port ${port}`
  );
  const moved = service.filter(({ port, targetPort }) => own.get(String(targetPort)) !== port)
    .map(({ name }) => `Service has port ${name} moved`);
  const monitored = monitorsOf(objects).flatMap(({ spec }) => spec.endpoints ?? [])
    .filter(({ port }) => !service.some(({ name }) => name === port)).map(({ port }) =>
      `ServiceMonitor names port ${port}`
    );
  const annotations = pick(objects, "Deployment").spec?.template.metadata?.annotations ?? {};
  const scraped = annotations["prometheus.io/port"] === String(own.get("metrics")) ? [] : ["scraped at another port"];
  const environment = environmentOf(objects);
  const listened = [["metrics", "METRICS_PORT_REMEDIATION"], ["health", "HEALTH_PORT_REMEDIATION"]] as const;
  const unheard = listened.filter(([name, variable]) => environment[variable] !== String(own.get(name)))
    .map(([name]) => `port ${name} is not listened on`);
  return [...named, ...moved, ...monitored, ...scraped, ...unheard];
}

/** The probes by name. */
export function probesOf({ startupProbe, livenessProbe, readinessProbe }: IContainer) {
  return { startupProbe, livenessProbe, readinessProbe };
}

function checkVariables(objects: readonly KubeObject[]): string[] {
  const known = new Set(knownVariables());
  const { container } = podOf(objects);
  const maps = (container.envFrom ?? []).map(({ configMapRef }) => configMapRef?.name);
  const map = objects.find(({ kind, metadata }) => kind === "ConfigMap" && metadata?.name === maps[0]);
  const names = [
    ...(container.env ?? []).map(({ name }) => name),
    ...Object.keys((map as IConfigMap | undefined)?.data ?? {}),
  ];
  return [
    ...(map && maps.length === 1 ? [] : [`environment from ConfigMap ${maps}`]),
    ...names.filter((name) => !known.has(name)).map((name) => `${name} is read by nobody`),
    ...names.filter((name, at) => names.indexOf(name) !== at).map((name) => `${name} is set twice`),
  ];
}

function checkSecrets(objects: readonly KubeObject[], secrets: readonly ISecret[]): string[] {
  const { container, spec } = podOf(objects);
  const byName = new Map(secrets.map((one) => [one.metadata?.name ?? "", Object.keys(one.stringData ?? {})]));
  const keys = (container.env ?? []).flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? []);
  const files = (spec.volumes ?? []).flatMap(({ secret }) => secret?.secretName ?? []);
  const used = (name: string, key: string) =>
    files.includes(name) || keys.some((one) => one.name === name && one.key === key);
  return [
    ...keys.filter(({ name, key }) => !byName.get(name ?? "")?.includes(key)).map(({ key }) => `no Secret has ${key}`),
    ...files.filter((name) => !byName.has(name)).map((name) => `no Secret is called ${name}`),
    ...[...byName].flatMap(([name, all]) => all.filter((key) => !used(name, key)).map((key) => `${key} is not used`)),
    ...(container.env ?? []).filter(({ name }) => name.endsWith("_FILE")).map(({ value = "" }) => value)
      .filter((path) => !byName.get(secretMountedAt(path, { container, spec }))?.includes(path.split("/").at(-1)!))
      .map((path) => `no Secret brings ${path}`),
  ];
}

/** Name of the Secret behind a mounted file. */
function secretMountedAt(path: string, { container, spec }: { container: IContainer; spec: IPodSpec }): string {
  const folder = path.slice(0, path.lastIndexOf("/"));
  const mount = container.volumeMounts?.find(({ mountPath }) => mountPath === folder);
  return spec.volumes?.find(({ name }) => name === mount?.name)?.secret?.secretName ?? "";
}

function checkPod(objects: readonly KubeObject[]): string[] {
  const { container, spec } = podOf(objects);
  const mounts = (container.volumeMounts ?? []).map(({ name }) => name);
  const volumes = (spec.volumes ?? []).map(({ name }) => name);
  const stopSeconds = Number(
    environmentOf(objects).REMEDIATION_SHUTDOWN_TIMEOUT ?? DEFAULT_SETTINGS.shutdownTimeoutMs / 1_000,
  );
  return [
    ...(spec.serviceAccountName === pick(objects, "ServiceAccount").metadata?.name ? [] : ["no such ServiceAccount"]),
    ...mounts.filter((name) => !volumes.includes(name)).map((name) => `no volume is called ${name}`),
    ...volumes.filter((name) => !mounts.includes(name)).map((name) => `volume ${name} is not mounted`),
    ...((spec.terminationGracePeriodSeconds ?? 30) > stopSeconds ? [] : ["killed before it has stopped"]),
  ];
}
