/** Runs other programs for the tasks, always from the repository's root. */
import { fileURLToPath } from "node:url";

/** The repository's root folder, with a final slash. */
export const ROOT: string = fileURLToPath(new URL("../", import.meta.url));

/** What {@link run} may be told beside the command. */
export interface RunOptions {
  /** Variables on top of this process' own. */
  readonly env?: Record<string, string>;
  /** Keeps the output back and shows it only when the program fails. Default: the output goes to the terminal. */
  readonly quiet?: boolean;
  /** Ends the program after this time (SIGTERM). Default: never. */
  readonly limitMs?: number;
  /** SIGTERM to this process is handed to the program instead, which is killed if it is still there so much later. Default: it is not. */
  readonly graceMs?: number;
}

/** Runs a program to its end. @returns its exit code, 127 where there is no such program. */
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

/** Runs this very Deno. @returns its exit code. */
export function runDeno(args: readonly string[], options?: RunOptions): Promise<number> {
  return run([Deno.execPath(), ...args], options);
}

/** Path of a program that is on `PATH`. */
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

/** Files below a folder of the repository whose name ends so, sorted. A folder that is not there holds none. */
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
