/** Runs other programs for the tasks, always in the repository's root. */
import { fileURLToPath } from "node:url";

/** The repository's root folder, with a final slash. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** Options of {@link run}. */
export interface RunOptions {
  /** Variables to add to this process's. */
  readonly env?: Record<string, string>;
  /** Shows the output only if the program fails. Default: the output goes to the terminal. */
  readonly quiet?: boolean;
  /** Time after which the program gets SIGTERM. Default: never. */
  readonly limitMs?: number;
  /**
   * If set, SIGTERM is forwarded to the program, which is killed if it has not ended after this time. Default: not
   * forwarded.
   */
  readonly graceMs?: number;
}

/** Runs a program to its end. @returns its exit code; 127 if the program does not exist. */
export async function run(
  command: readonly string[],
  { env, quiet = false, limitMs, graceMs }: RunOptions = {},
): Promise<number> {
  const [program, ...args] = command as [string, ...string[]];
  const stdio = quiet ? "piped" : "inherit";
  try {
    const child = new Deno.Command(program, {
      args,
      cwd: ROOT,
      stdin: "inherit",
      stdout: stdio,
      stderr: stdio,
      ...env && { env },
      ...limitMs !== undefined && { signal: AbortSignal.timeout(limitMs) },
    });
    if (!quiet) return await outlive(child.spawn(), graceMs);
    const output = await child.output();
    if (output.code !== 0) { for (const bytes of [output.stdout, output.stderr]) await writeErr(bytes); }
    return output.code;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.error(`${program}: no such program`);
    return 127;
  }
}

async function outlive(child: Deno.ChildProcess, graceMs: number | undefined): Promise<number> {
  if (graceMs === undefined) return (await child.status).code;
  let killing: ReturnType<typeof setTimeout> | undefined;
  const onTerm = () => {
    child.kill("SIGTERM");
    killing ??= setTimeout(() => child.kill("SIGKILL"), graceMs);
  };
  Deno.addSignalListener("SIGTERM", onTerm);
  try {
    return (await child.status).code;
  } finally {
    clearTimeout(killing);
    Deno.removeSignalListener("SIGTERM", onTerm);
  }
}

/** Runs the current Deno executable. @returns its exit code. */
export function runDeno(args: readonly string[], options?: RunOptions): Promise<number> {
  return run([Deno.execPath(), ...args], options);
}

/** Finds a program on `PATH`. */
export function onPath(program: string): string | undefined {
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== "");
  return folders.map((folder) => `${folder}/${program}`).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

/** Lists the files below a folder of the repository with this ending, sorted; empty if the folder does not exist. */
export function filesIn(folder: string, ending: string): string[] {
  try {
    return [...Deno.readDirSync(ROOT + folder)].flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) return filesIn(path, ending);
      return path.endsWith(ending) ? [path] : [];
    }).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function writeErr(bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await Deno.stderr.write(bytes.subarray(at));
}
