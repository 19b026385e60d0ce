/**
 * Renders the folders of `k8s/`. From the base it writes `k8s/remediation-deployment.yaml`, for users without
 * kustomize.
 */
import { ROOT, runDeno } from "./child.ts";

/** Path of the rendered base, relative to the repository's root. */
export const MANIFEST = "k8s/remediation-deployment.yaml";

const HEAD = "# Rendered from k8s/base by: deno task generate\n";

/** Programs that can render, in order of preference. */
const RENDERERS = [["kubectl", "kustomize"], ["kustomize", "build"]] as const;

/**
 * Renders a folder below `k8s/`. @returns its objects as YAML, or `undefined` without kubectl and kustomize.
 * @throws Error with the program's error text
 */
export async function renderFolder(folder: string): Promise<string | undefined> {
  for (const [program, command] of RENDERERS) {
    const output = await outputOf(program, [command, `${ROOT}k8s/${folder}`]);
    if (!output) continue;
    if (output.success) return new TextDecoder().decode(output.stdout);
    throw new Error(`${program} cannot render k8s/${folder}: ${new TextDecoder().decode(output.stderr).trim()}`);
  }
  return undefined;
}

async function outputOf(program: string, args: string[]): Promise<Deno.CommandOutput | undefined> {
  try {
    return await new Deno.Command(program, { args, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes {@link MANIFEST}. Leaves it unchanged without kubectl and kustomize. @returns an exit code. */
export async function renderManifest(): Promise<number> {
  const objects = await renderFolder("base");
  if (objects === undefined) {
    console.error(`${MANIFEST} stays unchanged: neither kubectl nor kustomize is installed`);
    return 0;
  }
  await Deno.writeTextFile(ROOT + MANIFEST, HEAD + objects);
  return await runDeno(["fmt", "--quiet", MANIFEST]);
}
