/** Renders the folders of `k8s/`, and from its base `k8s/remediation-deployment.yaml`, for whoever has no kustomize. */
import { ROOT, runDeno } from "./child.ts";

/** Where the rendered base lies, from the repository's root. */
export const MANIFEST = "k8s/remediation-deployment.yaml";

const HEAD = "# Rendered from k8s/base by: deno task generate\n";

/** Programs that render, in the order in which they are looked for. */
const RENDERERS = [["kubectl", "kustomize"], ["kustomize", "build"]] as const;

/**
 * Renders a folder below `k8s/`. @returns its objects as YAML, `undefined` where neither kubectl nor kustomize is there.
 * @throws Error with what the program says is wrong.
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

/** Writes {@link MANIFEST}. Without a program that renders it stays as it is. @returns an exit code. */
export async function renderManifest(): Promise<number> {
  const objects = await renderFolder("base");
  if (objects === undefined) {
    console.error(`${MANIFEST} is left as it is: there is neither kubectl nor kustomize`);
    return 0;
  }
  await Deno.writeTextFile(ROOT + MANIFEST, HEAD + objects);
  return await runDeno(["fmt", "--quiet", MANIFEST]);
}
