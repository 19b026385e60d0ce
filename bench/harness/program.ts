/** Runs other programs for their output. */

/** Runs a program to its end. @returns what it wrote to stdout. @throws with what it wrote to stderr where it fails or is not there. */
export async function run(
  [program, ...args]: readonly [string, ...string[]],
  { signal, env }: { signal?: AbortSignal; env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const command = new Deno.Command(program, { args, stdin: "null", ...signal && { signal }, ...env && { env } });
  const { success, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`"${program}" failed: ${decoder.decode(stderr).trim() || "it said nothing"}`);
  return decoder.decode(stdout);
}
