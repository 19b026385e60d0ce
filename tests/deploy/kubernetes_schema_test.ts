/**
 * Every Kubernetes object against Kubernetes' own schemas, twice: the compiler knows every member's name and type, and the
 * validators what a value may be (quantities, patterns, counts).
 */
import assert from "node:assert/strict";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import * as apps from "kubernetes-models/apps/v1";
import * as networking from "kubernetes-models/networking.k8s.io/v1";
import * as policy from "kubernetes-models/policy/v1";
import * as core from "kubernetes-models/v1";
import { ROOT } from "../../scripts/child.ts";
import { MANIFEST, renderFolder } from "../../scripts/manifest.ts";
import { type KubeObject, pick, podOf } from "../../testkit/kubernetes.ts";
import { parseYaml, readYaml } from "../../testkit/yaml.ts";

/** Where the models of an API version are. */
const MODULES = {
  "apps/v1": { from: "kubernetes-models/apps/v1", models: apps },
  "monitoring.coreos.com/v1": {
    from: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    models: prometheus,
  },
  "networking.k8s.io/v1": { from: "kubernetes-models/networking.k8s.io/v1", models: networking },
  "policy/v1": { from: "kubernetes-models/policy/v1", models: policy },
  "v1": { from: "kubernetes-models/v1", models: core },
} as const;

interface Model {
  validate(): void;
}

function moduleOf({ apiVersion }: KubeObject): { from: string; models: object } {
  const found = MODULES[apiVersion as keyof typeof MODULES];
  assert.ok(found, `no models are known of ${apiVersion}`);
  return found;
}

/** What the validators say of an object. */
function findBadValue(object: KubeObject): string | undefined {
  const Model = (moduleOf(object).models as Record<string, new (data: KubeObject) => Model>)[object.kind]!;
  try {
    new Model(object).validate();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** What the compiler says of objects: all of them in one file, since it takes a second to start. */
async function findBadMembers(objects: readonly KubeObject[]): Promise<string> {
  const lines = objects.flatMap((object, at) => {
    const { from } = moduleOf(object);
    return [
      `import type { I${object.kind} as T${at} } from "${from}";`,
      `export const object${at}: T${at} = ${JSON.stringify(object, null, 1)};`,
    ];
  });
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/objects.ts`, lines.join("\n"));
    const args = ["check", "--quiet", `--config=${ROOT}deno.json`, `${dir}/objects.ts`];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" } }).output();
    return success ? "" : new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const FILES = [
  MANIFEST,
  "k8s/secret-example.yaml",
  "k8s/ingress-example.yaml",
  "k8s/components/monitoring/servicemonitor.yaml",
  "k8s/components/monitoring/prometheusrule.yaml",
  "k8s/components/notify/configmap.yaml",
  "k8s/components/notify/secret-example.yaml",
];
const everything = await renderFolder("../tests/deploy/everything");
const beside = await renderFolder("overlays/mutt");
/** Every object and where it is. */
const OBJECTS: readonly (readonly [where: string, object: KubeObject])[] = [
  ...FILES.flatMap((path) => readYaml<KubeObject>(path).map((object) => [path, object] as const)),
  ...parseYaml<KubeObject>(everything ?? "").map((object) => ["tests/deploy/everything", object] as const),
  ...parseYaml<KubeObject>(beside ?? "").map((object) => ["k8s/overlays/mutt", object] as const),
];
const WITHOUT = everything === undefined ? ", but not with what is patched in: there is no kustomize" : "";

Deno.test(`k8s: every object holds only values that its schema allows${WITHOUT}`, () => {
  const bad = OBJECTS.flatMap(([where, object]) => {
    const problem = findBadValue(object);
    return problem === undefined ? [] : [`${where}: ${object.kind} ${object.metadata?.name}: ${problem}`];
  });
  assert.deepEqual(bad, []);
});

Deno.test(`k8s: every object has only members that its schema knows${WITHOUT}`, async () => {
  assert.equal(await findBadMembers(OBJECTS.map(([, object]) => object)), "");
});

Deno.test("k8s: a misspelt name and a quantity that is none are seen", async () => {
  const objects = readYaml<KubeObject>(MANIFEST), { container } = podOf(objects);
  container.resources!.limits!.memory = "256MB";
  assert.match(findBadValue(pick(objects, "Deployment")) ?? "", /limits\/memory must match format "quantity"/);
  (container as unknown as Record<string, unknown>).imagePulPolicy = "Always";
  assert.match(await findBadMembers(objects), /imagePulPolicy/);
});
